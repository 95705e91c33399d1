//! Bridges that do not know of each other.

use crate::support::node_with_more;
use crate::support::{Lab, Node, next, node, ping};
#[cfg(any(feature = "nats", feature = "websocket"))]
use broker_bridge::Carried;
use broker_core::endpoint::{Retry, Subscriber};
use broker_core::{Endpoint, data::Value};
use broker_testkit::websocket::wait_for;

/// The argument of the next event; its marks do not matter.
async fn number(subscriber: &mut Subscriber) -> u64 {
    let value = next(subscriber).await.1;
    let Value::Vector(outer) = &value else { panic!("{value:?}") };
    let Some(Value::Vector(content)) = outer.get(2) else { panic!("{value:?}") };
    match content.get(1) {
        Some(Value::Vector(args)) => match args.as_slice() {
            [Value::Count(number)] => *number,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

async fn native(node: &Node) -> (Endpoint, Subscriber) {
    let (peer, subscriber) = broker_testkit::websocket::native(&node.endpoint, "/t").await;
    wait_for(|| node.endpoint.peer_filter(peer.id()).is_some_and(|f| !f.is_empty())).await;
    (peer, subscriber)
}

/// Overlay, bridge to a cluster, bridge from there back into the overlay.
#[tokio::test]
async fn an_event_crosses_two_bridges_of_one_overlay_and_one_cluster_once_each() {
    let Some(mut lab) = Lab::start().await else { return };
    lab.plain_node("zeek", &["/t"]).await;
    let (out, back) = (node(), node());
    let (peer, mut at_peer) = native(&out).await;
    let url = back.endpoint.listen("tcp://127.0.0.1:0").await.unwrap();
    peer.peer(&url, Retry::never()).await.unwrap();
    out.endpoint.forward(["/t"]).unwrap();
    back.endpoint.forward(["/t"]).unwrap();
    out.peer(&lab.url("&to=/t&from=/other"), Retry::never()).await;
    back.peer(&lab.url("&from=/t"), Retry::never()).await;
    lab.shown("zeek", 1, "/t").await;
    wait_for(|| peer.peer_filter(out.endpoint.id()).is_some_and(|f| !f.is_empty())).await;
    for count in [1, 2] {
        peer.publish("/t", &ping(count)).await.unwrap();
        wait_for(|| out.status().counts[Carried::Crossed] == count).await;
    }
    assert_eq!(back.status().counts[Carried::FromServer], 2);
    assert_eq!(lab.received("zeek", 2).await.len(), 2);
    assert_eq!((number(&mut at_peer).await, number(&mut at_peer).await), (1, 2));
    assert!(at_peer.try_recv().is_err());
}

/// Out of one overlay into a cluster, from there into another, and back through its server of the
/// JSON API.
#[cfg(feature = "websocket")]
#[tokio::test]
async fn a_circle_of_bridges_of_two_kinds_ends() {
    use broker_bridge::websocket::WebSocketBridges;
    use broker_transport_ws::{WsOptions, WsTransport};
    let Some(mut lab) = Lab::start().await else { return };
    lab.plain_node("zeek", &["/t"]).await;
    let ws = |node: broker_core::endpoint::EndpointBuilder, bridges: &broker_bridge::Bridges| {
        let ws = WsTransport::new(WsOptions::default()).unwrap();
        WebSocketBridges::among(bridges, ws).install(node)
    };
    let (first, second) = (node_with_more(&ws), node_with_more(&ws));
    let server = second.endpoint.listen("ws://127.0.0.1:0").await.unwrap();
    let (_native, mut at_first) = native(&first).await;
    let (_other, mut at_second) = native(&second).await;
    first.endpoint.forward(["/t"]).unwrap();
    second.endpoint.forward(["/t"]).unwrap();
    first.peer(&lab.url("&to=/t&from=/none"), Retry::never()).await;
    second.peer(&lab.url("&from=/t"), Retry::never()).await;
    let back = format!("ws://127.0.0.1:{}/v1/messages/json?from=/t", server.port());
    first.endpoint.peer(back, Retry::never()).await.unwrap();
    lab.shown("zeek", 1, "/t").await;
    first.endpoint.publish("/t", &ping(1)).await.unwrap();
    assert_eq!(number(&mut at_first).await, 1);
    assert_eq!(number(&mut at_second).await, 1);
    let crossed =
        || first.bridges.status().iter().map(|bridge| bridge.counts[Carried::Crossed]).sum::<u64>();
    wait_for(|| crossed() == 1).await;
    assert!(at_first.try_recv().is_err() && at_second.try_recv().is_err());
    assert_eq!(lab.received("zeek", 1).await.len(), 1);
}

/// Two bridges of different overlays on one cluster, with another cluster behind the second.
#[tokio::test]
async fn a_ring_of_two_overlays_and_two_clusters_ends() {
    let (Some(mut one), Some(mut two)) = (Lab::start().await, Lab::start().await) else { return };
    for lab in [&mut one, &mut two] {
        lab.plain_node("zeek", &["/t"]).await;
    }
    let (there, back) = (node(), node());
    let (_first, mut at_first) = native(&there).await;
    let (_second, mut at_second) = native(&back).await;
    for node in [&there, &back] {
        node.endpoint.forward(["/t"]).unwrap();
    }
    there.peer(&one.url("&to=/t&from=/none"), Retry::never()).await;
    back.peer(&one.url("&from=/t"), Retry::never()).await;
    back.peer(&two.url("&to=/t&from=/none"), Retry::never()).await;
    there.peer(&two.url("&from=/t"), Retry::never()).await;
    one.shown("zeek", 1, "/t").await;
    there.endpoint.publish("/t", &ping(1)).await.unwrap();
    assert_eq!(number(&mut at_first).await, 1);
    assert_eq!(number(&mut at_second).await, 1);
    let crossed =
        || back.bridges.status().iter().map(|bridge| bridge.counts[Carried::Crossed]).sum::<u64>();
    wait_for(|| crossed() == 1).await;
    assert_eq!(one.received("zeek", 1).await.len(), 1);
    assert!(at_first.try_recv().is_err() && at_second.try_recv().is_err());
}

/// Out of one overlay through a cluster into another, and back through a server of NATS.
#[cfg(feature = "nats")]
#[tokio::test]
async fn a_circle_of_a_cluster_and_a_server_of_nats_ends() {
    use broker_testkit::nats::{Server, eventually};
    use broker_testkit::{or_skip, tools};
    let program = or_skip!(tools::nats_server(env!("CARGO_TARGET_TMPDIR")).await);
    let Some(mut lab) = Lab::start().await else { return };
    let server = Server::start(&program).await;
    lab.plain_node("zeek", &["/t"]).await;
    let nats = |node: broker_core::endpoint::EndpointBuilder, bridges: &broker_bridge::Bridges| {
        broker_bridge::nats::install(bridges, node)
    };
    let (first, second) = (node_with_more(&nats), node_with_more(&nats));
    let (_native, mut at_first) = native(&first).await;
    let (_other, mut at_second) = native(&second).await;
    first.endpoint.forward(["/t"]).unwrap();
    second.endpoint.forward(["/t"]).unwrap();
    let [out, back] = ["to=/t&from=/none", "to=/none&from=/t"].map(|way| server.url(way));
    second.endpoint.peer(out.as_str(), Retry::never()).await.unwrap();
    first.endpoint.peer(back.as_str(), Retry::never()).await.unwrap();
    // Before a subscription is at the server an event is gone.
    let count = |node: &Node, of: fn(&broker_bridge::BridgeStatus) -> u64| {
        node.bridges.status().iter().map(of).sum::<u64>()
    };
    eventually(async || {
        second.endpoint.publish("/t", &ping(0)).await.unwrap();
        count(&first, |bridge| bridge.counts[Carried::FromServer]) > 0
    })
    .await;
    first.peer(&lab.url("&to=/t&from=/none"), Retry::never()).await;
    second.peer(&lab.url("&from=/t"), Retry::never()).await;
    lab.shown("zeek", 1, "/t").await;
    let crossed = || {
        count(&first, |bridge| bridge.counts[Carried::Crossed])
            + count(&second, |b| b.counts[Carried::Crossed])
    };
    let before = crossed();
    first.endpoint.publish("/t", &ping(1)).await.unwrap();
    for subscriber in [&mut at_first, &mut at_second] {
        while number(subscriber).await != 1 {}
    }
    wait_for(|| crossed() > before).await;
    assert_eq!(lab.received("zeek", 1).await.len(), 1);
    assert!(at_first.try_recv().is_err() && at_second.try_recv().is_err());
}
