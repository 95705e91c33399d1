//! Endpoints of this project among themselves, over everything that they speak.

use super::order;
use crate::interop::cell::{Cell, Check, Context, Dials, Mode, ensure, same};
use crate::interop::ours::{Id, Mortal, Ours, next};
use crate::interop::vectors::{self, Recorded, Verbatim};
use broker::EndpointId;
use broker::event::StatusCode;
use std::time::Duration;

const PEER: &str = "ours";
const THERE: &str = "/ours/there";
const BACK: &str = "/ours/back";

pub(super) fn cells() -> Vec<Cell> {
    const MODES: &[Mode] = &[Mode::Plain, Mode::Anonymous, Mode::WebSocket, Mode::Quic];
    let mut cells = Vec::new();
    let mut add = |cell: Cell| cells.extend(cell.variants(MODES, &[Dials::We]));
    for id in [Id::Lowest, Id::Highest] {
        let what = format!("handshake and unpeer, {}", order(id));
        add(Cell::new(PEER, what, &[], move |context| handshake(context, id)));
        let what = format!("the one that is dialled is killed and comes back, {}", order(id));
        add(Cell::new(PEER, what, &[], move |context| killed(context, id)));
    }
    add(Cell::new(PEER, "values of all types both ways", &[], values));
    add(Cell::new(PEER, "messages of 1 MB both ways", &[], megabytes)
        .within(Duration::from_secs(90)));
    add(Cell::new(PEER, "shutdown after a burst", &[], shutdown));
    cells
}

/// Two that are peered; the first one has dialled the second.
async fn pair(context: &Context, id: Id) -> Check<(Ours, EndpointId, Ours, EndpointId, u16)> {
    let (mut here, mut there) = (Ours::start(context, id)?, Ours::fresh(context)?);
    let port = there.listen(0).await?.port();
    here.dial(port);
    let of_there = here.added().await?;
    let of_here = there.added().await?;
    here.protected(of_there)?;
    there.protected(of_here)?;
    Ok((here, of_there, there, of_here, port))
}

async fn handshake(context: Context, id: Id) -> Check<String> {
    let (mut here, of_there, mut there, of_here, port) = pair(&context, id).await?;
    same("our id being the lower one", &(of_here < of_there), &(id == Id::Lowest))?;
    here.settled(of_there).await?;
    there.settled(of_here).await?;
    ensure(here.endpoint.unpeer(here.url(port)), "there is nothing to unpeer")?;
    here.ended(StatusCode::PeerRemoved, of_there).await?;
    there.ended(StatusCode::PeerLost, of_here).await?;
    here.dial(port);
    here.added().await?;
    there.added().await?;
    ensure(there.endpoint.unpeer_id(of_here), "there is nothing to unpeer")?;
    there.ended(StatusCode::PeerRemoved, of_here).await?;
    here.ended(StatusCode::PeerLost, of_there).await?;
    Ok("a ping each, unpeered by either side".to_owned())
}

async fn killed(context: Context, id: Id) -> Check<String> {
    let mut here = Ours::start(&context, id)?;
    let port = crate::interop::child::free_port()?;
    here.dial(port);
    for _ in 0..2 {
        let mut there = Mortal::fresh(&context)?;
        there.listen(port).await?;
        let peer = here.added().await?;
        there.ours.added().await?;
        here.settled(peer).await?;
        there.kill(&context);
        here.ended(StatusCode::PeerLost, peer).await?;
    }
    Ok("added and lost twice".to_owned())
}

async fn values(context: Context) -> Check<String> {
    let (here, of_there, there, of_here, _) = pair(&context, Id::Lowest).await?;
    let mut of_there_received = there.endpoint.subscribe([THERE]);
    let mut of_here_received = here.endpoint.subscribe([BACK]);
    here.filter(of_there, &[THERE]).await?;
    there.filter(of_here, &[BACK]).await?;
    let mut count = 0;
    for Recorded { name, payload, .. } in vectors::values()? {
        here.publish(THERE, &Verbatim(&payload)).await?;
        let message = next(&mut of_there_received).await?;
        ensure(message.payload() == payload, format!("{name} arrived changed"))?;
        let value = message.data().map_err(|error| format!("{name}: {error}"))?;
        there.publish(BACK, &value).await?;
        let message = next(&mut of_here_received).await?;
        ensure(message.payload() == payload, format!("{name} came back changed"))?;
        count += 1;
    }
    Ok(format!("{count} values, byte for byte"))
}

async fn megabytes(context: Context) -> Check<String> {
    const COUNT: usize = 16;
    const SIZE: usize = 1_000_000;
    let (here, of_there, there, of_here, _) = pair(&context, Id::Highest).await?;
    let mut of_there_received = there.endpoint.subscribe([THERE]);
    let mut of_here_received = here.endpoint.subscribe([BACK]);
    here.filter(of_there, &[THERE]).await?;
    there.filter(of_here, &[BACK]).await?;
    for number in 0..COUNT {
        let text = format!("{number} {}", "x".repeat(SIZE));
        here.publish(THERE, text.as_str()).await?;
        let message = next(&mut of_there_received).await?;
        ensure(message.view().as_str() == Some(&text), format!("{number} arrived changed"))?;
        there.publish(BACK, text.as_str()).await?;
        let message = next(&mut of_here_received).await?;
        ensure(message.view().as_str() == Some(&text), format!("{number} came back changed"))?;
    }
    Ok(format!("{COUNT} each"))
}

async fn shutdown(context: Context) -> Check<String> {
    const COUNT: u64 = 1000;
    let (here, of_there, mut there, of_here, _) = pair(&context, Id::Lowest).await?;
    let mut received = there.endpoint.subscribe([THERE]);
    here.filter(of_there, &[THERE]).await?;
    for number in 0..COUNT {
        here.publish(THERE, &number).await?;
    }
    here.shut_down().await?;
    for number in 0..COUNT {
        same("the number", &next(&mut received).await?.view().as_count(), &Some(number))?;
    }
    there.ended(StatusCode::PeerLost, of_here).await?;
    Ok(format!("all {COUNT} messages arrived"))
}
