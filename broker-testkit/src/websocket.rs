//! What the tests share: a server, and a client that writes and reads single frames.

use broker_core::endpoint::{EventStream, Retry, Subscriber};
use broker_core::event::Event;
use broker_core::{Address, Endpoint};
use broker_transport_ws::{WsOptions, WsTransport};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// Long enough for anything that is going to happen.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub const SERVER_ID: &str = "88888888-8888-4888-8888-888888888888";
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub const MASK: [u8; 4] = [1, 2, 3, 4];

/// An endpoint that serves clients.
pub struct Server {
    pub endpoint: Endpoint,
    pub url: Address,
}

impl Server {
    pub async fn start() -> Self {
        Self::with(WsOptions::default()).await
    }

    pub async fn with(options: WsOptions) -> Self {
        let builder = Endpoint::builder()
            .id(SERVER_ID.parse().unwrap())
            .transport(broker_transport_tcp::TcpTransport::default());
        Self::build(builder, options).await
    }

    pub async fn build(
        builder: broker_core::endpoint::EndpointBuilder,
        options: WsOptions,
    ) -> Self {
        let endpoint = WsTransport::new(options).unwrap().install(builder).build().unwrap();
        let url = endpoint.listen("ws://127.0.0.1:0").await.unwrap();
        Self { endpoint, url }
    }

    pub async fn dial(&self) -> TcpStream {
        self.dial_from("127.0.0.1").await
    }

    /// A connection from another address of this machine.
    pub async fn dial_from(&self, address: &str) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(address.parse().unwrap(), 0)).unwrap();
        socket.connect(SocketAddr::from(([127, 0, 0, 1], self.url.port()))).await.unwrap()
    }

    /// A client after its opening handshake.
    pub async fn open(&self) -> Client {
        self.open_with("/v1/messages/json", "").await
    }

    pub async fn open_with(&self, target: &str, fields: &str) -> Client {
        self.open_on(self.dial().await, target, fields).await
    }

    /// The opening handshake on a connection.
    pub async fn open_on(&self, mut stream: TcpStream, target: &str, fields: &str) -> Client {
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\
             {fields}\r\n",
            self.url.port()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let head = read_head(&mut stream).await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        Client { stream }
    }

    /// A client that has been acknowledged.
    pub async fn client(&self, subscriptions: &str) -> Client {
        self.client_from("127.0.0.1", subscriptions).await
    }

    pub async fn client_from(&self, address: &str, subscriptions: &str) -> Client {
        let stream = self.dial_from(address).await;
        let mut client = self.open_on(stream, "/v1/messages/json", "").await;
        client.text(subscriptions).await;
        let ack = client.recv_text().await;
        assert!(ack.starts_with("{\"type\":\"ack\","), "{ack}");
        client
    }
}

pub async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let byte = timeout(PATIENCE, stream.read_u8()).await.unwrap().unwrap();
        head.push(byte);
    }
    String::from_utf8(head).unwrap()
}

/// One frame as a client writes it.
pub fn frame(opcode: u8, fin: bool, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![opcode | if fin { 0x80 } else { 0 }];
    match payload.len() {
        length @ 0..126 => out.push(0x80 | length as u8),
        length @ 126..0x1_0000 => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&MASK);
    out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    out
}

/// What a client received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(u16, String),
    /// The connection is closed in an orderly way.
    End,
}

/// A client that may break every rule.
pub struct Client {
    pub stream: TcpStream,
}

impl Client {
    pub async fn raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    pub async fn text(&mut self, text: &str) {
        self.raw(&frame(1, true, text.as_bytes())).await;
    }

    pub async fn close(&mut self, code: u16, reason: &str) {
        let payload = [&code.to_be_bytes()[..], reason.as_bytes()].concat();
        self.raw(&frame(8, true, &payload)).await;
    }

    /// The next frame.
    pub async fn recv(&mut self) -> Frame {
        timeout(PATIENCE, self.recv_frame()).await.expect("a frame in time")
    }

    async fn recv_frame(&mut self) -> Frame {
        let Ok(first) = self.stream.read_u8().await else { return Frame::End };
        assert_eq!(first & 0xf0, 0x80, "a whole frame without reserved bits");
        let second = self.stream.read_u8().await.unwrap();
        assert!(second < 0x80, "frames of a server have no mask");
        let length = match second {
            126 => u64::from(self.stream.read_u16().await.unwrap()),
            127 => self.stream.read_u64().await.unwrap(),
            length => u64::from(length),
        };
        let mut payload = vec![0; length as usize];
        self.stream.read_exact(&mut payload).await.unwrap();
        match first & 0x0f {
            1 => Frame::Text(String::from_utf8(payload).unwrap()),
            2 => Frame::Binary(payload),
            8 if payload.is_empty() => Frame::Close(1005, String::new()),
            8 => {
                let (code, reason) = payload.split_at(2);
                let code = u16::from_be_bytes(code.try_into().unwrap());
                Frame::Close(code, String::from_utf8(reason.to_vec()).unwrap())
            }
            9 => Frame::Ping(payload),
            10 => Frame::Pong(payload),
            other => panic!("unexpected opcode {other}"),
        }
    }

    /// The next text; pings in front of it are passed over.
    pub async fn recv_text(&mut self) -> String {
        loop {
            match self.recv().await {
                Frame::Text(text) => return text,
                Frame::Ping(_) => {}
                other => panic!("expected a text, got {other:?}"),
            }
        }
    }

    pub async fn recv_json(&mut self) -> serde_json::Value {
        serde_json::from_str(&self.recv_text().await).unwrap()
    }

    /// The code and reason of the Close frame that comes next, and then the end of the connection.
    pub async fn recv_close(&mut self) -> (u16, String) {
        loop {
            match self.recv().await {
                Frame::Close(code, reason) => return (code, reason),
                Frame::Binary(_) => {}
                other => panic!("expected a Close frame, got {other:?}"),
            }
        }
    }
}

/// A data message for a count.
pub fn count(topic: &str, number: u64) -> String {
    format!(
        "{{\"type\":\"data-message\",\"topic\":\"{topic}\",\"@data-type\":\"count\",\"data\":{number}}}"
    )
}

/// The texts of the next status events, in order.
pub async fn statuses(events: &mut EventStream, count: usize) -> Vec<String> {
    let mut texts = Vec::new();
    while texts.len() < count {
        let event = timeout(PATIENCE, events.next()).await.expect("an event in time").unwrap();
        if matches!(event, Event::Status(_)) {
            texts.push(event.to_string());
        }
    }
    texts
}

/// A native peer of `of` over TCP, that receives what is published below `topic`.
pub async fn native(of: &Endpoint, topic: &str) -> (Endpoint, Subscriber) {
    let url = of.listen("tcp://127.0.0.1:0").await.unwrap();
    let peer = Endpoint::builder()
        .transport(broker_transport_tcp::TcpTransport::default())
        .build()
        .unwrap();
    let subscriber = peer.subscribe([topic]);
    peer.peer(&url, Retry::never()).await.unwrap();
    assert!(timeout(PATIENCE, of.await_peer(peer.id())).await.unwrap());
    (peer, subscriber)
}

/// Waits for a state that no event tells of.
pub async fn wait_for(mut reached: impl FnMut() -> bool) {
    let wait = async {
        while !reached() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, wait).await.expect("the state in time");
}

/// Waits for a log event of this kind.
pub async fn log_event(events: &mut EventStream, id: &str) -> String {
    loop {
        let event = timeout(PATIENCE, events.next()).await.expect("an event in time").unwrap();
        match event {
            Event::Log(log) if log.id == id => return log.description,
            _ => {}
        }
    }
}
