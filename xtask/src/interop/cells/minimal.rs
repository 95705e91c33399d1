//! `interop/peer.py`, which was written from `docs/protocol` alone.

use super::{ENCRYPTED_OR_NOT, order};
use crate::interop::cell::{Cell, Check, Context, Dials, ensure, same};
use crate::interop::needs::Need;
use crate::interop::ours::{Id, Ours, next};
use crate::interop::script::Script;
use crate::interop::vectors::{self, Recorded, Verbatim};
use broker::EndpointId;
use broker::data::Value;
use broker::data::json::{decode_data_message, encode_data_message};
use broker::event::StatusCode;
use serde_json::{Value as Json, json};
use std::time::Duration;

const PEER: &str = "peer.py";
const THERE: &str = "/minimal/there";
const BACK: &str = "/minimal/back";

pub(super) fn cells() -> Vec<Cell> {
    const NEEDS: &[Need] = &[Need::File("interop/peer.py")];
    let mut cells = Vec::new();
    let mut add =
        |cell: Cell, dials: &[Dials]| cells.extend(cell.variants(ENCRYPTED_OR_NOT, dials));
    let either = &[Dials::They, Dials::We];
    for id in [Id::Lowest, Id::Highest] {
        let what = format!("handshake, ping and bye, {}", order(id));
        add(Cell::new(PEER, what, NEEDS, move |context| handshake(context, id)), either);
    }
    let values = Cell::new(PEER, "values of all types both ways", NEEDS, values);
    add(values.within(Duration::from_secs(60)), either);
    add(Cell::new(PEER, "routing updates of both sides", NEEDS, updates), either);
    add(Cell::new(PEER, "unicast both ways", NEEDS, unicast), either);
    add(Cell::new(PEER, "forwarding through ours", NEEDS, through_ours), &[Dials::They]);
    add(Cell::new(PEER, "it ends in an orderly way", NEEDS, it_ends), either);
    add(Cell::new(PEER, "it is killed and comes back", NEEDS, it_is_killed), either);
    cells
}

async fn peer(context: &Context, ours: &mut Ours, args: &[&str]) -> Check<(Script, EndpointId)> {
    let (mut theirs, id) = start(context, ours, args).await?;
    let peered = theirs.event("peered").await?;
    same("the peer it names", &peered["peer"], &json!(ours.endpoint.id().to_string()))?;
    ours.protected(id)?;
    Ok((theirs, id))
}

async fn start(context: &Context, ours: &mut Ours, args: &[&str]) -> Check<(Script, EndpointId)> {
    let theirs = match context.dials {
        Dials::We => {
            let mut theirs = Script::minimal(context, "listen", 0, args)?;
            ours.dial(theirs.listening().await?);
            theirs
        }
        _ => Script::minimal(context, "connect", ours.listen(0).await?.port(), args)?,
    };
    let id = ours.added().await?;
    Ok((theirs, id))
}

async fn handshake(context: Context, id: Id) -> Check<String> {
    let mut ours = Ours::start(&context, id)?;
    let (mut theirs, peer) = start(&context, &mut ours, &["--topic", THERE, "--ping"]).await?;
    let peered = theirs.event("peered").await?;
    same("its lead of the handshake", &peered["leads"], &json!(id == Id::Highest))?;
    theirs.event("pong").await?;
    ours.filter(peer, &[THERE]).await?;
    ours.settled(peer).await?;
    theirs.event("ping").await?;
    ensure(ours.endpoint.unpeer_id(peer), "there is nothing to unpeer")?;
    ours.ended(StatusCode::PeerRemoved, peer).await?;
    theirs.event("bye").await?;
    theirs.event("closed").await?;
    ours.quiet()?;
    Ok("discovered, added, a ping each, a bye that was answered".to_owned())
}

/// The members that say what a value is.
fn tagged(value: &Value) -> Check<Json> {
    let mut text = Vec::new();
    encode_data_message("t", value, &mut text);
    let mut json: Json = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    let mut part = |name| json[name].take();
    Ok(json!({"@data-type": part("@data-type"), "data": part("data")}))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn values(context: Context) -> Check<String> {
    let mut ours = Ours::fresh(&context)?;
    let mut subscriber = ours.endpoint.subscribe([BACK]);
    let (mut theirs, id) = peer(&context, &mut ours, &["--topic", THERE]).await?;
    ours.filter(id, &[THERE]).await?;
    let (mut there, mut back) = (0, 0);
    for Recorded { name, payload, .. } in vectors::values()? {
        ours.publish(THERE, &Verbatim(&payload)).await?;
        let message = theirs.event("message").await.map_err(|error| format!("{name}: {error}"))?;
        same(&name, &message["payload"], &json!(hex(&payload)))?;
        there += 1;
        let value = Value::decode(&payload).map_err(|error| format!("{name}: {error}"))?;
        let data = tagged(&value)?;
        // Text that is no UTF-8 has no JSON form that others know.
        let mut again = json!({"type": "data-message", "topic": "t"});
        again["@data-type"] = data["@data-type"].clone();
        again["data"] = data["data"].clone();
        let again = decode_data_message(again.to_string().as_bytes());
        if again.is_ok_and(|again| again.value.encode() == payload) {
            theirs.tell("publish", json!({"topic": BACK, "data": data})).await?;
            let message =
                next(&mut subscriber).await.map_err(|error| format!("{name}: {error}"))?;
            same(&name, &hex(message.payload()), &hex(&payload))?;
            back += 1;
        }
    }
    Ok(format!("{there} values there, {back} back, byte for byte"))
}

async fn updates(context: Context) -> Check<String> {
    let mut ours = Ours::fresh(&context)?;
    let (mut theirs, id) = peer(&context, &mut ours, &["--topic", "/a"]).await?;
    theirs.tell("subscribe", json!({"topics": ["/b"]})).await?;
    ours.filter(id, &["/a", "/b"]).await?;
    theirs.tell("unsubscribe", json!({"topics": ["/a"]})).await?;
    ours.filter(id, &["/b"]).await?;
    let subscriber = ours.endpoint.subscribe(["/c"]);
    same("the filter", &theirs.event("filter").await?["filter"], &json!(["/c"]))?;
    drop(subscriber);
    same("the filter", &theirs.event("filter").await?["filter"], &json!([]))?;
    Ok("both sides follow the other one's filter".to_owned())
}

async fn unicast(context: Context) -> Check<String> {
    let mut ours = Ours::fresh(&context)?;
    let mut subscriber = ours.endpoint.subscribe(["/other", BACK]);
    let (mut theirs, id) = peer(&context, &mut ours, &["--topic", THERE]).await?;
    let published = ours.endpoint.publish_to(id, THERE, "you").await;
    same("the peers", &published.map_err(|error| error.to_string())?.peers, &1)?;
    let message = theirs.event("message").await?;
    same("the receiver", &message["receiver"], &json!(id.to_string()))?;
    same("the data", &message["data"]["data"], &json!("you"))?;
    let own = ours.endpoint.id();
    let data = json!({"@data-type": "string", "data": "you too"});
    let members = json!({"topic": BACK, "data": data, "receiver": own.to_string()});
    theirs.tell("publish", members).await?;
    let message = next(&mut subscriber).await?;
    same("the message", &message.view().as_str(), &Some("you too"))?;
    same("the receiver", &message.receiver(), &own)?;
    Ok("a message each, for the other side only".to_owned())
}

async fn through_ours(context: Context) -> Check<String> {
    let mut ours = Ours::fresh(&context)?;
    ours.endpoint.forward([THERE]).map_err(|error| error.to_string())?;
    let port = ours.listen(0).await?.port();
    let mut to = Script::minimal(&context, "connect", port, &["--topic", THERE])?;
    let id = ours.added().await?;
    ours.filter(id, &[THERE]).await?;
    let mut from = Script::minimal(&context, "connect", port, &["--ttl", "9"])?;
    let sender = ours.added().await?;
    let data = json!({"@data-type": "count", "data": 7});
    from.tell("publish", json!({"topic": THERE, "data": data})).await?;
    let message = to.event("message").await?;
    same("the data", &message["data"], &json!({"@data-type": "count", "data": 7}))?;
    same("the hop limit", &message["ttl"], &json!(8))?;
    ensure(sender != id, "both have one id")?;
    Ok("with a hop limit that is one lower".to_owned())
}

async fn it_ends(context: Context) -> Check<String> {
    let mut ours = Ours::fresh(&context)?;
    let (mut theirs, id) = peer(&context, &mut ours, &["--topic", THERE]).await?;
    theirs.tell("bye", json!({})).await?;
    ours.ended(StatusCode::PeerLost, id).await?;
    theirs.child.end_input();
    ensure(theirs.ended().await?.success(), "it ended with an error")?;
    Ok("lost here, and it ended without an error".to_owned())
}

async fn it_is_killed(context: Context) -> Check<String> {
    let mut ours = Ours::fresh(&context)?;
    let port = crate::interop::child::free_port()?;
    let role = match context.dials {
        Dials::We => {
            ours.dial(port);
            "listen"
        }
        _ => {
            ours.listen(port).await?;
            "connect"
        }
    };
    for _ in 0..3 {
        let theirs = Script::minimal(&context, role, port, &["--topic", THERE])?;
        let id = ours.added().await?;
        ours.filter(id, &[THERE]).await?;
        ours.settled(id).await?;
        theirs.kill().await?;
        ours.ended(StatusCode::PeerLost, id).await?;
    }
    Ok("added and lost three times".to_owned())
}
