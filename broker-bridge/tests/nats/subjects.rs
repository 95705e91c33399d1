//! What is on the subjects, and what becomes of what others put there.

use crate::support::{Server, client, event, eventually, next, node, program};
use broker_bridge::Carried;
use broker_core::data::{Value, View, json};
use broker_testkit::or_skip;
use futures_core::Stream;
use std::future::poll_fn;
use std::pin::Pin;

async fn received(subscriber: &mut async_nats::Subscriber) -> async_nats::Message {
    poll_fn(|context| Pin::new(&mut *subscriber).poll_next(context)).await.unwrap()
}

fn header(message: &async_nats::Message, name: &str) -> String {
    message.headers.as_ref().unwrap().get(name).unwrap().as_str().to_owned()
}

#[tokio::test]
async fn messages_are_on_their_subjects_in_both_forms() {
    let program = or_skip!(program().await);
    let server = Server::start(&program).await;
    let client = client(&server).await;
    let mut all = client.subscribe("site.>").await.unwrap();
    client.flush().await.unwrap();
    let node = node();
    node.peer(&server.url("to=/b/&from=/none&subjects=site")).await;

    node.publish("/b/a.b", 1..2).await;
    let message = received(&mut all).await;
    assert_eq!(message.subject.as_str(), "site._.b.a%2Eb");
    assert_eq!(View::parse(&message.payload).unwrap().to_value(), event(1));
    assert_eq!(header(&message, "Broker-Format"), "binary");
    assert_eq!(header(&message, "Broker-Type"), "event");
    assert_eq!(header(&message, "Broker-Hops"), "1");
    assert_eq!(header(&message, "Broker-Origin"), node.endpoint.id().to_string());

    eventually(async || node.count(|bridge| bridge.counts[Carried::ToServer]) == 1).await;
    let node = crate::support::node();
    node.peer(&server.url("to=zeek/&from=/none&subjects=site&format=json")).await;
    node.publish("zeek/event/x", 2..3).await;
    let message = received(&mut all).await;
    assert_eq!(message.subject.as_str(), "site.zeek.event.x");
    let decoded = json::decode_data_message(&message.payload).unwrap();
    assert_eq!((decoded.topic.to_string().as_str(), decoded.value), ("zeek/event/x", event(2)));
    eventually(async || node.count(|bridge| bridge.counts[Carried::ToServer]) == 1).await;
}

#[tokio::test]
async fn what_others_publish_comes_in_as_far_as_it_has_a_meaning() {
    let program = or_skip!(program().await);
    let server = Server::start(&program).await;
    let client = client(&server).await;
    let node = node();
    let mut subscriber = node.endpoint.subscribe(["/in"]);
    // It ends within a part of topics: what is beside it on the subjects is left.
    node.peer(&server.url("to=/out/&from=/in&format=json")).await;
    let text = |number: u64| json::to_string(&event(number)).into_bytes();
    let publish = async |subject: &'static str, payload: Vec<u8>| {
        client.publish(subject, payload.into()).await.unwrap();
    };
    // Until the subscription is there nothing comes.
    eventually(async || {
        publish("_.in.first", text(0)).await;
        client.flush().await.unwrap();
        node.count(|bridge| bridge.counts[Carried::FromServer]) > 0
    })
    .await;
    publish("_.in", text(1)).await;
    publish("_.other", text(2)).await;
    publish("_.in%zz", text(3)).await;
    publish("_.in.x", b"no json".to_vec()).await;
    let mut headers = async_nats::HeaderMap::new();
    headers.insert("X-Zeek-Format", "broker-bin-v1");
    let payload = event(4).encode().to_vec();
    client.publish_with_headers("_.inside", headers, payload.into()).await.unwrap();
    client.flush().await.unwrap();
    let mut topics = Vec::new();
    while topics.last().is_none_or(|(_, number)| *number != 4) {
        topics.push(next(&mut subscriber).await);
    }
    topics.retain(|(_, number)| *number != 0);
    assert_eq!(topics, [("/in".to_owned(), 1), ("/inside".to_owned(), 4)]);
    assert_eq!(node.count(|bridge| bridge.counts[Carried::Unexpected]), 2);
}

#[tokio::test]
async fn a_message_that_the_server_would_not_take_is_counted_and_the_connection_stays() {
    let program = or_skip!(program().await);
    let server = Server::start(&program).await;
    let client = client(&server).await;
    let mut all = client.subscribe("_.b.>").await.unwrap();
    client.flush().await.unwrap();
    let node = node();
    node.peer(&server.url("to=/b/&from=/none")).await;
    let large = Value::from("x".repeat(2 << 20).as_str());
    node.endpoint.publish("/b/large", &large).await.unwrap();
    node.endpoint.publish(format!("/b/{}", "x".repeat(5000)), &event(1)).await.unwrap();
    node.publish("/b/small", 2..3).await;
    assert_eq!(received(&mut all).await.subject.as_str(), "_.b.small");
    assert_eq!(node.count(|bridge| bridge.counts[Carried::TooLarge]), 1);
    assert_eq!(node.count(|bridge| bridge.counts[Carried::Refused]), 1);
}
