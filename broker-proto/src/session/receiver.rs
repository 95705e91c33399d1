use super::ConnectionTable;
use crate::Failure;
use crate::fact::Fact;
use crate::limits::Limits;
use crate::peering::{Close, ConnectionId, HandshakeFrame, Time};
use crate::queue::{BoundedQueue, Closing};
use crate::routing::{Inbound, InboundLimits, Notice, Peer, Progress, Router, Sink};
use crate::wire::frame::PREFIX;
use crate::{FrameTooLarge, Link, ReadBuffer};
use std::sync::Arc;

/// The endpoint that a connection belongs to.
pub trait EndpointContext {
    /// Where messages go.
    fn router(&self) -> &Router;
    /// The time of the machine.
    fn now(&self) -> Time;
    /// Tells the machine something and does what it decides.
    fn with_machine<R>(&self, tell: impl FnOnce(&mut ConnectionTable, Time) -> R) -> R;
    /// Looks something up.
    fn read_machine<R>(&self, look: impl FnOnce(&ConnectionTable) -> R) -> R;
    /// Tells everyone who listens.
    fn report(&self, fact: Fact);
    /// Whether a pong with this payload answers a ping of the endpoint's user.
    fn answered(&self, pong: &[u8]) -> bool;
}

/// What a connection waits for.
pub enum ReadInterest {
    /// Bytes from the other side, to be put into [`Receiver::buffer`].
    Bytes,
    /// Room in the queue of a local consumer.
    Room(Arc<Sink>),
}

/// The receiving half of a connection, from its first byte to its last.
pub struct Receiver {
    id: ConnectionId,
    link: Link,
    buffer: ReadBuffer,
    inbound: Option<Inbound>,
    handshake_frame: usize,
    filter_frame: usize,
    frame: usize,
    limits: InboundLimits,
}

impl Receiver {
    /// The receiver of a connection that the machine has taken.
    pub fn new(id: ConnectionId, link: Link, limits: &Limits) -> Self {
        Self {
            id,
            link,
            buffer: ReadBuffer::new(),
            inbound: None,
            handshake_frame: limits.handshake_frame,
            filter_frame: limits.filter_frame(),
            frame: limits.frame,
            limits: limits.into(),
        }
    }

    /// Where received bytes go. [`Self::advance`] is to be called after that.
    pub fn buffer(&mut self) -> &mut ReadBuffer {
        &mut self.buffer
    }

    /// Whether the handshake is done.
    pub fn is_peered(&self) -> bool {
        self.inbound.is_some()
    }

    /// Handles what has arrived as far as it goes, and says what is needed to go on, or why the
    /// connection is over.
    pub fn advance(&mut self, host: &impl EndpointContext) -> Result<ReadInterest, Failure> {
        loop {
            match &mut self.inbound {
                Some(_) => return self.receive(host),
                None => match self.shake_hands(host)? {
                    Some(peer) => self.inbound = Some(Inbound::new(peer, self.limits)),
                    None => return Ok(ReadInterest::Bytes),
                },
            }
        }
    }

    /// Handles the messages of the handshake, until it is done or there is none left.
    fn shake_hands(&mut self, host: &impl EndpointContext) -> Result<Option<Arc<Peer>>, Failure> {
        loop {
            let unknown = host.read_machine(|table| table.machine.is_fresh(self.id));
            let limit = if unknown { self.handshake_frame } else { self.filter_frame };
            let frame = match self.buffer.next_frame(limit) {
                Ok(Some(frame)) => frame,
                Ok(None) => return Ok(None),
                Err(too_large) => return Err(self.too_large(too_large, host)),
            };
            let payload = frame.get(PREFIX..).unwrap_or_default();
            let frame = HandshakeFrame::read(payload, self.limits.filter);
            host.with_machine(|table, now| table.machine.handshake_frame(self.id, frame, now));
            let (peer, closing) = host.read_machine(|table| {
                let handle = table.conns.get(&self.id);
                handle
                    .map_or((None, true), |handle| (handle.peer.clone(), handle.closing.is_some()))
            });
            match peer {
                Some(peer) => return Ok(Some(peer)),
                None if closing => return Err(Failure::Cancelled),
                None => {}
            }
        }
    }

    /// A frame that is too large for a handshake is mostly no frame at all.
    fn too_large(
        &self,
        FrameTooLarge { length, limit }: FrameTooLarge,
        host: &impl EndpointContext,
    ) -> Failure {
        let fresh = host.read_machine(|table| table.machine.is_fresh(self.id));
        match Failure::of_first_bytes(self.buffer.pending()).filter(|_| fresh) {
            Some(failure) => failure,
            None => Failure::FrameTooLarge { length, limit },
        }
    }

    fn receive(&mut self, host: &impl EndpointContext) -> Result<ReadInterest, Failure> {
        let Some(inbound) = &mut self.inbound else { return Ok(ReadInterest::Bytes) };
        inbound.peer().heard.note(host.now());
        let region = self
            .buffer
            .complete_frames(self.frame)
            .map_err(|FrameTooLarge { length, limit }| Failure::FrameTooLarge { length, limit })?;
        let mut at = 0;
        let outcome = loop {
            let rest = region.get_mut(at..).unwrap_or_default();
            let (done, progress) = inbound.step(host.router(), rest);
            at += done;
            for conn in inbound.cut.drain(..) {
                host.with_machine(|table, _| table.machine.overflow(conn));
            }
            match progress {
                Progress::Done => break Ok(ReadInterest::Bytes),
                Progress::Wait(sink) => {
                    inbound.peer().heard.suspend();
                    break Ok(ReadInterest::Room(sink));
                }
                Progress::Notice(Notice::Cut(failure)) => return Err(failure),
                Progress::Notice(notice) => {
                    take_notice(host, self.id, &self.link, inbound.peer(), notice);
                    if is_closing(host, self.id) {
                        break Err(Failure::Cancelled);
                    }
                }
            }
        };
        self.buffer.consume(at);
        outcome
    }
}

/// Passes on what the data path has noticed.
fn take_notice(
    host: &impl EndpointContext,
    id: ConnectionId,
    link: &Link,
    peer: &Peer,
    notice: Notice,
) {
    match notice {
        Notice::RoutingUpdate(filter) => {
            host.with_machine(|table, now| table.machine.routing_update(id, filter, now));
        }
        Notice::Pong(payload) => {
            if !host.answered(&payload) {
                host.with_machine(|table, _| table.machine.pong(id, &payload));
            }
        }
        // The connection is over, so nobody gets here with it.
        Notice::Cut(_) => {}
        Notice::ControlOverflow => host.with_machine(|table, _| table.machine.control_overflow(id)),
        Notice::Misbehaved { reason, what } => {
            let remote = link.remote.clone();
            host.report(Fact::Misbehaved { peer: peer.id, remote, reason, what });
        }
    }
}

fn is_closing(host: &impl EndpointContext, id: ConnectionId) -> bool {
    host.read_machine(|table| table.conns.get(&id).is_none_or(|handle| handle.closing.is_some()))
}

/// Reports that a connection is over, and ends its queue: at once, or after what it was to be
/// closed behind.
pub fn finish(
    host: &impl EndpointContext,
    id: ConnectionId,
    queue: &BoundedQueue,
    failure: Failure,
) {
    // Whoever begins with TLS learns from the greeting that there is none here.
    let how = match failure {
        Failure::PeerWantsTls(_) => Closing::Flush,
        _ => Closing::Now,
    };
    let handle = host.with_machine(|table, now| {
        table.machine.closed(id, failure, now);
        table.conns.remove(&id)
    });
    if handle.and_then(|handle| handle.closing) != Some(Close::Flush) {
        queue.close(how);
    }
}
