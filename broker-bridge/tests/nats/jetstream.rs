//! Streams: nothing is lost, nothing comes twice, and the order is kept, whatever servers do.

use crate::support::{Server, client, eventually, expect, next, node, program};
use broker_bridge::Carried;
use broker_testkit::or_skip;
use std::time::Duration;

const OUT: &str = "to=/j/&from=/none/&stream=S&repeats=0";
const IN: &str = "to=/none/&from=/j/&stream=S&durable=D&repeats=0";

/// The messages of a topic, while its server is killed in the middle of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_loses_nothing_and_nothing_comes_twice() {
    let program = or_skip!(program().await);
    let count = std::env::var("BROKER_NATS_MESSAGES").map_or(2000, |text| text.parse().unwrap());
    let mut server = Server::start(&program).await;
    let (out, into) = (node(), node());
    let mut subscriber = into.endpoint.subscribe(["/j/"]);
    out.peer(&server.url(OUT)).await;
    into.peer(&server.url(IN)).await;
    let publisher = out.endpoint.clone();
    let publishing = tokio::spawn(async move {
        for number in 0..count {
            publisher.publish("/j/a", &crate::support::event(number)).await.unwrap();
        }
    });
    expect(&mut subscriber, 0..count / 4).await;
    server.kill();
    // Some of it waits in the spool.
    tokio::time::sleep(Duration::from_millis(300)).await;
    server.run().await;
    expect(&mut subscriber, count / 4..count).await;
    publishing.await.unwrap();
    eventually(async || out.count(|bridge| bridge.counts[Carried::ToServer]) == count).await;
    assert_eq!(out.count(|bridge| bridge.counts[Carried::Lost]), 0);
    // What would come twice would come in front of this.
    out.publish("/j/a", count..count + 1).await;
    assert_eq!(next(&mut subscriber).await.1, count);
    let context = async_nats::jetstream::new(client(&server).await);
    let stream = context.get_stream("S").await.unwrap();
    assert_eq!(stream.cached_info().state.messages, count + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_three_servers_can_be_killed() {
    let program = or_skip!(program().await);
    let mut servers = Server::cluster(&program, 3).await;
    let others = format!("server={}&server={}", servers[1].at, servers[2].at);
    let (out, into) = (node(), node());
    let mut subscriber = into.endpoint.subscribe(["/j/"]);
    let out_url = servers[0].url(&format!("{OUT}&replicas=3&{others}"));
    let in_url = servers[0].url(&format!("{IN}&replicas=3&{others}"));
    // Until the servers have elected a leader there is no stream.
    eventually(async || {
        out.endpoint.peer(&*out_url, broker_core::endpoint::Retry::never()).await.is_ok()
    })
    .await;
    into.peer(&in_url).await;
    out.publish("/j/a", 0..200).await;
    expect(&mut subscriber, 0..200).await;
    // The one that leads the stream.
    let context = async_nats::jetstream::new(client(&servers[1]).await);
    let stream = context.get_stream("S").await.unwrap();
    let leader = stream.cached_info().cluster.as_ref().unwrap().leader.clone().unwrap();
    let at: usize = leader.strip_prefix('n').unwrap().parse().unwrap();
    servers[at].kill();
    out.publish("/j/a", 200..600).await;
    expect(&mut subscriber, 200..600).await;
    eventually(async || out.count(|bridge| bridge.counts[Carried::ToServer]) == 600).await;
    assert_eq!(out.count(|bridge| bridge.counts[Carried::Lost]), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_durable_consumer_goes_on_where_it_stopped() {
    let program = or_skip!(program().await);
    let server = Server::start(&program).await;
    let out = node();
    out.peer(&server.url(OUT)).await;
    out.publish("/j/a", 0..100).await;
    for numbers in [0..100, 100..200] {
        let into = node();
        let mut subscriber = into.endpoint.subscribe(["/j/"]);
        into.peer(&server.url(IN)).await;
        expect(&mut subscriber, numbers.clone()).await;
        into.endpoint.shutdown().await;
        out.publish("/j/a", numbers.end..numbers.end + 100).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_in_files_is_sent_by_the_next_process() {
    let program = or_skip!(program().await);
    let mut server = Server::start(&program).await;
    let directory = tempfile::tempdir().unwrap();
    let url = server.url(&format!("{OUT}&spool-dir={}", directory.path().display()));
    let out = node();
    out.peer(&url).await;
    out.publish("/j/a", 0..10).await;
    eventually(async || out.count(|bridge| bridge.counts[Carried::ToServer]) == 10).await;
    server.kill();
    out.publish("/j/a", 10..500).await;
    eventually(async || out.count(|bridge| bridge.counts[Carried::ToServer]) == 500).await;
    out.endpoint.shutdown().await;
    server.run().await;
    let again = node();
    again.peer(&url).await;
    let into = node();
    let mut subscriber = into.endpoint.subscribe(["/j/"]);
    into.peer(&server.url(IN)).await;
    expect(&mut subscriber, 0..500).await;
    again.publish("/j/a", 500..501).await;
    expect(&mut subscriber, 500..501).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stands_still_is_not_noticed_in_the_overlay() {
    let program = or_skip!(program().await);
    let server = Server::start(&program).await;
    let out = node();
    let (peer, mut at_peer) = broker_testkit::websocket::native(&out.endpoint, "/j/").await;
    out.peer(&server.url(&format!("{OUT}&spool=200000"))).await;
    out.publish("/j/a", 0..10).await;
    eventually(async || out.count(|bridge| bridge.counts[Carried::ToServer]) == 10).await;
    server.signal("-STOP");
    // More than the spool holds, and everybody else has all of it at once.
    out.publish("/j/a", 10..5000).await;
    expect(&mut at_peer, 0..5000).await;
    eventually(async || out.count(|bridge| bridge.counts[Carried::Lost]) > 0).await;
    assert_eq!(out.endpoint.peers().len(), 2);
    server.signal("-CONT");
    eventually(async || {
        out.count(|bridge| bridge.counts[Carried::ToServer])
            + out.count(|bridge| bridge.counts[Carried::Lost])
            == 5000
    })
    .await;
    let context = async_nats::jetstream::new(client(&server).await);
    let stream = context.get_stream("S").await.unwrap();
    let stored = stream.cached_info().state.messages;
    assert_eq!(stored, out.count(|bridge| bridge.counts[Carried::ToServer]));
    assert_eq!(out.endpoint.peers().len(), 2);
    drop(peer);
}
