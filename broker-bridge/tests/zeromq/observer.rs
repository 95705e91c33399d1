//! Subscribing and publishing without being noticed.

use crate::support::{Lab, dropping_node, next, node, ping};
use broker_bridge::Carried;
use broker_core::data::Value;
use broker_core::data::zeek::{ZeekEvent, ZeekMessage};
use broker_core::endpoint::Retry;
use broker_testkit::websocket::{PATIENCE, wait_for};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn events_go_both_ways_without_being_encoded_anew() {
    let Some(mut lab) = Lab::start().await else { return };
    lab.plain_node("zeek", &["/out/", "zeek.cluster.worker"]).await;
    let node = node();
    let mut here = node.endpoint.subscribe(["/in/", "zeek/cluster/node/"]);
    node.peer(&lab.url("&to=/out/&to=zeek/cluster/worker"), Retry::never()).await;
    lab.shown("zeek", 1, "/in/").await;
    // Into the overlay, in both serializations.
    lab.publish("zeek", "/in/a", &ping(1)).await;
    assert_eq!(next(&mut here).await, ("/in/a".to_owned(), ping(1)));
    let json = broker_core::data::json::to_string(&ping(2));
    let publish = json!({ "do": "publish", "key": "zeek", "topic": "/in/b",
        "serializer": "broker-json-v1", "payload": crate::support::hex(json.as_bytes()) });
    lab.run(publish).await;
    assert_eq!(next(&mut here).await, ("/in/b".to_owned(), ping(2)));
    lab.publish("zeek", "zeek.cluster.node.w-1.", &ping(3)).await;
    assert_eq!(next(&mut here).await, ("zeek/cluster/node/w-1/".to_owned(), ping(3)));
    // Out of it; a batch is unpacked, what is no event stays here.
    let batch = ZeekMessage::Batch(vec![ZeekEvent::new("a").into(), ZeekEvent::new("b").into()]);
    node.endpoint.publish("/out/x", &ping(4)).await.unwrap();
    node.endpoint.publish("/out/y", &Value::from(batch)).await.unwrap();
    node.endpoint.publish("/out/z", &Value::Count(1)).await.unwrap();
    node.endpoint.publish("zeek/cluster/worker", &ping(5)).await.unwrap();
    let received = lab.received("zeek", 4).await;
    let payloads = [ping(4), ZeekEvent::new("a").into(), ZeekEvent::new("b").into(), ping(5)];
    let topics = ["/out/x", "/out/y", "/out/y", "zeek.cluster.worker"];
    for ((message, payload), topic) in received.iter().zip(&payloads).zip(topics) {
        assert_eq!(message.len(), 4);
        assert_eq!((&message[0][..], &message[2][..]), (topic.as_bytes(), &b"broker-bin-v1"[..]));
        assert_eq!(message[3], payload.encode());
    }
    wait_for(|| node.status().counts[Carried::NoEvent] == 1).await;
}

#[tokio::test]
async fn what_would_harm_nodes_or_is_not_listed_stays_here() {
    let Some(mut lab) = Lab::start().await else { return };
    lab.plain_node("zeek", &[""]).await;
    let node = node();
    node.peer(&lab.url("&to=/out&to=zeek.&from=/in/&event=ping&event=Cluster::*"), Retry::never())
        .await;
    for (topic, name) in [
        ("/out", "Cluster::hello"),
        ("/out", "other"),
        ("zeek.cluster.nodeid.x.", "ping"),
        ("zeek.zeromq.internal.x.", "ping"),
        ("/out", "ping"),
    ] {
        node.endpoint.publish(topic, &Value::from(ZeekEvent::new(name))).await.unwrap();
    }
    let received: Vec<_> = lab.received("zeek", 1).await;
    assert_eq!(received[0][3], Value::from(ZeekEvent::new("ping")).encode());
    wait_for(|| node.status().counts[Carried::NotAllowed] == 4).await;
}

#[tokio::test]
async fn what_is_no_event_does_not_get_into_the_overlay() {
    let Some(mut lab) = Lab::start().await else { return };
    lab.plain_node("zeek", &[]).await;
    let node = node();
    let mut here = node.endpoint.subscribe(["/in/"]);
    node.peer(&lab.url(""), Retry::never()).await;
    lab.shown("zeek", 1, "/in/").await;
    lab.publish("zeek", "/in/a", &Value::Count(1)).await;
    for parts in [1, 3, 5] {
        let publish = json!({ "do": "publish", "key": "zeek", "topic": "/in/b", "payload": "00",
            "parts": parts });
        lab.run(publish).await;
    }
    lab.publish("zeek", "/in/c", &ping(1)).await;
    assert_eq!(next(&mut here).await.1, ping(1));
    assert_eq!(node.status().counts[Carried::Unexpected], 4);
}

#[tokio::test]
async fn a_ping_is_answered_when_the_proxy_has_everything() {
    let Some(mut lab) = Lab::start().await else { return };
    lab.plain_node("zeek", &["/out/"]).await;
    let node = node();
    node.peer(&lab.url("&to=/out/"), Retry::never()).await;
    for number in 0..500 {
        node.endpoint.publish("/out/", &ping(number)).await.unwrap();
    }
    let peer = node.endpoint.peers()[0].id.unwrap();
    tokio::time::timeout(PATIENCE, node.endpoint.ping(peer)).await.unwrap().unwrap();
    assert_eq!(node.status().counts[Carried::ToServer], 500);
    assert_eq!(lab.received("zeek", 500).await.len(), 500);
    // Nobody else subscribes to probes, so nobody gets one.
    assert_eq!(lab.run(json!({ "do": "count", "key": "zeek", "count": 500 })).await["count"], 500);
}

#[tokio::test]
async fn subscriptions_are_counted() {
    let Some(mut lab) = Lab::start().await else { return };
    lab.plain_node("watch", &[]).await;
    let node = node();
    let url = lab.url("&to=/out/");
    node.peer(&url, Retry::never()).await;
    let (one, two) = (node.endpoint.subscribe(["/a/"]), node.endpoint.subscribe(["/a/"]));
    lab.shown("watch", 1, "/a/").await;
    drop(one);
    let mut other = node.endpoint.subscribe(["/b/"]);
    lab.shown("watch", 1, "/b/").await;
    let seen = lab.run(json!({ "do": "shown_all", "key": "watch" })).await.to_string();
    let a = crate::support::hex(b"/a/");
    assert_eq!(seen.matches(&format!("01{a}")).count(), 1);
    assert_eq!(seen.matches(&format!("00{a}")).count(), 0);
    drop(two);
    lab.shown("watch", 0, "/a/").await;
    // It is the same connection.
    lab.publish("watch", "/b/x", &ping(1)).await;
    assert_eq!(next(&mut other).await.1, ping(1));
    assert!(node.endpoint.unpeer(&url));
    lab.shown("watch", 0, "/b/").await;
}

#[tokio::test]
async fn an_observer_sees_nodes_come_and_go() {
    let Some(mut lab) = Lab::start().await else { return };
    let id = "zeromq_worker-1_vm_1_Nx";
    lab.node(json!({ "key": "w", "name": "worker-1", "id": id, "prefixes": [] })).await;
    let mut node = node();
    node.peer(&lab.url("&to=/out/&from=/in/"), Retry::never()).await;
    node.told("worker-1 is there").await;
    let members = node.status().members;
    assert_eq!((members[0].id.as_str(), members[0].name.as_deref()), (id, Some("worker-1")));
    lab.run(json!({ "do": "leave", "key": "w" })).await;
    node.told("worker-1 has gone").await;
    assert!(node.status().members.is_empty());
}

#[tokio::test]
async fn a_proxy_that_comes_back_is_connected_to_again_and_nobody_stale_is_left() {
    let Some(mut lab) = Lab::start().await else { return };
    let id = |name: &str| format!("zeromq_{name}_vm_1_N{name}");
    for name in ["a", "b"] {
        lab.node(json!({ "key": name, "name": name, "id": id(name), "prefixes": [] })).await;
    }
    let mut node = node();
    let mut here = node.endpoint.subscribe(["/in/"]);
    node.peer(&lab.url(""), Retry::every(Duration::from_millis(50))).await;
    wait_for(|| node.status().members.len() == 2).await;
    lab.run(json!({ "do": "stop" })).await;
    lab.run(json!({ "do": "leave", "key": "b" })).await;
    lab.forwarder(json!({ "sub": lab.sub, "pub": lab.publish })).await;
    node.told("a is there").await;
    wait_for(|| node.bridges.status().iter().any(|bridge| bridge.members.len() == 1)).await;
    lab.plain_node("watch", &[]).await;
    lab.shown("watch", 1, "/in/").await;
    lab.publish("watch", "/in/x", &ping(1)).await;
    assert_eq!(next(&mut here).await.1, ping(1));
}

/// A subscriber that stops reading stops the proxy for everybody.
#[tokio::test]
async fn the_cluster_is_not_slowed_down_by_an_overlay_that_does_not_read() {
    const COUNT: u64 = 60_000;
    let Some(mut lab) = Lab::start().await else { return };
    lab.plain_node("fast", &["/in/"]).await;
    let node = node();
    // Nobody takes anything out of this.
    let options = broker_core::endpoint::SubscriberOptions {
        messages: Some(1),
        ..broker_core::endpoint::SubscriberOptions::with_policy(broker_core::SubscriberPolicy::Wait)
    };
    let blocked = node.endpoint.try_subscribe(["/in/"], options).unwrap();
    node.peer(&lab.url(""), Retry::never()).await;
    lab.shown("fast", 1, "/in/").await;
    let event = Value::from(ZeekEvent::new("ping").arg("x".repeat(200)));
    let flood = json!({ "do": "flood", "key": "fast", "topic": "/in/x",
        "payload": crate::support::hex(&event.encode()), "count": COUNT });
    lab.run(flood).await;
    let count = lab.run(json!({ "do": "count", "key": "fast", "count": COUNT })).await;
    assert_eq!(count["count"], COUNT);
    drop(blocked);
    wait_for(|| node.status().counts[Carried::Overflow] > 0).await;
    wait_for(|| {
        node.status().counts[Carried::Overflow] + node.status().counts[Carried::FromServer] == COUNT
    })
    .await;
}

#[tokio::test]
async fn the_overlay_goes_on_while_the_cluster_is_stopped() {
    let Some(mut lab) = Lab::start().await else { return };
    lab.plain_node("zeek", &["/t"]).await;
    let node = dropping_node();
    node.peer(&lab.url("&to=/t&from=/in/"), Retry::never()).await;
    let cluster = node.endpoint.peers()[0].id.unwrap();
    let (_native, mut received) = broker_testkit::websocket::native(&node.endpoint, "/t").await;
    wait_for(|| node.endpoint.peers().len() == 2).await;
    let is_wanted = |peer: &broker_core::endpoint::PeerInfo| {
        node.endpoint.peer_filter(peer.id.unwrap()).is_some_and(|filter| !filter.is_empty())
    };
    wait_for(|| node.endpoint.peers().iter().all(is_wanted)).await;
    lab.signal("-STOP").await;
    let text = "x".repeat(500);
    let dropped = || node.endpoint.peering_stats().get(&cluster).map_or(0, |stats| stats.dropped);
    // How much the sockets take before the queue of the peering fills is up to the kernel.
    let mut count = 0_u64;
    while dropped() == 0 {
        let event = Value::from(ZeekEvent::new("ping").arg(count).arg(text.as_str()));
        node.endpoint.publish("/t", &event).await.unwrap();
        next(&mut received).await;
        count += 1;
    }
    lab.signal("-CONT").await;
    // What was in the queue gets there, and is confirmed.
    wait_for(|| node.status().counts[Carried::ToServer] + dropped() == count).await;
}
