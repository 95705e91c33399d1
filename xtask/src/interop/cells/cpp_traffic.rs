//! What goes over peerings with the C++ Broker, driven through its Python module.

use super::cpp_peering::peer;
use super::{CPP, ENCRYPTED_OR_NOT};
use crate::interop::cell::{Cell, Check, Context, Dials, ensure, same};
use crate::interop::needs::Need;
use crate::interop::ours::{Ours, next};
use crate::interop::script::Script;
use crate::interop::vectors::{self, Recorded, Verbatim};
use broker::data::zeek::ZeekEvent;
use broker::data::{EnumValue, Timespan, Timestamp, Value};
use broker::event::StatusCode;
use broker::{Config, OverflowPolicy, SubscriberOptions, SubscriberPolicy};
use rustix::process::Signal;
use serde_json::json;
use std::time::Duration;

const THERE: &str = "/traffic/there";
const BACK: &str = "/traffic/back";

pub(super) fn cells() -> Vec<Cell> {
    const NEEDS: &[Need] = &[Need::CppModule];
    let mut cells = Vec::new();
    let mut add =
        |cell: Cell, dials: &[Dials]| cells.extend(cell.variants(ENCRYPTED_OR_NOT, dials));
    let either = &[Dials::They, Dials::We];
    let long = Duration::from_secs(90);
    add(Cell::new(CPP, "values of all types there and back", NEEDS, there_and_back), either);
    add(Cell::new(CPP, "values of all types that it makes", NEEDS, its_own), either);
    add(Cell::new(CPP, "messages of 1 MB both ways", NEEDS, megabytes).within(long), either);
    add(Cell::new(CPP, "routing updates of both sides", NEEDS, updates), either);
    add(Cell::new(CPP, "unicast", NEEDS, unicast), &[Dials::They]);
    add(Cell::new(CPP, "forwarding through ours", NEEDS, through_ours), &[Dials::They]);
    add(Cell::new(CPP, "forwarding through it", NEEDS, through_theirs), &[Dials::We]);
    add(Cell::new(CPP, "overflow at our side", NEEDS, we_overflow).within(long), either);
    add(Cell::new(CPP, "overflow at its side", NEEDS, it_overflows).within(long), either);
    add(Cell::new(CPP, "a Zeek cluster's hello both ways", NEEDS, hello), either);
    cells
}

/// It reads each value and writes it again.
async fn there_and_back(context: Context) -> Check<String> {
    let mut ours = Ours::fresh(&context)?;
    let mut subscriber = ours.endpoint.subscribe([BACK]);
    let (mut theirs, id, _) = peer(&context, &mut ours, &[]).await?;
    theirs.tell("echo", json!({"from": THERE, "to": BACK})).await?;
    ours.filter(id, &[THERE]).await?;
    let mut count = 0;
    for Recorded { name, payload, .. } in vectors::values()? {
        ours.publish(THERE, &Verbatim(&payload)).await?;
        let message = next(&mut subscriber).await.map_err(|error| format!("{name}: {error}"))?;
        ensure(message.payload() == payload, format!("{name} came back as {:?}", message.data()))?;
        count += 1;
    }
    Ok(format!("{count} values, byte for byte"))
}

/// What the module makes of values of Python.
fn expected() -> Check<Vec<Value>> {
    let parse = |error: &dyn std::fmt::Display| error.to_string();
    let address = |text: &str| text.parse().map(Value::Address).map_err(|error| parse(&error));
    Ok(vec![
        Value::None,
        Value::Boolean(true),
        Value::Count(u64::MAX),
        Value::Integer(i64::MIN),
        Value::Real(1.5),
        Value::from("text \"quoted\""),
        address("10.0.0.7")?,
        address("2001:db8::1")?,
        Value::Subnet("10.0.0.0/8".parse().map_err(|error| parse(&error))?),
        Value::Port("80/tcp".parse().map_err(|error| parse(&error))?),
        Value::Timestamp(Timestamp(1_649_574_000_000_000_000)),
        Value::Timespan(Timespan(1_500_000_000)),
        Value::Enum(EnumValue("Conn::LOG".into())),
        Value::Set([Value::Count(1), Value::Count(2)].into()),
        Value::Table([(Value::from("k"), Value::Count(1))].into()),
        Value::Vector(vec![Value::Integer(1), Value::Vector(vec![Value::from("nested")])]),
    ])
}

async fn its_own(context: Context) -> Check<String> {
    let mut ours = Ours::fresh(&context)?;
    let mut subscriber = ours.endpoint.subscribe([BACK]);
    let (mut theirs, ..) = peer(&context, &mut ours, &[]).await?;
    theirs.tell("values", json!({"topic": BACK})).await?;
    let expected = expected()?;
    for value in &expected {
        let found = next(&mut subscriber).await?.data().map_err(|error| error.to_string())?;
        same("the value", &found, value)?;
    }
    Ok(format!("{} values", expected.len()))
}

async fn megabytes(context: Context) -> Check<String> {
    const COUNT: usize = 16;
    const SIZE: usize = 1_000_000;
    let mut ours = Ours::fresh(&context)?;
    let mut subscriber = ours.endpoint.subscribe([BACK]);
    let (mut theirs, id, _) = peer(&context, &mut ours, &[]).await?;
    theirs.tell("echo", json!({"from": THERE, "to": BACK})).await?;
    ours.filter(id, &[THERE]).await?;
    let endpoint = ours.endpoint.clone();
    let text = move |number: usize| format!("{number} {}", "x".repeat(SIZE));
    let sending = tokio::spawn(async move {
        for number in 0..COUNT {
            endpoint.publish(THERE, text(number).as_str()).await?;
        }
        Ok::<(), broker::PublishError>(())
    });
    for number in 0..COUNT {
        let message = next(&mut subscriber).await?;
        ensure(
            message.view().as_str() == Some(&text(number)),
            format!("{number} came back changed"),
        )?;
    }
    let sent = sending.await.map_err(|error| error.to_string())?;
    sent.map_err(|error| error.to_string())?;
    theirs.tell("burst", json!({"topic": BACK, "count": COUNT, "size": SIZE})).await?;
    for number in 0..COUNT {
        let message = next(&mut subscriber).await?;
        let text = message.view().as_str().unwrap_or_default();
        same("the size", &text.len(), &SIZE)?;
        ensure(text.starts_with(&format!("{number} ")), format!("{number} is another one"))?;
    }
    Ok(format!("{COUNT} there and back, {COUNT} more from there"))
}

async fn updates(context: Context) -> Check<String> {
    let mut ours = Ours::fresh(&context)?;
    let (mut theirs, id, _) = peer(&context, &mut ours, &["/a"]).await?;
    theirs.tell("subscribe", json!({"topics": ["/b", "/c"]})).await?;
    ours.filter(id, &["/a", "/b", "/c"]).await?;
    theirs.tell("unsubscribe", json!({"topics": ["/b"]})).await?;
    theirs.event("unsubscribed").await?;
    // A C++ Broker never takes back what it has announced.
    theirs.tell("subscribe", json!({"topics": ["/d"]})).await?;
    ours.filter(id, &["/a", "/b", "/c", "/d"]).await?;
    let mut received = Vec::new();
    for (text, subscribed) in [("one", false), ("two", true), ("three", false), ("four", true)] {
        let subscriber = subscribed.then(|| ours.endpoint.subscribe([BACK]));
        // The answer to a ping shows that the update before it has been handled.
        ours.settled(id).await?;
        theirs.tell("publish", json!({"topic": BACK, "text": text})).await?;
        theirs.tell("peers", json!({})).await?;
        theirs.event("peers").await?;
        if let Some(mut subscriber) = subscriber {
            received
                .push(next(&mut subscriber).await?.view().as_str().unwrap_or_default().to_owned());
        }
    }
    same("what arrived", &received, &vec!["two".to_owned(), "four".to_owned()])?;
    Ok("our peer's filter grows and never shrinks; it sends only what is asked for".to_owned())
}

async fn unicast(context: Context) -> Check<String> {
    let mut ours = Ours::fresh(&context)?;
    let port = ours.listen(0).await?.port();
    let mut first = Script::cpp(&context, "connect", port, &[THERE])?;
    let id = ours.added().await?;
    let mut second = Script::cpp(&context, "connect", port, &[THERE])?;
    let other = ours.added().await?;
    ours.filter(id, &[THERE]).await?;
    ours.filter(other, &[THERE]).await?;
    let to_one = |receiver, text: &'static str| {
        let endpoint = ours.endpoint.clone();
        async move { endpoint.publish_to(receiver, THERE, text).await.map_err(|e| e.to_string()) }
    };
    to_one(id, "for the first").await?;
    to_one(other, "for the second").await?;
    let published = ours.endpoint.publish(THERE, "for both").await;
    same("the peers", &published.map_err(|error| error.to_string())?.peers, &2)?;
    for (script, own) in [(&mut first, "for the first"), (&mut second, "for the second")] {
        for expected in [own, "for both"] {
            same("the message", &script.event("message").await?["text"], &json!(expected))?;
        }
    }
    Ok("each got its own message and the one for both".to_owned())
}

async fn through_ours(context: Context) -> Check<String> {
    const COUNT: usize = 200;
    let mut ours = Ours::fresh(&context)?;
    ours.endpoint.forward([THERE]).map_err(|error| error.to_string())?;
    let port = ours.listen(0).await?.port();
    let mut to = Script::cpp(&context, "connect", port, &[THERE])?;
    let id = ours.added().await?;
    ours.filter(id, &[THERE]).await?;
    let mut from = Script::cpp(&context, "connect", port, &[])?;
    let id = ours.added().await?;
    ours.settled(id).await?;
    from.tell("burst", json!({"topic": THERE, "count": COUNT, "size": 20})).await?;
    for number in 0..COUNT {
        let text = to.event("message").await?["text"].as_str().unwrap_or_default().to_owned();
        ensure(text.starts_with(&format!("{number} ")), format!("{text:?} is not {number}"))?;
    }
    Ok(format!("{COUNT} messages in order"))
}

async fn through_theirs(context: Context) -> Check<String> {
    const COUNT: u64 = 200;
    let (mut from, mut to) = (Ours::fresh(&context)?, Ours::fresh(&context)?);
    let mut subscriber = to.endpoint.subscribe([THERE]);
    let (mut theirs, id, port) = peer(&context, &mut to, &[]).await?;
    theirs.tell("forward", json!({"topics": [THERE]})).await?;
    theirs.event("forwards").await?;
    // What changes while it is in the middle of a handshake it tells that peer never.
    to.filter(id, &[THERE]).await?;
    from.dial(port);
    same("the peer", &from.added().await?, &id)?;
    from.filter(id, &[THERE]).await?;
    to.settled(id).await?;
    for number in 0..COUNT {
        from.publish(THERE, &number).await?;
    }
    for number in 0..COUNT {
        let message = next(&mut subscriber).await?;
        same("the number", &message.view().as_count(), &Some(number))?;
        same("the last hop", &message.sender(), &id)?;
    }
    Ok(format!("{COUNT} messages in order"))
}

/// It stops reading, so our queue for it overflows.
async fn we_overflow(context: Context) -> Check<String> {
    let config = Config { overflow_policy: OverflowPolicy::Disconnect, ..Config::default() };
    let mut ours = Ours::with(&context, config)?;
    let (mut theirs, id, _) = peer(&context, &mut ours, &[THERE]).await?;
    theirs.child.signal(Signal::STOP)?;
    let endpoint = ours.endpoint.clone();
    let text = "x".repeat(10_000);
    let flood = async {
        loop {
            endpoint.publish(THERE, text.as_str()).await.map_err(|error| error.to_string())?;
        }
    };
    tokio::select! {
        ended = ours.ended(StatusCode::PeerRemoved, id) => ended?,
        failed = flood => return failed,
    }
    theirs.child.signal(Signal::CONT)?;
    theirs.status("peer_lost").await?;
    Ok("removed here, lost there".to_owned())
}

/// Our subscriber takes nothing, so we read nothing, and its queue for us overflows.
async fn it_overflows(context: Context) -> Check<String> {
    let mut ours = Ours::fresh(&context)?;
    let options = SubscriberOptions {
        messages: Some(1),
        ..SubscriberOptions::with_policy(SubscriberPolicy::Wait)
    };
    let subscriber = ours.endpoint.try_subscribe([BACK], options);
    let mut subscriber = subscriber.map_err(|error| error.to_string())?;
    let (mut theirs, id, _) = peer(&context, &mut ours, &[]).await?;
    theirs.tell("burst", json!({"topic": BACK, "count": 20_000, "size": 10_000})).await?;
    let removed = theirs.status("peer_removed").await?;
    let text = removed["text"].as_str().unwrap_or_default();
    ensure(text.contains("backpressure_overflow"), format!("it says {text:?}"))?;
    // What was under way is delivered first.
    let reading = async {
        while subscriber.recv().await.is_some() {}
        Err("the endpoint has stopped".to_owned())
    };
    tokio::select! {
        ended = ours.ended(StatusCode::PeerLost, id) => ended?,
        failed = reading => return failed,
    }
    Ok("removed there, lost here".to_owned())
}

/// What nodes of a cluster say to each other when they meet.
async fn hello(context: Context) -> Check<String> {
    const NAME: &str = "Cluster::hello";
    const TOPIC: &str = "zeek/cluster/node/worker-1/";
    let mut ours = Ours::fresh(&context)?;
    let mut subscriber = ours.endpoint.subscribe(["zeek/cluster/"]);
    let (mut theirs, ..) = peer(&context, &mut ours, &["zeek/cluster/"]).await?;
    let id = ours.endpoint.id().to_string();
    ours.publish(TOPIC, &ZeekEvent::new(NAME).arg("manager").arg(id.as_str())).await?;
    let message = theirs.event("message").await?;
    let text = message["text"].as_str().unwrap_or_default();
    let shown = format!("{NAME}, (manager, {id})");
    ensure(text.contains(&shown), format!("it got {text:?}"))?;
    theirs.tell("event", json!({"topic": TOPIC, "name": NAME, "args": ["worker-1", "x"]})).await?;
    let message = next(&mut subscriber).await?;
    let event = message.event().map_err(|error| error.to_string())?;
    same("the event", &event.name().to_string().as_str(), &NAME)?;
    let expected = Value::Vector(vec![Value::from("worker-1"), Value::from("x")]);
    same("the arguments", &event.args().to_value(), &expected)?;
    Ok("one each".to_owned())
}
