//! What the tests share: nodes with bridges, and a scripted server that behaves like Zeek's.

use broker_bridge::BridgeStatus;
use broker_bridge::websocket::WebSocketBridges;
use broker_core::data::Value;
use broker_core::data::zeek::{ZeekEvent, ZeekMessage, ZeekMessageView};
use broker_core::endpoint::Subscriber;
use broker_core::{Address, Endpoint, OverflowPolicy};
use broker_testkit::websocket::{PATIENCE, read_head, wait_for};
use broker_transport_ws::{WsOptions, WsTransport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

pub(crate) struct Node {
    pub(crate) endpoint: Endpoint,
    pub(crate) ws: WebSocketBridges,
}

pub(crate) fn node() -> Node {
    let ws = WebSocketBridges::new(WsTransport::new(WsOptions::default()).unwrap());
    let builder = Endpoint::builder()
        .overflow_policy(OverflowPolicy::Wait)
        .transport(broker_transport_tcp::TcpTransport::default());
    let endpoint = ws.clone().install(builder).build().unwrap();
    Node { endpoint, ws }
}

pub(crate) fn at(port: u16, query: &str) -> Address {
    format!("ws://127.0.0.1:{port}/v1/messages/json{query}").parse().unwrap()
}

pub(crate) async fn next(subscriber: &mut Subscriber) -> (String, Value) {
    let message = timeout(PATIENCE, subscriber.recv()).await.expect("a message in time").unwrap();
    (message.topic().to_string(), message.data().unwrap())
}

/// A native peer of `node`, with a subscription that the node knows.
pub(crate) async fn native(node: &Node, topic: &str) -> (Endpoint, Subscriber) {
    let (peer, subscriber) = broker_testkit::websocket::native(&node.endpoint, topic).await;
    wait_for(|| node.endpoint.peer_filter(peer.id()).is_some_and(|f| !f.is_empty())).await;
    (peer, subscriber)
}

/// Zeek's server: takes events only, and only those that it declares.
pub(crate) struct Zeek {
    listener: TcpListener,
}

impl Zeek {
    pub(crate) async fn start() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    pub(crate) fn url(&self, query: &str) -> Address {
        at(self.listener.local_addr().unwrap().port(), query)
    }

    pub(crate) async fn accept(&self) -> (TcpStream, String) {
        self.accept_as("x-websocket-0").await
    }

    /// Accepts a client and tells it this name for it, or for the server.
    pub(crate) async fn accept_as(&self, name: &str) -> (TcpStream, String) {
        let (mut stream, _) = timeout(PATIENCE, self.listener.accept()).await.unwrap().unwrap();
        let head = read_head(&mut stream).await;
        let key = head.lines().find_map(|l| l.strip_prefix("Sec-WebSocket-Key: ")).unwrap();
        let accept = tungstenite::handshake::derive_accept_key(key.as_bytes());
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: {accept}\r\n\
             Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
        let subscriptions = recv(&mut stream).await;
        let ack = format!(r#"{{"type":"ack","endpoint":"{name}","version":"8.0.1"}}"#);
        send(&mut stream, ack.as_bytes()).await;
        (stream, subscriptions)
    }
}

pub(crate) async fn send(stream: &mut TcpStream, text: &[u8]) {
    let mut frame = vec![0x81, 126];
    frame.extend_from_slice(&(text.len() as u16).to_be_bytes());
    frame.extend_from_slice(text);
    stream.write_all(&frame).await.unwrap();
}

/// The next text of a client; pings before it are answered.
pub(crate) async fn recv(stream: &mut TcpStream) -> String {
    loop {
        let (opcode, payload) = recv_frame(stream).await;
        if opcode == 1 {
            return String::from_utf8(payload).unwrap();
        }
        pong(stream, &payload).await;
    }
}

pub(crate) async fn pong(stream: &mut TcpStream, content: &[u8]) {
    stream.write_all(&[&[0x8a, content.len() as u8], content].concat()).await.unwrap();
}

pub(crate) async fn recv_frame(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let read = async {
        let mut head = [0; 2];
        stream.read_exact(&mut head).await.unwrap();
        let length = match head[1] & 0x7f {
            126 => stream.read_u16().await.unwrap() as usize,
            length => usize::from(length),
        };
        let mut mask = [0; 4];
        stream.read_exact(&mut mask).await.unwrap();
        let mut payload = vec![0; length];
        stream.read_exact(&mut payload).await.unwrap();
        payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
        (head[0] & 0x0f, payload)
    };
    timeout(PATIENCE, read).await.unwrap()
}

/// The argument of an event, or a plain number.
pub(crate) fn number_of(value: &Value) -> u64 {
    if let Value::Count(number) = value {
        return *number;
    }
    let payload = value.encode();
    let view = broker_core::data::View::parse(&payload).unwrap();
    let ZeekMessageView::Event(event) = ZeekMessageView::parse(view).unwrap() else { panic!() };
    event.read_args::<(u64,)>().unwrap().0
}

pub(crate) fn ping(number: u64) -> ZeekMessage {
    ZeekMessage::Event(ZeekEvent::new("ping").arg(number))
}

/// Two nodes with the servers of their own, which others join.
pub(crate) async fn serving() -> (Node, u16) {
    let node = node();
    let url = node.endpoint.listen("ws://127.0.0.1:0").await.unwrap();
    (node, url.port())
}

pub(crate) fn counted(node: &Node, what: impl Fn(&BridgeStatus) -> u64) -> u64 {
    node.ws.bridges().iter().map(what).sum()
}
