//! Subscriptions that change while peered.

use super::{ENCRYPTED_OR_NOT, PIPE};
use crate::interop::cell::{Cell, Check, Context, Dials, same};
use crate::interop::child::{Child, free_port};
use crate::interop::needs::Need;
use crate::interop::ours::{Ours, next};

const TOPIC: &str = "/updates";

pub(super) fn cells() -> Vec<Cell> {
    let ours = "routing updates: ours subscribes and unsubscribes later";
    let ours = Cell::new(PIPE, ours, &[Need::Tool(PIPE)], ours_changes);
    let theirs = "routing updates: it subscribes later";
    let theirs = Cell::new(PIPE, theirs, &[Need::Tool(PIPE)], theirs_changes);
    [
        ours.variants(ENCRYPTED_OR_NOT, &[Dials::They]),
        theirs.variants(ENCRYPTED_OR_NOT, &[Dials::We]),
    ]
    .concat()
}

/// The answer to a ping shows that the other side has handled the update before it.
async fn ours_changes(context: Context) -> Check<String> {
    let mut ours = Ours::fresh(&context)?;
    let port = ours.listen(0).await?.port();
    let peers = format!("--peers=[\"127.0.0.1:{port}\"]");
    let mut pipe = Child::tool(&context, PIPE, &["-m", "publish", "-t", TOPIC, &peers])?;
    let peer = ours.added().await?;
    let mut witness = ours.endpoint.subscribe(["/other"]);
    let mut received = Vec::new();
    for (line, subscribed) in [("one", false), ("two", true), ("three", false), ("four", true)] {
        let subscriber = subscribed.then(|| ours.endpoint.subscribe([TOPIC]));
        ours.settled(peer).await?;
        pipe.say(line).await?;
        match subscriber {
            Some(mut subscriber) => {
                received.push(next(&mut subscriber).await?.data().map_err(|e| e.to_string())?);
            }
            // Nothing tells when a line was read that nobody wants.
            None => tokio::time::sleep(std::time::Duration::from_millis(200)).await,
        }
    }
    ours.settled(peer).await?;
    let lines: Vec<String> = received.iter().map(ToString::to_string).collect();
    same("what arrived", &lines, &vec!["two".to_owned(), "four".to_owned()])?;
    same("the rest", &witness.try_recv().is_ok(), &false)?;
    let stats = ours.endpoint.peering_stats();
    let messages = stats.get(&peer).map(|stats| stats.messages_in).unwrap_or_default();
    // Two lines, and the answers to five pings.
    same("the number of envelopes that were sent", &messages, &7)?;
    Ok("lines were sent only while somebody wanted them".to_owned())
}

/// It subscribes when it is peered, so the handshake has an empty filter.
async fn theirs_changes(context: Context) -> Check<String> {
    let mut ours = Ours::fresh(&context)?;
    let port = free_port()?;
    let args = ["-m", "subscribe", "-t", TOPIC, "-l", &port.to_string()];
    let mut pipe = Child::tool(&context, PIPE, &args)?;
    ours.dial(port);
    let peer = ours.added().await?;
    ours.filter(peer, &[TOPIC]).await?;
    ours.publish("/updates/x", "yes").await?;
    let line = pipe.line().await?.ok_or("broker-pipe has ended")?;
    same(
        "the line",
        &String::from_utf8_lossy(&line).into_owned().as_str(),
        &"data(/updates/x, yes)",
    )?;
    Ok("the filter of the peer follows".to_owned())
}
