//! The handshake of Broker, up to what the other side tells about itself.

use broker::core::transport::{Chunk, Connection, ReadBuffer, WriteBatch};
use broker::core::wire::PROTOCOL_VERSION;
use broker::core::wire::frame::PREFIX;
use broker::core::wire::handshake::HandshakeMessage as Message;
use broker::{EndpointId, Failure, HangUpGuess, Limits, Reason};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// What the other side has told.
#[derive(Debug, Default)]
pub(super) struct Introduction {
    pub(super) id: Option<EndpointId>,
    /// The lowest and the highest version that it speaks, or the one that it chose.
    pub(super) versions: Option<(u8, u8)>,
    pub(super) filter: Vec<bytes::Bytes>,
}

/// A connection on which a handshake is done by hand.
pub(super) struct Conversation {
    connection: Connection,
    received: ReadBuffer,
    heard: bool,
    limits: Limits,
    deadline: Instant,
    limit: Duration,
}

/// What came first on a connection.
pub(super) enum Greeting {
    /// What these bytes are, which are no other protocol that is known.
    Bytes(&'static str),
    /// Nothing so far.
    Silence,
}

impl Conversation {
    /// With the limits of an endpoint, and so much time for the handshake.
    pub(super) fn new(connection: Connection, limits: Limits, limit: Duration) -> Self {
        let deadline = Instant::now() + limit;
        let received = ReadBuffer::new();
        Self { connection, received, heard: false, limits, deadline, limit }
    }

    /// Waits for the first bytes, without saying anything.
    pub(super) async fn greeting(&mut self, patience: Duration) -> Result<Greeting, Failure> {
        let until = Instant::now() + patience;
        while self.received.pending().len() < PREFIX + 1 {
            match timeout_at(until, self.connection.reader.recv(&mut self.received)).await {
                Ok(Ok(())) => self.heard = true,
                Ok(Err(error)) => return Err(self.explain(error, "its greeting")),
                Err(_) => return Ok(Greeting::Silence),
            }
            if let Some(failure) = Failure::of_first_bytes(self.received.pending()) {
                return Err(failure);
            }
        }
        Ok(Greeting::Bytes(match self.received.pending().get(PREFIX) {
            Some(7) => "a probe of Broker",
            Some(6..=12) => "a frame of Broker",
            _ => "bytes that may be a frame",
        }))
    }

    /// Goes through the handshake as the endpoint with the smaller id, and stops before its last
    /// message: the other side never gets as far as reporting a peer.
    pub(super) async fn introduce(&mut self) -> Result<Introduction, Failure> {
        let own = small_id();
        self.deadline = Instant::now() + self.limit;
        let mut theirs = Introduction::default();
        let mut expected = "its hello";
        self.send(&Message::hello(own)).await?;
        loop {
            let longest = match theirs.id {
                Some(_) => self.limits.filter_frame(),
                None => self.limits.handshake_frame.get(),
            };
            match self.receive(expected, longest).await? {
                Message::Probe => {}
                Message::Hello { sender, .. } if sender == own => {
                    return Err(Failure::NotBroker("it sends back what it is sent"));
                }
                Message::Hello { sender, min_version, max_version } if theirs.id.is_none() => {
                    theirs.id = Some(checked(sender)?);
                    theirs.versions = Some((min_version, max_version));
                    let version = PROTOCOL_VERSION;
                    self.send(&Message::VersionSelect { sender: own, version }).await?;
                    self.send(&Message::OriginatorSyn(Vec::new(), None)).await?;
                    expected = "its responder_syn_ack";
                }
                // Its id is even smaller, so it leads.
                Message::VersionSelect { sender, version } if theirs.id.is_none() => {
                    theirs.id = Some(checked(sender)?);
                    theirs.versions = Some((version, version));
                    expected = "its originator_syn";
                }
                Message::ResponderSynAck(filter, _) | Message::OriginatorSyn(filter, _)
                    if theirs.id.is_some() =>
                {
                    theirs.filter = filter;
                    // Some connections wait for the other side to end as well.
                    let _ = timeout_at(self.deadline, self.connection.writer.shutdown()).await;
                    return Ok(theirs);
                }
                Message::DropConn { code, description, .. } => {
                    return Err(Failure::Refused { code, description });
                }
                message => {
                    return Err(Failure::Unexpected { message: message.name(), expected });
                }
            }
        }
    }

    async fn send(&mut self, message: &Message) -> Result<(), Failure> {
        let mut batch = WriteBatch::new();
        batch.append(Chunk::Segment(message.to_frame()));
        match timeout_at(self.deadline, self.connection.writer.send(&mut batch)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.explain(error, "it to read")),
            Err(_) => Err(self.timed_out("it to read")),
        }
    }

    async fn receive(
        &mut self,
        expected: &'static str,
        longest: usize,
    ) -> Result<Message, Failure> {
        loop {
            let first = !self.heard;
            match self.received.next_frame(longest) {
                Ok(Some(frame)) => {
                    let payload = frame.get(PREFIX..).unwrap_or_default();
                    if payload.is_empty() {
                        return Err(Failure::EmptyFrame);
                    }
                    return Message::decode(payload, Limits::default().filter())
                        .map_err(Failure::from);
                }
                Ok(None) => {}
                Err(too_large) => {
                    let sniffed = Failure::of_first_bytes(self.received.pending());
                    let (length, limit) = (too_large.length, too_large.limit);
                    return Err(sniffed.unwrap_or(Failure::FrameTooLarge {
                        key: "handshake-frame",
                        length,
                        limit,
                    }));
                }
            }
            match timeout_at(self.deadline, self.connection.reader.recv(&mut self.received)).await {
                Ok(Ok(())) => self.heard = true,
                Ok(Err(error)) => return Err(self.explain(error, expected)),
                Err(_) => return Err(self.timed_out(expected)),
            }
            if first && let Some(failure) = Failure::of_first_bytes(self.received.pending()) {
                return Err(failure);
            }
        }
    }

    fn timed_out(&self, waiting_for: &'static str) -> Failure {
        Failure::HandshakeTimeout { waiting_for, limit: self.limit }
    }

    fn explain(
        &self,
        error: broker::core::transport::TransportError,
        waiting_for: &'static str,
    ) -> Failure {
        match error.reason() {
            Reason::Closed | Reason::Reset => {
                let guess = HangUpGuess::from(&self.connection.link.protection);
                Failure::ClosedInHandshake { error, waiting_for, heard: self.heard, guess }
            }
            _ => error.into(),
        }
    }
}

/// An id that is smaller than nearly every other one, so that this side leads.
fn small_id() -> EndpointId {
    let mut bytes = *EndpointId::random().as_bytes();
    for byte in bytes.iter_mut().take(6) {
        *byte = 0;
    }
    EndpointId::from_bytes(bytes)
}

fn checked(id: EndpointId) -> Result<EndpointId, Failure> {
    if id.is_nil() { Err(Failure::NilId) } else { Ok(id) }
}
