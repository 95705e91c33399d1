//! Either side dies without a word and comes back.

use super::{ENCRYPTED_OR_NOT, NODE, PIPE, order};
use crate::interop::cell::{Cell, Check, Context, Dials, ensure, same};
use crate::interop::child::{Child, free_port};
use crate::interop::needs::Need;
use crate::interop::ours::{Id, Mortal, Ours, next};
use broker::event::StatusCode;
use std::time::Duration;

const TOPIC: &str = "/restart";
const TOPICS: &str = "\"/restart\"";

/// The tools try again every ten seconds.
const LIMIT: Duration = Duration::from_secs(45);

pub(super) fn cells() -> Vec<Cell> {
    let mut cells = Vec::new();
    for id in [Id::Lowest, Id::Highest] {
        let order = order(id);
        const WITH_PIPE: &[Need] = &[Need::Tool(PIPE)];
        const WITH_NODE: &[Need] = &[Need::Tool(NODE)];
        let (theirs, ours) =
            (format!("it is killed and comes back, {order}"), format!("we are killed, {order}"));
        let cell = Cell::new(NODE, &theirs, WITH_NODE, move |context| dialled_node(context, id));
        cells.extend(cell.variants(ENCRYPTED_OR_NOT, &[Dials::We]));
        let cell = Cell::new(NODE, &theirs, WITH_NODE, move |context| dialling_node(context, id));
        cells.extend(cell.variants(ENCRYPTED_OR_NOT, &[Dials::They]));
        let cell = Cell::new(PIPE, &ours, WITH_PIPE, move |context| we_are_dialled(context, id));
        cells.extend(cell.within(LIMIT).variants(ENCRYPTED_OR_NOT, &[Dials::They]));
        let cell = Cell::new(PIPE, &ours, WITH_PIPE, move |context| we_dial(context, id));
        cells.extend(cell.variants(ENCRYPTED_OR_NOT, &[Dials::We]));
    }
    cells
}

const NODE_ID: &str = "77777777-7777-4777-8777-777777777777";

async fn dialled_node(context: Context, id: Id) -> Check<String> {
    let mut ours = Ours::start(&context, id)?;
    let port = free_port()?.to_string();
    let args = ["-t", TOPICS, "-p", &port];
    let node = Child::tool(&context, NODE, &args)?;
    ours.dial(port.parse().unwrap_or_default());
    let first = ours.added().await?;
    node.kill().await?;
    ours.ended(StatusCode::PeerLost, first).await?;
    let _node = Child::tool(&context, NODE, &args)?;
    let second = ours.added().await?;
    ensure(first != second, "the new process has the old id")?;
    ours.filter(second, &[TOPIC]).await?;
    ours.settled(second).await?;
    ours.quiet()?;
    Ok("lost, unreachable, discovered, added".to_owned())
}

/// The new process has the id of the old one.
async fn dialling_node(context: Context, id: Id) -> Check<String> {
    let mut ours = Ours::start(&context, id)?;
    let port = ours.listen(0).await?.port();
    let peers = format!("--peers=<tcp://127.0.0.1:{port}>");
    let own = format!("--endpoint-id={NODE_ID}");
    let args = ["-t", TOPICS, &peers, &own];
    let mut previous = None;
    for _ in 0..3 {
        let node = Child::tool(&context, NODE, &args)?;
        let peer = ours.added().await?;
        same("the id", &peer.to_string().as_str(), &NODE_ID)?;
        ours.filter(peer, &[TOPIC]).await?;
        ours.settled(peer).await?;
        if let Some(previous) = previous.replace(peer) {
            same("the id of the new process", &peer, &previous)?;
        }
        node.kill().await?;
        ours.ended(StatusCode::PeerLost, peer).await?;
    }
    ours.quiet()?;
    Ok("added and lost three times, always with one id".to_owned())
}

async fn expect_events(pipe: &mut Child, names: &[&str]) -> Check {
    for name in names {
        pipe.complains(&format!("(status, {name},")).await?;
    }
    Ok(())
}

const LIFE: [&str; 4] = ["endpoint_discovered", "peer_added", "peer_lost", "endpoint_unreachable"];

async fn we_are_dialled(context: Context, id: Id) -> Check<String> {
    let mut first = Mortal::start(&context, id)?;
    let port = first.listen(0).await?;
    let peers = format!("--peers=[\"127.0.0.1:{port}\"]");
    let mut pipe = Child::tool(&context, PIPE, &["-m", "publish", "-t", TOPIC, &peers])?;
    first.ours.added().await?;
    expect_events(&mut pipe, &LIFE[..2]).await?;
    first.kill(&context);
    expect_events(&mut pipe, &LIFE[2..]).await?;
    let mut second = Mortal::start(&context, id)?;
    second.listen(port).await?;
    let peer = second.ours.added_within(Duration::from_secs(20)).await?;
    expect_events(&mut pipe, &LIFE[..2]).await?;
    let mut subscriber = second.ours.endpoint.subscribe([TOPIC]);
    second.ours.settled(peer).await?;
    pipe.say("back").await?;
    same("the message", &next(&mut subscriber).await?.view().as_str(), &Some("back"))?;
    second.kill(&context);
    Ok("the tool saw lost, unreachable, discovered, added".to_owned())
}

async fn we_dial(context: Context, id: Id) -> Check<String> {
    let port = free_port()?;
    let args = ["-m", "subscribe", "-t", TOPIC, "-l", &port.to_string()];
    let mut pipe = Child::tool(&context, PIPE, &args)?;
    for round in 0..3 {
        let mut mortal = Mortal::start(&context, id)?;
        mortal.dial(port);
        let peer = mortal.ours.added().await?;
        expect_events(&mut pipe, &LIFE[..2]).await?;
        mortal.ours.filter(peer, &[TOPIC]).await?;
        mortal.ours.publish(TOPIC, &round).await?;
        let line = pipe.line().await?.ok_or("broker-pipe has ended")?;
        let line = String::from_utf8_lossy(&line).into_owned();
        same("the line", &line, &format!("data({TOPIC}, {round})"))?;
        mortal.kill(&context);
        expect_events(&mut pipe, &LIFE[2..]).await?;
    }
    Ok("the tool saw added and lost three times".to_owned())
}
