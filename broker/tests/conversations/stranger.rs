//! The other side: a peer that knows nothing but bytes.

use broker::EndpointId;
use broker::core::wire::envelope::{Envelope, EnvelopeType};
use broker::core::wire::frame::PREFIX;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

/// How long anything may take that should happen at once.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

const ORIGINATOR_ACK: u8 = 0x0c;
const HELLO: u8 = 6;
const VERSION_SELECT: u8 = 8;
const MAGIC_AND_TAG: usize = 5;

/// What arrives on a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Received {
    Frame(Vec<u8>),
    /// The end, orderly or not, after that many bytes of an incomplete frame.
    End {
        incomplete: usize,
    },
}

/// A connection with the endpoint. It is read only when something is expected on it.
pub(crate) struct Conn {
    stream: TcpStream,
    endpoint: EndpointId,
    /// Who the stranger claims to be on this connection.
    own: Option<EndpointId>,
    bytes: Vec<u8>,
    /// What was read while something else was awaited.
    kept: VecDeque<Received>,
    ended: bool,
    peered: bool,
    /// Whether something was sent that the endpoint may not have handled yet.
    unsettled: bool,
    settled: u64,
}

impl Conn {
    pub(crate) fn new(stream: TcpStream, endpoint: EndpointId) -> Self {
        stream.set_nodelay(true).expect("a socket option");
        Self {
            stream,
            endpoint,
            own: None,
            bytes: Vec::new(),
            kept: VecDeque::new(),
            ended: false,
            peered: false,
            unsettled: false,
            settled: 0,
        }
    }

    pub(crate) async fn open(to: SocketAddr, endpoint: EndpointId) -> Self {
        Self::new(TcpStream::connect(to).await.expect("the endpoint listens"), endpoint)
    }

    /// The address that the endpoint knows the connection by.
    pub(crate) fn local(&self) -> SocketAddr {
        self.stream.local_addr().expect("a local address")
    }

    /// Sends bytes. That the endpoint may have closed the connection is its business.
    pub(crate) async fn send(&mut self, frame: &[u8]) {
        self.take_note(frame);
        self.unsettled |= self.peered;
        // The outcome shows when the connection is read.
        let _ = self.stream.write_all(frame).await;
    }

    fn take_note(&mut self, frame: &[u8]) {
        let payload = frame.get(PREFIX..).unwrap_or_default();
        match payload.first() {
            Some(&(HELLO | VERSION_SELECT)) if !self.peered => {
                let id = payload.get(MAGIC_AND_TAG..MAGIC_AND_TAG + 16).expect("an id");
                self.own = Some(EndpointId::from_bytes(id.try_into().expect("16 bytes")));
            }
            Some(&ORIGINATOR_ACK) if payload.len() == 1 => self.peered = true,
            _ => {}
        }
    }

    /// Who the stranger claims to be here.
    pub(crate) fn own(&self) -> Option<EndpointId> {
        self.own
    }

    pub(crate) fn is_unsettled(&self) -> bool {
        self.unsettled && !self.ended
    }

    /// Lets the end of the connection be read once more.
    pub(crate) fn ended(&mut self) {
        self.bytes.clear();
        self.kept.push_back(Received::End { incomplete: 0 });
    }

    pub(crate) fn is_peered(&self) -> bool {
        self.peered
    }

    /// The next thing that arrives.
    pub(crate) async fn receive(&mut self) -> Option<Received> {
        if let Some(kept) = self.kept.pop_front() {
            return Some(kept);
        }
        let received = timeout(PATIENCE, self.read()).await.ok()?;
        if let Received::Frame(frame) = &received
            && frame[PREFIX..] == [ORIGINATOR_ACK]
        {
            self.peered = true;
        }
        Some(received)
    }

    async fn read(&mut self) -> Received {
        loop {
            if let Some(prefix) = self.bytes.first_chunk::<PREFIX>() {
                let length = PREFIX + u32::from_be_bytes(*prefix) as usize;
                if self.bytes.len() >= length {
                    let rest = self.bytes.split_off(length);
                    return Received::Frame(std::mem::replace(&mut self.bytes, rest));
                }
            }
            let end = self.ended || !matches!(self.stream.read_buf(&mut self.bytes).await, Ok(1..));
            if end {
                self.ended = true;
                return Received::End { incomplete: self.bytes.len() };
            }
        }
    }

    /// Waits until the endpoint has handled everything that was sent, which its answer to a ping
    /// shows. What else arrives is kept.
    pub(crate) async fn settle(&mut self) {
        self.settled += 1;
        let payload = format!("settled {}", self.settled).into_bytes();
        let own = self.own.expect("a peered connection");
        let envelope = |sender, receiver, kind| Envelope {
            sender,
            receiver,
            kind,
            ttl: 16,
            topic: b"<$>",
            payload: &payload,
        };
        let mut ping = Vec::new();
        envelope(own, self.endpoint, EnvelopeType::Ping).put_frame(&mut ping).expect("a topic");
        let mut pong = Vec::new();
        envelope(self.endpoint, own, EnvelopeType::Pong).put_frame(&mut pong).expect("a topic");
        self.send(&ping).await;
        self.unsettled = false;
        loop {
            match timeout(PATIENCE, self.read()).await.expect("a pong") {
                Received::Frame(frame) if frame == pong => return,
                Received::Frame(frame) => self.kept.push_back(Received::Frame(frame)),
                end => {
                    self.kept.push_back(end);
                    return;
                }
            }
        }
    }

    /// What has arrived and was not asked for.
    pub(crate) fn leftover(&mut self) -> Vec<Received> {
        let mut rest = [0; 1024];
        if let Ok(count @ 1..) = self.stream.try_read(&mut rest) {
            self.bytes.extend_from_slice(&rest[..count]);
        }
        if !self.bytes.is_empty() {
            self.kept.push_back(Received::Frame(std::mem::take(&mut self.bytes)));
        }
        self.kept.drain(..).collect()
    }
}

/// Where the endpoint dials. The port is held all the time, and connections are accepted only while
/// the stranger listens.
pub(crate) struct Doorway {
    address: SocketAddr,
    state: State,
}

enum State {
    Closed { _held: TcpSocket },
    Open(TcpListener),
    Changing,
}

impl Doorway {
    pub(crate) fn new() -> Self {
        let socket = bind(SocketAddr::from(([127, 0, 0, 1], 0)));
        let address = socket.local_addr().expect("a local address");
        Self { address, state: State::Closed { _held: socket } }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn listen(&mut self, listen: bool) {
        self.state = State::Changing;
        let socket = bind(self.address);
        self.state = match listen {
            true => State::Open(socket.listen(16).expect("listening")),
            false => State::Closed { _held: socket },
        };
    }

    pub(crate) async fn accept(&self) -> Option<TcpStream> {
        let State::Open(listener) = &self.state else { return None };
        let accepted = timeout(PATIENCE, listener.accept()).await.ok()?;
        Some(accepted.expect("a connection").0)
    }

    /// Whether a connection waits to be accepted.
    pub(crate) async fn has_visitor(&self) -> bool {
        match &self.state {
            State::Open(listener) => timeout(Duration::ZERO, listener.accept()).await.is_ok(),
            _ => false,
        }
    }
}

fn bind(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("a socket option");
    socket.bind(address).expect("an address");
    socket
}
