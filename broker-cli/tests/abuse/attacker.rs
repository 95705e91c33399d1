use crate::common::within;
use broker::EndpointId;
use broker::core::wire::DEFAULT_TTL;
use broker::core::wire::envelope::{Envelope, EnvelopeType};
use broker::core::wire::handshake::HandshakeMessage;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// A connection that breaks the rules.
pub(crate) struct Attacker {
    pub(crate) stream: TcpStream,
    pub(crate) id: EndpointId,
    /// Its own address, as the node sees it.
    pub(crate) address: String,
}

/// An id that is larger than the node's, so that the node leads the handshake.
pub(crate) fn id(number: u32) -> EndpointId {
    let mut bytes = [0xff; 16];
    bytes[6] = 0x4f;
    bytes[12..].copy_from_slice(&number.to_be_bytes());
    EndpointId::from_bytes(bytes)
}

impl Attacker {
    pub(crate) async fn connect(to: SocketAddr) -> Self {
        Self::on(TcpSocket::new_v4().unwrap(), to).await
    }

    /// One that takes in next to nothing by itself.
    pub(crate) async fn connect_narrow(to: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        Self::on(socket, to).await
    }

    async fn on(socket: TcpSocket, to: SocketAddr) -> Self {
        let stream = within("connecting", socket.connect(to)).await.unwrap();
        let address = stream.local_addr().unwrap().to_string();
        Self { stream, id: id(0), address }
    }

    /// Becomes a peer that wants these topics.
    pub(crate) async fn peer(self, number: u32, topics: &[&str]) -> Self {
        self.try_peer(number, topics).await.expect("the node lets it in")
    }

    /// The same, unless the node ends the connection.
    pub(crate) async fn try_peer(mut self, number: u32, topics: &[&str]) -> Option<Self> {
        self.id = id(number);
        let filter = topics.iter().map(|topic| topic.as_bytes().to_vec().into()).collect();
        let offer =
            [HandshakeMessage::hello(self.id), HandshakeMessage::ResponderSynAck(filter, None)];
        self.send(&offer.map(|message| message.to_frame()).concat()).await;
        let ack = HandshakeMessage::OriginatorAck.to_frame();
        while self.frame().await? != ack[4..] {}
        Some(self)
    }

    /// Sends as much as the node takes; it may have had enough before the end.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        let _ = within("sending", self.stream.write_all(bytes)).await;
    }

    async fn frame(&mut self) -> Option<Vec<u8>> {
        let reading = async {
            let length = self.stream.read_u32().await.ok()?;
            let mut payload = vec![0; length as usize];
            self.stream.read_exact(&mut payload).await.ok()?;
            Some(payload)
        };
        within("a frame", reading).await
    }

    /// Waits until the node has ended the connection, and takes in what it still says.
    pub(crate) async fn cut(&mut self) -> Vec<u8> {
        let mut said = Vec::new();
        let mut read = [0; 4096];
        let reading = async {
            while let Ok(count @ 1..) = self.stream.read(&mut read).await {
                said.extend_from_slice(&read[..count]);
            }
        };
        within("the end of an attack", reading).await;
        said
    }

    /// An envelope in its own name, with its length.
    pub(crate) fn envelope(&self, kind: EnvelopeType, topic: &str, payload: &[u8]) -> Vec<u8> {
        let (sender, receiver, ttl) = (self.id, EndpointId::NIL, DEFAULT_TTL);
        let topic = topic.as_bytes();
        let mut frame = Vec::new();
        let envelope = Envelope { sender, receiver, kind, ttl, topic, payload };
        envelope.put_frame(&mut frame).unwrap();
        frame
    }
}

/// Bytes that look random and are the same in every run.
pub(crate) fn noise(mut seed: u64, count: usize) -> Vec<u8> {
    std::iter::from_fn(|| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Some((seed >> 56) as u8)
    })
    .take(count)
    .collect()
}
