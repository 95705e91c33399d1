//! The other side of a connection, done by hand.

use broker::core::wire::envelope::{Envelope, EnvelopeType};
use broker::core::wire::handshake::HandshakeMessage as Message;
use broker::{Address, EndpointId, Limits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Smaller than every id of an endpoint in these tests, so that the stranger leads.
pub(crate) const STRANGER: EndpointId =
    EndpointId::from_bytes([0, 0, 0, 0, 0, 0, 0x40, 0, 0x80, 0, 0, 0, 0, 0, 0, 7]);

pub(crate) struct Stranger {
    pub(crate) socket: TcpStream,
}

impl Stranger {
    pub(crate) async fn dial(to: &Address) -> Self {
        Self { socket: TcpStream::connect((to.host(), to.port())).await.unwrap() }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        // The other side may hang up in the middle, which is what some of these tests are about.
        let _ = self.socket.write_all(bytes).await;
    }

    pub(crate) async fn say(&mut self, message: &Message) {
        self.send(&message.to_frame()).await;
    }

    /// The payload of the next frame.
    pub(crate) async fn hear(&mut self) -> Vec<u8> {
        let length = self.socket.read_u32().await.unwrap();
        let mut payload = vec![0; length as usize];
        self.socket.read_exact(&mut payload).await.unwrap();
        payload
    }

    /// Shakes hands as an endpoint with this id that wants everything.
    pub(crate) async fn peer(to: &Address, id: EndpointId) -> Self {
        let mut this = Self::dial(to).await;
        this.lead(id).await;
        this.hear_until("responder_syn_ack").await;
        this.say(&Message::OriginatorAck).await;
        this
    }

    /// Says everything of the handshake that needs no answer.
    pub(crate) async fn lead(&mut self, sender: EndpointId) {
        self.say(&Message::hello(sender)).await;
        self.hear_until("hello").await;
        self.say(&Message::VersionSelect { sender, version: 1 }).await;
        self.say(&Message::OriginatorSyn(vec![Default::default()], None)).await;
    }

    async fn hear_until(&mut self, name: &str) {
        let limits = Limits::default().filter();
        while Message::decode(&self.hear().await, limits).unwrap().name() != name {}
    }

    pub(crate) async fn envelope(&mut self, sender: EndpointId, topic: &[u8], payload: &[u8]) {
        self.envelope_with(sender, topic, payload, 16).await;
    }

    /// The same with this hop limit.
    pub(crate) async fn envelope_with(
        &mut self,
        sender: EndpointId,
        topic: &[u8],
        payload: &[u8],
        ttl: u16,
    ) {
        let (receiver, kind) = (EndpointId::NIL, EnvelopeType::Data);
        let mut frame = Vec::new();
        let envelope = Envelope { sender, receiver, kind, ttl, topic, payload };
        envelope.put_frame(&mut frame).unwrap();
        self.send(&frame).await;
    }
}

impl Stranger {
    /// Waits until a message comes.
    pub(crate) async fn hear_data(&mut self) {
        let is_data = |payload: &[u8]| {
            Envelope::decode(payload).is_ok_and(|envelope| envelope.kind == EnvelopeType::Data)
        };
        while !is_data(&self.hear().await) {}
    }
}

/// Answers whoever dials with these bytes, and keeps the connection. Returns where.
pub(crate) async fn answering(answer: Vec<u8>) -> Address {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let answer = answer.clone();
            tokio::spawn(async move {
                let _ = socket.read_u8().await;
                let _ = socket.write_all(&answer).await;
                let _ = socket.read_to_end(&mut Vec::new()).await;
            });
        }
    });
    Address::new("tcp", "127.0.0.1", port)
}
