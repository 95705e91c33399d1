//! What the tests share: servers, and nodes with bridges to them.

use broker_bridge::websocket::WebSocketBridges;
use broker_bridge::{BridgeStatus, Bridges};
use broker_core::data::zeek::{ZeekEvent, ZeekMessageView};
use broker_core::endpoint::{Retry, Subscriber};
use broker_core::{Endpoint, OverflowPolicy};
pub(crate) use broker_testkit::nats::{PATIENCE, Server, eventually};
use broker_testkit::websocket::wait_for;
use broker_transport_tcp::TcpTransport;
use broker_transport_ws::{WsOptions, WsTransport};
use std::path::PathBuf;
use tokio::time::timeout;

/// The program, or why there is none.
pub(crate) async fn program() -> Result<PathBuf, String> {
    broker_testkit::tools::nats_server(env!("CARGO_TARGET_TMPDIR")).await
}

pub(crate) async fn client(server: &Server) -> async_nats::Client {
    async_nats::connect(&server.at).await.unwrap()
}

pub(crate) struct Node {
    pub(crate) endpoint: Endpoint,
    pub(crate) bridges: Bridges,
}

pub(crate) fn node() -> Node {
    let bridges = Bridges::default();
    let ws = WsTransport::new(WsOptions::default()).unwrap();
    let builder = Endpoint::builder()
        .overflow_policy(OverflowPolicy::Wait)
        .transport(TcpTransport::default());
    let builder = WebSocketBridges::among(&bridges, ws).install(builder);
    let endpoint = broker_bridge::nats::install(&bridges, builder).build().unwrap();
    Node { endpoint, bridges }
}

impl Node {
    pub(crate) async fn peer(&self, url: &str) {
        let before = self.endpoint.peers().len();
        self.endpoint.peer(url, Retry::never()).await.unwrap();
        wait_for(|| self.endpoint.peers().len() > before).await;
    }

    /// The sum of a count over the bridges.
    pub(crate) fn count(&self, of: impl Fn(&BridgeStatus) -> u64) -> u64 {
        self.bridges.status().iter().map(of).sum()
    }

    /// Publishes events with these numbers, in order.
    pub(crate) async fn publish(&self, topic: &str, numbers: std::ops::Range<u64>) {
        for number in numbers {
            self.endpoint.publish(topic, &event(number)).await.unwrap();
        }
    }
}

pub(crate) fn event(number: u64) -> broker_core::data::Value {
    ZeekEvent::new("number").arg(number).into()
}

/// The topic and the number of the next event.
pub(crate) async fn next(subscriber: &mut Subscriber) -> (String, u64) {
    let message = timeout(PATIENCE, subscriber.recv()).await.expect("a message in time").unwrap();
    let ZeekMessageView::Event(event) = ZeekMessageView::parse(message.view()).unwrap() else {
        panic!()
    };
    let (number,) = event.read_args::<(u64,)>().unwrap();
    (message.topic().to_string(), number)
}

/// Receives the numbers of a range on one topic, each once and in order.
pub(crate) async fn expect(subscriber: &mut Subscriber, numbers: std::ops::Range<u64>) {
    for number in numbers {
        assert_eq!(next(subscriber).await.1, number);
    }
}
