use super::ConnectionTable;
use crate::Failure;
use crate::fact::Fact;
use crate::limits::Limits;
use crate::memory::{Holder, MemoryBudget, Share};
use crate::peering::{Close, ConnectionId, HandshakeFrame, Time};
use crate::queue::{BoundedQueue, Closing};
use crate::routing::{Inbound, InboundLimits, Notice, Peer, Progress, Router, Sink};
use crate::wire::frame::PREFIX;
use crate::{Address, FrameTooLarge, Link, ReadBuffer};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Weak};

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
    /// Whether a pong of this peer with this payload answers a ping of the endpoint's user.
    fn answered(&self, peer: &Peer, pong: &[u8]) -> bool;
}

/// What a connection waits for.
pub enum ReadInterest {
    /// Bytes from the other side, to be put into [`Receiver::buffer`].
    Bytes,
    /// Room in the queue of a local consumer.
    Room(Arc<Sink>),
}

/// The memory of a frame that has not arrived in full, within the budget of the endpoint.
struct UnfinishedFrame {
    share: Share,
    /// Whether it is the other side that is waited for.
    awaited: AtomicBool,
    /// How much it was when the connection had to give way.
    evicted: AtomicUsize,
    /// Its end is the end of the connection.
    queue: Arc<BoundedQueue>,
}

impl Holder for UnfinishedFrame {
    fn held(&self) -> usize {
        if self.awaited.load(Relaxed) { self.share.bytes() } else { 0 }
    }

    fn give_way(&self, _: usize) -> usize {
        let held = self.held();
        if held == 0 {
            return 0;
        }
        self.evicted.store(held, Relaxed);
        self.awaited.store(false, Relaxed);
        self.queue.close(Closing::Now);
        // It is as good as free, so nobody else has to go for it.
        let _ = self.share.set(0);
        held
    }
}

/// The receiving half of a connection, from its first byte to its last.
pub struct Receiver {
    id: ConnectionId,
    link: Link,
    buffer: ReadBuffer,
    /// A large frame that is in front of what is in the buffer.
    large: Vec<u8>,
    inbound: Option<Inbound>,
    handshake_frame: usize,
    filter_frame: usize,
    frame: usize,
    limits: InboundLimits,
    memory: Arc<UnfinishedFrame>,
    /// The limit of the budget that it is a part of.
    memory_limit: usize,
    /// Since when a frame of the peer has been incomplete.
    incomplete_since: Option<Time>,
}

impl Receiver {
    /// The receiver of a connection that the machine has taken.
    pub fn new(
        id: ConnectionId,
        link: Link,
        limits: &Limits,
        budget: &Arc<MemoryBudget>,
        queue: &Arc<BoundedQueue>,
    ) -> Self {
        let memory = Arc::new(UnfinishedFrame {
            share: Share::of(budget),
            awaited: AtomicBool::new(false),
            evicted: AtomicUsize::new(0),
            queue: Arc::clone(queue),
        });
        Self {
            id,
            link,
            buffer: ReadBuffer::new(),
            large: Vec::new(),
            inbound: None,
            handshake_frame: limits.handshake_frame.get(),
            filter_frame: limits.filter_frame(),
            frame: limits.frame.get(),
            limits: limits.into(),
            memory,
            memory_limit: budget.limit(),
            incomplete_since: None,
        }
    }

    /// What it holds, to be made known to the budget.
    pub fn memory(&self) -> Weak<dyn Holder> {
        let memory: Arc<dyn Holder> = self.memory.clone();
        Arc::downgrade(&memory)
    }

    /// Since when a frame of the peer has been incomplete, if there is one. A handshake has a time
    /// of its own.
    pub fn incomplete_since(&self) -> Option<Time> {
        self.incomplete_since
    }

    /// Why the queue of the connection was closed before anything else was wrong.
    pub fn why_closed(&self) -> Failure {
        let (held, limit) = (self.memory.evicted.load(Relaxed), self.memory_limit);
        if held == 0 {
            return Failure::Cancelled;
        }
        Failure::LimitReached(format!(
            "the connections of this endpoint hold more memory than the limit memory allows, {limit} \
             bytes, and an unfinished frame of this one is the largest part of it: {held} bytes"
        ))
    }

    /// The other side goes on from another address.
    pub fn moved(&mut self, host: &impl EndpointContext, remote: Address) {
        self.link.remote = remote.clone();
        host.with_machine(|table, _| table.machine.moved(self.id, remote));
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
        let wants = self.handle(host)?;
        if self.memory.evicted.load(Relaxed) > 0 {
            return Err(self.why_closed());
        }
        // A reader that waits gives back what holds nothing.
        let memory = if self.buffer.is_empty() { 0 } else { self.buffer.capacity() };
        let memory = memory + self.large.len();
        let too_much = self.memory.share.set(memory);
        self.memory.awaited.store(matches!(wants, ReadInterest::Bytes), Relaxed);
        if too_much {
            self.memory.share.relieve();
        }
        Ok(wants)
    }

    fn handle(&mut self, host: &impl EndpointContext) -> Result<ReadInterest, Failure> {
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
                Err(too_large) => {
                    // The limit of the first frames, or what a whole filter needs.
                    let key = if unknown { "handshake-frame" } else { "filter-bytes" };
                    return Err(self.too_large(too_large, unknown, key));
                }
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

    /// A first frame that is too large is mostly no frame at all.
    fn too_large(&self, error: FrameTooLarge, first: bool, key: &'static str) -> Failure {
        let FrameTooLarge { length, limit } = error;
        let guessed = Failure::of_first_bytes(self.buffer.pending()).filter(|_| first);
        guessed.unwrap_or(Failure::FrameTooLarge { key, length, limit })
    }

    fn receive(&mut self, host: &impl EndpointContext) -> Result<ReadInterest, Failure> {
        let Some(inbound) = &mut self.inbound else { return Ok(ReadInterest::Bytes) };
        let now = host.now();
        inbound.peer().heard.note(now);
        let took_large = self.large.is_empty();
        if took_large {
            self.large = self.buffer.take_large(self.frame).unwrap_or_default();
        }
        let took_large = took_large && !self.large.is_empty();
        let region = match self.buffer.complete_frames(self.frame) {
            Ok(region) => region,
            // What is in front of such a frame is good.
            Err(_) if !self.large.is_empty() => &mut [],
            Err(FrameTooLarge { length, limit }) => {
                return Err(Failure::FrameTooLarge { key: "frame", length, limit });
            }
        };
        let mut at = 0;
        let outcome = loop {
            let was_large = !self.large.is_empty();
            let progress = if !was_large {
                let rest = region.get_mut(at..).unwrap_or_default();
                let (done, progress) = inbound.step(host.router(), rest);
                at += done;
                progress
            } else {
                let (done, progress) = inbound.step(host.router(), &mut self.large);
                if done > 0 {
                    self.large = Vec::new();
                }
                progress
            };
            for conn in inbound.cut.drain(..) {
                host.with_machine(|table, _| table.machine.overflow(conn));
            }
            match progress {
                // It was the large one.
                Progress::Done if was_large => {}
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
        self.incomplete_since = match outcome {
            Ok(ReadInterest::Bytes) if !self.buffer.is_empty() => {
                // The one before is done.
                let same = self.incomplete_since.filter(|_| at == 0 && !took_large);
                Some(same.unwrap_or(now))
            }
            _ => None,
        };
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
        Notice::Announcement(announcement) => {
            host.with_machine(|table, now| table.machine.announcement(id, announcement, now));
        }
        Notice::Pong(payload) => {
            if !host.answered(peer, &payload) {
                host.with_machine(|table, now| table.machine.pong(id, &payload, now));
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
