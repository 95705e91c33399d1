//! Peerings with the C++ Broker through its Python module, from the handshake to each way in which
//! they end.

use super::{CPP, ENCRYPTED_OR_NOT, order};
use crate::interop::cell::{Cell, Check, Context, Dials, ensure, same};
use crate::interop::child::free_port;
use crate::interop::needs::Need;
use crate::interop::ours::{Id, Mortal, Ours, next};
use crate::interop::script::Script;
use broker::event::StatusCode;
use broker::{EndpointId, PeerStatus};
use serde_json::json;
use std::time::Duration;

const TOPIC: &str = "/peering";

/// A peering that was lost is made again within this.
const AGAIN: Duration = Duration::from_secs(20);

pub(super) fn cells() -> Vec<Cell> {
    const NEEDS: &[Need] = &[Need::CppModule];
    let mut cells = Vec::new();
    let mut add =
        |cell: Cell, dials: &[Dials]| cells.extend(cell.variants(ENCRYPTED_OR_NOT, dials));
    let either = &[Dials::They, Dials::We];
    for id in [Id::Lowest, Id::Highest] {
        let order = order(id);
        let what = format!("handshake, {order}");
        add(Cell::new(CPP, what, NEEDS, move |context| handshake(context, id)), either);
        let what = format!("redundant connections, {order}");
        add(Cell::new(CPP, what, NEEDS, move |context| redundant(context, id)), &[Dials::Both]);
        let what = format!("it is killed and comes back, {order}");
        let cell = Cell::new(CPP, what, NEEDS, move |context| it_is_killed(context, id));
        add(cell.within(Duration::from_secs(60)), either);
        let what = format!("we are killed and come back, {order}");
        let cell = Cell::new(CPP, what, NEEDS, move |context| we_are_killed(context, id));
        add(cell.within(Duration::from_secs(60)), either);
    }
    add(Cell::new(CPP, "we unpeer, and peer again", NEEDS, we_unpeer), &[Dials::We]);
    add(Cell::new(CPP, "it unpeers, and peers again", NEEDS, it_unpeers), &[Dials::They]);
    add(Cell::new(CPP, "we shut down", NEEDS, we_shut_down), either);
    add(Cell::new(CPP, "it shuts down", NEEDS, it_shuts_down), either);
    cells
}

/// Starts the other side and peers with it in the direction of the cell; returns where the one that
/// is dialled listens.
pub(super) async fn peer(
    context: &Context,
    ours: &mut Ours,
    topics: &[&str],
) -> Check<(Script, EndpointId, u16)> {
    let (mut theirs, port) = match context.dials {
        Dials::We => {
            let mut theirs = Script::cpp(context, "listen", 0, topics)?;
            let port = theirs.listening().await?;
            ours.dial(port);
            (theirs, port)
        }
        _ => {
            let port = ours.listen(0).await?.port();
            (Script::cpp(context, "connect", port, topics)?, port)
        }
    };
    let id = ours.added().await?;
    theirs.status("peer_added").await?;
    ours.protected(id)?;
    ours.filter(id, topics).await?;
    Ok((theirs, id, port))
}

async fn handshake(context: Context, id: Id) -> Check<String> {
    let mut ours = Ours::start(&context, id)?;
    let (mut theirs, peer, _) = peer(&context, &mut ours, &[TOPIC]).await?;
    same("our id being the lower one", &(ours.endpoint.id() < peer), &(id == Id::Lowest))?;
    ours.settled(peer).await?;
    ours.publish(TOPIC, "there").await?;
    let message = theirs.event("message").await?;
    same(
        "the message",
        &(&message["type"], &message["text"]),
        &(&json!("String"), &json!("there")),
    )?;
    let mut subscriber = ours.endpoint.subscribe(["/back"]);
    ours.settled(peer).await?;
    theirs.tell("publish", json!({"topic": "/back", "text": "back"})).await?;
    same("the message", &next(&mut subscriber).await?.view().as_str(), &Some("back"))?;
    ours.quiet()?;
    Ok("discovered, added, ping answered, a message each".to_owned())
}

/// Each side dials the other one while that is peered already.
async fn redundant(context: Context, id: Id) -> Check<String> {
    let mut ours = Ours::start(&context, id)?;
    let port = ours.listen(0).await?.port();
    let mut theirs = Script::cpp(&context, "listen", 0, &[TOPIC])?;
    let their_port = theirs.listening().await?;
    theirs.tell("peer", json!({"port": port, "retry": 1})).await?;
    let peer = ours.added().await?;
    theirs.status("peer_added").await?;
    ours.dial(their_port);
    // Whatever becomes of the second connection, the peering is one and goes on.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let is_peered = |info: &broker::PeerInfo| info.status == PeerStatus::Peered;
    let count = ours.endpoint.peers().iter().filter(|info| is_peered(info)).count();
    ensure(count >= 1, "the peering is gone")?;
    ours.settled(peer).await?;
    ours.publish(TOPIC, "once").await?;
    ours.publish(TOPIC, "twice").await?;
    for expected in ["once", "twice"] {
        same("the message", &theirs.event("message").await?["text"], &json!(expected))?;
    }
    theirs.tell("peers", json!({})).await?;
    let peers = theirs.event("peers").await?;
    let own = ours.endpoint.id().to_string();
    let known = peers["peers"].as_array().map(Vec::as_slice).unwrap_or_default();
    ensure(known.iter().any(|peer| *peer == own), format!("it does not know us: {peers}"))?;
    Ok("one peering, each message once".to_owned())
}

async fn it_is_killed(context: Context, id: Id) -> Check<String> {
    let mut ours = Ours::start(&context, id)?;
    let (mut theirs, mut peer, port) = peer(&context, &mut ours, &[TOPIC]).await?;
    for _ in 0..2 {
        theirs.kill().await?;
        ours.ended(StatusCode::PeerLost, peer).await?;
        theirs = match context.dials {
            Dials::We => Script::cpp(&context, "listen", port, &[TOPIC])?,
            _ => Script::cpp(&context, "connect", port, &[TOPIC])?,
        };
        peer = ours.added_within(AGAIN).await?;
        // A fresh one announces its topics before it listens to them itself.
        theirs.status("peer_added").await?;
        ours.filter(peer, &[TOPIC]).await?;
        ours.publish(TOPIC, "again").await?;
        same("the message", &theirs.event("message").await?["text"], &json!("again"))?;
    }
    ours.quiet()?;
    Ok("lost, unreachable, discovered, added, twice".to_owned())
}

async fn we_are_killed(context: Context, id: Id) -> Check<String> {
    let port = free_port()?;
    let mut theirs = None;
    for round in 0..3 {
        let mut mortal = Mortal::start(&context, id)?;
        if context.dials != Dials::We {
            mortal.listen(port).await?;
        }
        let theirs = match &mut theirs {
            Some(theirs) => theirs,
            none if context.dials == Dials::We => {
                let theirs = none.insert(Script::cpp(&context, "listen", port, &[TOPIC])?);
                theirs.listening().await?;
                theirs
            }
            none => none.insert(Script::cpp(&context, "connect", port, &[TOPIC])?),
        };
        if context.dials == Dials::We {
            mortal.dial(port);
        }
        let peer = mortal.ours.added_within(AGAIN).await?;
        theirs.status("peer_added").await?;
        mortal.ours.filter(peer, &[TOPIC]).await?;
        mortal.ours.publish(TOPIC, &round).await?;
        same("the message", &theirs.event("message").await?["text"], &json!(round.to_string()))?;
        mortal.kill(&context);
        theirs.status("peer_lost").await?;
        theirs.status("endpoint_unreachable").await?;
    }
    Ok("it saw added, lost and unreachable three times".to_owned())
}

async fn we_unpeer(context: Context) -> Check<String> {
    let mut ours = Ours::fresh(&context)?;
    let (mut theirs, id, port) = peer(&context, &mut ours, &[TOPIC]).await?;
    ensure(ours.endpoint.unpeer(ours.url(port)), "there is nothing to unpeer")?;
    ours.ended(StatusCode::PeerRemoved, id).await?;
    theirs.status("peer_lost").await?;
    theirs.status("endpoint_unreachable").await?;
    ours.dial(port);
    same("the peer", &ours.added().await?, &id)?;
    theirs.status("peer_added").await?;
    ours.settled(id).await?;
    ours.quiet()?;
    Ok("removed here, lost there, and peered again".to_owned())
}

async fn it_unpeers(context: Context) -> Check<String> {
    let mut ours = Ours::fresh(&context)?;
    let (mut theirs, id, port) = peer(&context, &mut ours, &[TOPIC]).await?;
    theirs.tell("unpeer", json!({"port": port})).await?;
    theirs.status("peer_removed").await?;
    ours.ended(StatusCode::PeerLost, id).await?;
    theirs.tell("peer", json!({"port": port, "retry": 1})).await?;
    same("the peer", &ours.added().await?, &id)?;
    theirs.status("peer_added").await?;
    ours.settled(id).await?;
    ours.quiet()?;
    Ok("removed there, lost here, and peered again".to_owned())
}

async fn we_shut_down(context: Context) -> Check<String> {
    const COUNT: usize = 1000;
    let mut ours = Ours::fresh(&context)?;
    let (mut theirs, ..) = peer(&context, &mut ours, &[TOPIC]).await?;
    for number in 0..COUNT {
        ours.publish(TOPIC, &number.to_string()).await?;
    }
    ours.shut_down().await?;
    for number in 0..COUNT {
        let message = theirs.event("message").await?;
        same("the message", &message["text"], &json!(number.to_string()))?;
    }
    Ok(format!("all {COUNT} messages of a burst arrived"))
}

async fn it_shuts_down(context: Context) -> Check<String> {
    const COUNT: usize = 1000;
    let mut ours = Ours::fresh(&context)?;
    let mut subscriber = ours.endpoint.subscribe(["/back"]);
    let (mut theirs, id, _) = peer(&context, &mut ours, &[TOPIC]).await?;
    theirs.tell("burst", json!({"topic": "/back", "count": COUNT, "size": 100})).await?;
    theirs.event("published").await?;
    theirs.tell("shutdown", json!({})).await?;
    ours.ended(StatusCode::PeerLost, id).await?;
    for number in 0..COUNT {
        let message = next(&mut subscriber).await?;
        let text = message.view().as_str().unwrap_or_default().trim_end_matches('x').to_owned();
        same("the message", &text, &format!("{number} "))?;
    }
    ensure(theirs.ended().await?.success(), "it ended with an error")?;
    Ok(format!("all {COUNT} messages of a burst arrived"))
}
