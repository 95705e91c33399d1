//! Before a connection is a peering.

use super::raw::{RAW, Raw, raw};
use super::{TOO_LONG, endpoint, log, reason};
use async_trait::async_trait;
use broker_core::endpoint::Retry;
use broker_core::transport::{
    Connection, Incoming, Listener, ListenerProtection, Transport, TransportError,
};
use broker_core::wire::handshake::HandshakeMessage;
use broker_core::{Address, Endpoint, Limits};
use std::time::Duration;

fn last_of(frames: &[Vec<u8>]) -> HandshakeMessage {
    HandshakeMessage::decode(frames.last().unwrap(), Limits::default().filter()).unwrap()
}

#[tokio::test]
async fn a_handshake_frame_above_the_limit_is_not_awaited() {
    let (_endpoint, net, url, mut events) = endpoint("handshake-frame = 100").await;
    let mut raw = Raw::dial(&net, &url).await;
    raw.send(&101_u32.to_be_bytes()).await.unwrap();
    raw.until_closed().await;
    assert_eq!(reason(&mut events, "handshake-failed").await, "frame-too-large");
    let mut raw = Raw::dial(&net, &url).await;
    raw.shake_hands(&["/a/topic/of/ninety/bytes/that/makes/a/frame/of/up/to/a/hundred"]).await;
}

#[tokio::test]
async fn a_filter_of_the_largest_size_is_let_in() {
    let limits = "handshake-frame = 100\nfilter-bytes = 90_000\nfilter-entries = 9000";
    let (endpoint, net, url, _events) = endpoint(limits).await;
    let filter = vec!["/ten/byte"; 9000];
    let _raw = Raw::peer(&net, &url, RAW, &filter).await;
    assert_eq!(endpoint.peer_filter(RAW).unwrap(), ["/ten/byte"]);
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_takes_too_long_is_ended() {
    let (_endpoint, net, url, mut events) = endpoint("handshake-time = 0.25").await;
    let began = tokio::time::Instant::now();
    let mut silent = Raw::dial(&net, &url).await;
    assert_eq!(silent.until_closed().await.len(), 1);
    assert_eq!(began.elapsed(), Duration::from_millis(250));
    assert_eq!(reason(&mut events, "handshake-failed").await, "handshake-timeout");
    // Bytes that make no progress gain no time.
    let began = tokio::time::Instant::now();
    let mut slow = Raw::dial(&net, &url).await;
    for byte in HandshakeMessage::hello(RAW).to_frame() {
        tokio::time::sleep(Duration::from_millis(20)).await;
        if slow.send(&[byte]).await.is_err() {
            break;
        }
    }
    slow.until_closed().await;
    assert!(began.elapsed() <= Duration::from_millis(270 + 1000));
    assert_eq!(reason(&mut events, "handshake-failed").await, "handshake-timeout");
}

#[tokio::test]
async fn the_oldest_half_open_connection_makes_room() {
    let (endpoint, net, url, mut events) = endpoint("half-open = 2").await;
    let mut first = Raw::dial(&net, &url).await;
    let mut second = Raw::dial(&net, &url).await;
    assert!(first.frame().await.is_some() && second.frame().await.is_some(), "the probes");
    let third = Raw::peer(&net, &url, RAW, &[]).await;
    assert!(first.until_closed().await.is_empty());
    let log = log(&mut events, "handshake-failed").await;
    assert_eq!(log.reason, Some(broker_core::Reason::LimitReached));
    assert!(log.description.contains("the limit half-open is 2"), "{}", log.description);
    // Peers do not count, so there is room again.
    let mut fourth = Raw::dial(&net, &url).await;
    assert!(fourth.frame().await.is_some());
    second.shake_hands_after_the_probe(raw(0xdd)).await;
    assert_eq!(endpoint.peers().len(), 2);
    drop(third);
}

#[tokio::test]
async fn one_peer_too_many_is_told_so() {
    let (_endpoint, net, url, mut events) = endpoint("peers = 1").await;
    let _first = Raw::peer(&net, &url, RAW, &[]).await;
    let mut second = Raw::dial(&net, &url).await;
    second.say(&HandshakeMessage::hello(raw(0xdd))).await;
    let frames = second.until_closed().await;
    let last = last_of(&frames);
    let HandshakeMessage::DropConn { description, .. } = last else { panic!("{last:?}") };
    assert_eq!(description, "too many peers");
    assert_eq!(reason(&mut events, "handshake-failed").await, "limit-reached");
}

#[tokio::test]
async fn a_filter_above_the_limits_is_refused_in_the_handshake() {
    for (limits, topics) in [
        ("filter-entries = 2", &["/a", "/b", "/c"][..]),
        ("filter-bytes = 10", &["/more/than/ten/bytes"]),
        ("filter-entry = 10", &["/11/bytes/x"]),
        ("", &[TOO_LONG]),
    ] {
        let (_endpoint, net, url, mut events) = endpoint(limits).await;
        let mut raw = Raw::dial(&net, &url).await;
        raw.say(&HandshakeMessage::hello(RAW)).await;
        let topics = topics.iter().map(|topic| topic.as_bytes().into()).collect();
        raw.say(&HandshakeMessage::ResponderSynAck(topics, None)).await;
        let frames = raw.until_closed().await;
        let last = last_of(&frames);
        assert_eq!(last.name(), "drop_conn", "{last:?}");
        assert_eq!(reason(&mut events, "handshake-failed").await, "limit-reached");
    }
}

/// A transport whose handshakes, like those of TLS, never get anywhere: each pause of a second
/// brings another connection.
struct Never;

struct NeverDone(Address);

#[async_trait]
impl Transport for Never {
    fn schemes(&self) -> &'static [&'static str] {
        &["never"]
    }

    async fn listen(&self, at: &Address) -> Result<Box<dyn Listener>, TransportError> {
        Ok(Box::new(NeverDone(at.clone())))
    }

    async fn connect(&self, _: &Address) -> Result<Connection, TransportError> {
        std::future::pending().await
    }
}

#[async_trait]
impl Listener for NeverDone {
    fn url(&self) -> &Address {
        &self.0
    }

    fn protection(&self) -> ListenerProtection {
        ListenerProtection::Plain
    }

    async fn accept(&mut self) -> Result<Incoming, TransportError> {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(Incoming::new(self.0.clone(), std::future::pending()))
    }
}

/// An endpoint with that transport.
fn never(limits: &str) -> Endpoint {
    let config = toml::from_str(&format!("[limits]\n{limits}")).unwrap();
    Endpoint::builder().config(config).transport(Never).build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn dialling_is_given_up_after_its_time() {
    let endpoint = never("dial-time = 2.5");
    let began = tokio::time::Instant::now();
    let failed =
        endpoint.peer(Address::new("never", "there", 1), Retry::never()).await.unwrap_err();
    assert_eq!(began.elapsed(), Duration::from_millis(2500));
    assert_eq!(failed.failure.name(), "timed-out");
}

#[tokio::test(start_paused = true)]
async fn the_handshake_of_the_transport_has_the_same_time_and_the_same_places() {
    for (limits, expected, after) in [
        ("handshake-time = 2.5", "handshake-timeout", 3500),
        ("half-open = 2", "limit-reached", 3000),
    ] {
        let endpoint = never(limits);
        let mut events = endpoint.events();
        let began = tokio::time::Instant::now();
        endpoint.listen(Address::new("never", "here", 1)).await.unwrap();
        assert_eq!(reason(&mut events, "handshake-failed").await, expected);
        assert_eq!(began.elapsed(), Duration::from_millis(after));
    }
}
