//! A peer made by hand: it speaks frames over `mem://` and does what the test says.

#![allow(dead_code, clippy::panic, reason = "helpers of tests, and every test uses its own part")]

use broker_core::transport::{
    Chunk, Connection, MemTransport, ReadBuffer, Transport, TransportError, WriteBatch,
};
use broker_core::wire::DEFAULT_TTL;
use broker_core::wire::envelope::{Envelope, EnvelopeType, ping_frame};
use broker_core::wire::handshake::HandshakeMessage;
use broker_core::{Address, EndpointId, Limits};
use bytes::Bytes;

/// The id that the endpoints of these tests have: smaller than those of raw peers, so that the
/// endpoint leads the handshakes.
pub(crate) const OWN: EndpointId = EndpointId::from_bytes([0x11; 16]);
pub(crate) const RAW: EndpointId = raw(0xee);

pub(crate) const fn raw(byte: u8) -> EndpointId {
    let mut id = [byte; 16];
    id[6] = 0x4e;
    EndpointId::from_bytes(id)
}

pub(crate) struct Raw {
    connection: Connection,
    buffer: ReadBuffer,
    id: EndpointId,
}

impl Raw {
    /// Opens a connection.
    pub(crate) async fn dial(net: &MemTransport, to: &Address) -> Self {
        let connection = net.connect(to).await.expect("the endpoint listens");
        Self { connection, buffer: ReadBuffer::new(), id: RAW }
    }

    /// Opens a connection and becomes a peer that wants these topics.
    pub(crate) async fn peer(
        net: &MemTransport,
        to: &Address,
        id: EndpointId,
        topics: &[&'static str],
    ) -> Self {
        let mut raw = Self { id, ..Self::dial(net, to).await };
        raw.shake_hands(topics).await;
        raw
    }

    pub(crate) async fn shake_hands(&mut self, topics: &[&'static str]) {
        self.offer(topics).await;
        self.expect(&["probe", "version_select", "originator_syn", "originator_ack"]).await;
    }

    /// As [`Self::shake_hands`], on a connection whose probe has been read.
    pub(crate) async fn shake_hands_after_the_probe(&mut self, id: EndpointId) {
        self.id = id;
        self.offer(&[]).await;
        self.expect(&["version_select", "originator_syn", "originator_ack"]).await;
    }

    /// Everything this side has to say in a handshake.
    async fn offer(&mut self, topics: &[&'static str]) {
        let filter = topics.iter().map(|topic| Bytes::from_static(topic.as_bytes())).collect();
        self.say(&HandshakeMessage::hello(self.id)).await;
        self.say(&HandshakeMessage::ResponderSynAck(filter, None)).await;
    }

    async fn expect(&mut self, names: &[&'static str]) {
        for name in names.iter().copied() {
            let payload = self.frame().await.unwrap_or_else(|| panic!("closed instead of {name}"));
            let message = HandshakeMessage::decode(&payload, Limits::default().filter());
            assert_eq!(message.map(|message| message.name()), Ok(name));
        }
    }

    /// Sends bytes. Whether anybody still takes them is the result.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<(), TransportError> {
        let mut batch = WriteBatch::new();
        batch.append(Chunk::Segment(bytes.to_vec()));
        self.connection.writer.send(&mut batch).await
    }

    pub(crate) async fn say(&mut self, message: &HandshakeMessage) {
        self.send(&message.to_frame()).await.expect("the endpoint takes it");
    }

    pub(crate) fn envelope(&self, kind: EnvelopeType, topic: &str, payload: &[u8]) -> Vec<u8> {
        let (sender, receiver, ttl) = (self.id, EndpointId::NIL, DEFAULT_TTL);
        let topic = topic.as_bytes();
        let mut frame = Vec::new();
        let envelope = Envelope { sender, receiver, kind, ttl, topic, payload };
        envelope.put_frame(&mut frame).expect("a short topic");
        frame
    }

    /// Publishes an encoded value.
    pub(crate) async fn publish(&mut self, topic: &str, payload: &[u8]) {
        let frame = self.envelope(EnvelopeType::Data, topic, payload);
        self.send(&frame).await.expect("the endpoint takes it");
    }

    /// Sends a ping and waits for its pong, behind which everything sent before has been handled.
    pub(crate) async fn settle(&mut self) {
        let ping = ping_frame(self.id, OWN, b"settle");
        self.send(&ping).await.expect("the endpoint takes it");
        while let Some(payload) = self.frame().await {
            let envelope = Envelope::decode(&payload).expect("an envelope");
            if envelope.kind == EnvelopeType::Pong && envelope.payload == b"settle" {
                return;
            }
        }
        panic!("closed instead of a pong");
    }

    /// The payload of the next frame; `None` after the last one.
    pub(crate) async fn frame(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(frame) = self.buffer.next_frame(1 << 26).expect("a sane length") {
                return Some(frame[4..].to_vec());
            }
            self.connection.reader.recv(&mut self.buffer).await.ok()?;
        }
    }

    /// Takes in everything until the endpoint closes the connection.
    pub(crate) async fn until_closed(&mut self) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        while let Some(frame) = self.frame().await {
            frames.push(frame);
        }
        frames
    }
}
