//! The end of a peering, and of either side, in an orderly way.

use super::{ENCRYPTED_OR_NOT, NODE, PIPE};
use crate::interop::cell::{Cell, Check, Context, Dials, ensure, same};
use crate::interop::child::{Child, free_port};
use crate::interop::needs::Need;
use crate::interop::ours::{Ours, next};
use broker::event::StatusCode;
use std::time::Duration;

const TOPIC: &str = "/ending";

pub(super) fn cells() -> Vec<Cell> {
    const WITH_PIPE: &[Need] = &[Need::Tool(PIPE)];
    let cells = [
        (Cell::new(PIPE, "we unpeer", WITH_PIPE, we_unpeer), Dials::We),
        (Cell::new(PIPE, "we shut down after a burst", WITH_PIPE, we_shut_down), Dials::We),
        (Cell::new(PIPE, "it ends after a burst", WITH_PIPE, pipe_ends), Dials::They),
        (
            Cell::new(NODE, "it unpeers and ends when told to", &[Need::Tool(NODE)], node_stops),
            Dials::They,
        ),
    ];
    let variants = |(cell, dials): (Cell, Dials)| cell.variants(ENCRYPTED_OR_NOT, &[dials]);
    cells.into_iter().flat_map(variants).collect()
}

/// What broker-pipe says about the end of a peering that the other side wanted.
const LOST: &str = "lost connection to remote peer";
const UNREACHABLE: &str = "lost the last path";

async fn we_unpeer(context: Context) -> Check<String> {
    let mut ours = Ours::fresh(&context)?;
    let port = free_port()?;
    let args = ["-m", "subscribe", "-t", TOPIC, "-l", &port.to_string()];
    let mut pipe = Child::tool(&context, PIPE, &args)?;
    let url = ours.dial(port);
    let peer = ours.added().await?;
    pipe.complains("handshake successful").await?;
    ensure(ours.endpoint.unpeer(&url), "there is nothing to unpeer")?;
    ours.ended(StatusCode::PeerRemoved, peer).await?;
    pipe.complains(LOST).await?;
    pipe.complains(UNREACHABLE).await?;
    ensure(!ours.endpoint.is_outbound_peering(&url), "the peering is still wanted")?;
    ours.quiet()?;
    Ok("removed here, lost there".to_owned())
}

async fn we_shut_down(context: Context) -> Check<String> {
    const COUNT: u64 = 1000;
    let mut ours = Ours::fresh(&context)?;
    let port = free_port()?;
    let args = ["-m", "subscribe", "-t", TOPIC, "-l", &port.to_string()];
    let mut pipe = Child::tool(&context, PIPE, &args)?;
    ours.dial(port);
    let peer = ours.added().await?;
    ours.filter(peer, &[TOPIC]).await?;
    for number in 0..COUNT {
        ours.publish(TOPIC, &number).await?;
    }
    ours.shut_down().await?;
    for number in 0..COUNT {
        let line = pipe.line().await?.ok_or("broker-pipe has ended")?;
        let line = String::from_utf8_lossy(&line).into_owned();
        same("the line", &line, &format!("data({TOPIC}, {number})"))?;
    }
    pipe.complains(LOST).await?;
    pipe.complains(UNREACHABLE).await?;
    Ok(format!("all {COUNT} messages arrived"))
}

async fn pipe_ends(context: Context) -> Check<String> {
    const COUNT: usize = 1000;
    let mut ours = Ours::fresh(&context)?;
    let mut subscriber = ours.endpoint.subscribe([TOPIC]);
    let port = ours.listen(0).await?.port();
    let peers = format!("--peers=[\"127.0.0.1:{port}\"]");
    let mut pipe = Child::tool(&context, PIPE, &["-m", "publish", "-t", TOPIC, &peers])?;
    let peer = ours.added().await?;
    for number in 0..COUNT {
        pipe.say(&number.to_string()).await?;
    }
    pipe.end_input();
    ensure(pipe.ended().await?.success(), "broker-pipe ended with an error")?;
    ours.ended(StatusCode::PeerLost, peer).await?;
    for number in 0..COUNT {
        let message = next(&mut subscriber).await?;
        same("the line", &message.view().as_str(), &Some(number.to_string().as_str()))?;
    }
    ours.quiet()?;
    Ok(format!("all {COUNT} messages arrived"))
}

async fn node_stops(context: Context) -> Check<String> {
    let mut ours = Ours::fresh(&context)?;
    let port = ours.listen(0).await?.port();
    let peers = format!("--peers=<tcp://127.0.0.1:{port}>");
    let topics = format!("\"{TOPIC}\"");
    let mut node = Child::tool(&context, NODE, &["-t", &topics, &peers])?;
    let peer = ours.added().await?;
    ours.filter(peer, &[TOPIC]).await?;
    // It announces its topics before it listens to them itself, so once may be too early.
    let endpoint = ours.endpoint.clone();
    let tell = async {
        loop {
            endpoint.publish(TOPIC, "stop").await.map_err(|error| error.to_string())?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        ended = ours.ended(StatusCode::PeerLost, peer) => ended?,
        failed = tell => return failed,
    }
    ensure(node.ended().await?.success(), "broker-node ended with an error")?;
    ours.quiet()?;
    Ok("lost here, and the tool ended without an error".to_owned())
}
