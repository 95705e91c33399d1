use super::is_internal;
use super::route::FixedTopic;
use super::router::Router;
use super::table::{Destinations, Peer, Sink, SinkKind};
use crate::EndpointId;
use crate::OverflowPolicy;
use crate::limits::{SEGMENT, SHARED_FRAME_MIN, TOPIC};
use crate::peering::ConnectionId;
use crate::queue::{BoundedQueue, Push};
use crate::wire::DEFAULT_TTL;
use crate::wire::envelope::{
    EnvelopeType, TopicTooLong, put_with_passage, put_without_passage, set_number, start_frame,
    start_passage_frame,
};
use crate::wire::frame::{PREFIX, finish_frame, frames};
use bytes::Bytes;
use std::cell::RefCell;
use std::sync::Arc;

/// How many destinations a published message has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Published {
    /// Peers that had subscribed, or the one that was addressed.
    pub peers: usize,
    /// Local consumers.
    pub local: usize,
}

/// Why a message cannot be published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The topic does not fit into an envelope.
    #[error(transparent)]
    TopicTooLong(#[from] TopicTooLong),
    /// The topic is one of those that never leave an endpoint.
    #[error("topics below <$>/local/ are reserved for the endpoint itself")]
    InternalTopic,
    /// The message is larger than a frame may be.
    #[error("a message of {size} bytes is too large, the limit frame is {limit}")]
    TooLarge {
        /// Bytes of the envelope.
        size: usize,
        /// The limit that was configured.
        limit: usize,
    },
    /// The endpoint has been shut down.
    #[error("the endpoint has been shut down")]
    ShutDown,
}

/// Where a local message comes from; it decides which local consumers see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The endpoint itself or a publisher: seen by hubs.
    Endpoint,
    /// A hub: seen by subscribers and by the other hubs.
    Hub(u64),
}

impl Origin {
    fn is_seen_by(self, kind: SinkKind, sink: u64) -> bool {
        match (self, kind) {
            (Self::Endpoint, SinkKind::Hub) | (Self::Hub(_), SinkKind::Subscriber) => true,
            (Self::Endpoint, SinkKind::Subscriber) => false,
            (Self::Hub(hub), SinkKind::Hub) => hub != sink,
        }
    }
}

thread_local! {
    /// The buffer that messages of this thread are encoded into, one after the other.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Capacity above which the buffer of a thread is not kept for the next message.
const SCRATCH_KEPT: usize = 64 * 1024;

/// Encoded messages of this endpoint on one topic, one behind the other.
#[derive(Debug, Default)]
pub struct Frames {
    bytes: Vec<u8>,
    count: usize,
    /// How far the bytes are whole messages: an encoder that panics leaves something behind them.
    end: usize,
    /// Whether they have passages; the numbers in these are given when the messages go.
    has_passages: bool,
}

impl Frames {
    /// An old buffer of this thread, to be given back by [`Self::keep`].
    pub fn scratch() -> Self {
        Self { bytes: SCRATCH.take(), ..Self::default() }
    }

    /// Keeps the buffer for the next message of this thread.
    pub fn keep(mut self) {
        if (1..=SCRATCH_KEPT).contains(&self.bytes.capacity()) {
            self.bytes.clear();
            SCRATCH.set(self.bytes);
        }
    }

    /// Makes room for about as many messages as a segment of a queue holds.
    #[inline]
    pub fn make_room(&mut self) {
        if self.bytes.capacity() < SEGMENT {
            self.bytes.reserve_exact(SEGMENT.saturating_sub(self.bytes.len()));
        }
    }

    /// Whether one more message of their size would be more than [`Self::make_room`] makes room
    /// for.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.end + self.end / self.count.max(1) > SEGMENT
    }

    /// Appends a message for everybody, its payload by `payload`.
    ///
    /// # Errors
    ///
    /// The message must not be published; then it is left out.
    #[inline]
    pub fn add(
        &mut self,
        router: &Router,
        topic: &FixedTopic,
        limit: usize,
        payload: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), PublishError> {
        let head = topic.head(self.form(router))?;
        self.bytes.truncate(self.end);
        self.bytes.extend_from_slice(head);
        self.finish(limit, payload)
    }

    /// Appends a message on a topic, for `receiver` or, if that is nil, for everybody.
    ///
    /// # Errors
    ///
    /// As for [`Self::add`].
    pub fn add_on(
        &mut self,
        router: &Router,
        topic: &[u8],
        receiver: EndpointId,
        limit: usize,
        payload: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), PublishError> {
        self.bytes.truncate(self.end);
        let has_passage = self.form(router);
        start(&mut self.bytes, router, receiver, topic, has_passage)?;
        self.finish(limit, payload)
    }

    /// Whether the next message has a passage, as all of a batch have or none.
    #[inline]
    fn form(&mut self, router: &Router) -> bool {
        if self.count == 0 {
            self.has_passages = router.has_passages();
        }
        self.has_passages
    }

    #[inline]
    fn finish(
        &mut self,
        limit: usize,
        payload: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), PublishError> {
        payload(&mut self.bytes);
        let size = self.bytes.len().saturating_sub(self.end + PREFIX);
        if size > limit {
            self.bytes.truncate(self.end);
            return Err(PublishError::TooLarge { size, limit });
        }
        finish_frame(&mut self.bytes, self.end);
        self.end = self.bytes.len();
        self.count += 1;
        Ok(())
    }

    /// Where they are in memory.
    #[cfg(test)]
    pub(super) fn as_ptr(&self) -> *const u8 {
        self.bytes.as_ptr()
    }

    /// How many messages there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many bytes they have.
    pub fn bytes(&self) -> usize {
        self.end
    }

    /// Where the first `count` messages end.
    fn end_of(&self, count: usize) -> usize {
        if count >= self.count {
            return self.end;
        }
        frames(&self.bytes).take(count).map(<[u8]>::len).sum()
    }

    /// Gives the first `count` messages, which end at `end`, their numbers. These ascend in the
    /// order in which messages go out.
    #[inline]
    fn number(&mut self, router: &Router, count: usize, end: usize) {
        if !self.has_passages {
            return;
        }
        let mut number = router.next_numbers(count as u64);
        let mut rest = self.bytes.get_mut(..end).unwrap_or_default();
        for _ in 0..count {
            let length = frames(rest).next().map_or(0, <[u8]>::len);
            let (frame, others) = rest.split_at_mut(length.min(rest.len()));
            set_number(frame, number);
            (number, rest) = (number + 1, others);
        }
    }

    /// The messages up to `end` as those want them who have passages if these have none, or none if
    /// these have.
    fn in_other_form(&self, router: &Router, end: usize) -> Vec<u8> {
        let mut other = Vec::new();
        for frame in frames(self.bytes.get(..end).unwrap_or_default()) {
            if self.has_passages {
                put_without_passage(&mut other, frame, router.id, DEFAULT_TTL);
            } else {
                let passage = router.own_passage(router.next_numbers(1));
                put_with_passage(&mut other, frame, passage, DEFAULT_TTL);
            }
        }
        other
    }

    /// The first message, which is a large one that ends at `end`.
    fn take_large(&mut self, end: usize) -> Bytes {
        match self.count {
            1 => Bytes::from(std::mem::take(&mut self.bytes)),
            _ => Bytes::copy_from_slice(self.bytes.get(..end).unwrap_or_default()),
        }
    }

    /// Forgets the first `count` messages, which end at `end`.
    fn forget(&mut self, count: usize, end: usize) {
        self.bytes.truncate(self.end);
        self.bytes.drain(..end.min(self.bytes.len()));
        self.end = self.bytes.len();
        self.count = self.count.saturating_sub(count);
    }
}

/// Who gets a local message.
pub struct Targets {
    origin: Origin,
    receiver: EndpointId,
    /// Addressed to this endpoint.
    to_self: bool,
    destinations: Arc<Destinations>,
    /// The addressed peer, or those that lead to the addressed endpoint.
    ways: Vec<Arc<Peer>>,
}

impl Targets {
    /// Those who want what is published on a topic, or the one whom it is for.
    ///
    /// # Errors
    ///
    /// Nobody may publish on this topic.
    pub fn find(
        router: &Router,
        origin: Origin,
        receiver: EndpointId,
        topic: &[u8],
    ) -> Result<Self, PublishError> {
        check(topic)?;
        let (table, own) = (router.table(), router.id);
        let destinations = table.destinations(topic, table.scope(own, own, own));
        let ways = if receiver.is_nil() { Vec::new() } else { ways_to(router, receiver, topic) };
        Ok(Self { origin, receiver, to_self: receiver == router.id, destinations, ways })
    }

    /// Those who want what is published on a topic, by what is known from the last time.
    #[inline]
    pub fn of(router: &Router, origin: Origin, topic: &FixedTopic) -> Self {
        let (receiver, destinations) = (EndpointId::NIL, topic.destinations(router));
        Self { origin, receiver, to_self: false, destinations, ways: Vec::new() }
    }

    /// Whether [`Self::room`] would wait.
    #[inline]
    pub fn has_to_wait(&self) -> bool {
        self.waiting().any(|queue| queue.is_full())
    }

    /// Waits until every queue whose policy says so has room. Cancel safe: nothing has been sent.
    pub async fn room(&self) {
        for queue in self.waiting().filter(|queue| queue.is_full()) {
            queue.room().await;
        }
    }

    /// Hands messages to everyone, and adds the peers that this was too much for to `cut`. What
    /// queues that are waited for have no room for is left, but for the first message.
    #[inline]
    pub fn send(
        &self,
        router: &Router,
        frames: &mut Frames,
        cut: &mut Vec<ConnectionId>,
    ) -> Published {
        let count = match frames.count {
            0 | 1 => frames.count,
            count => self.waiting().map(BoundedQueue::vacancy).fold(count, usize::min).max(1),
        };
        let end = frames.end_of(count);
        frames.number(router, count, end);
        let fits = |peer: &Peer| peer.has_passages() == frames.has_passages;
        let published = match self.lone_queue() {
            Some((peer, queue)) if peer.is_none_or(fits) => {
                let all = count == frames.count && end >= LARGE_BATCH;
                let pushed = match (all, end >= SHARED_FRAME_MIN && count == 1) {
                    (_, true) => queue.push_shared(&frames.take_large(end), true),
                    (true, _) => queue.push_segment(&mut frames.bytes, count, true),
                    _ => queue.push(frames.bytes.get(..end).unwrap_or_default(), count, true),
                };
                if pushed == Push::Overflow {
                    cut.extend(peer.map(|peer| peer.conn));
                }
                Published { peers: usize::from(peer.is_some()), local: usize::from(peer.is_none()) }
            }
            _ => self.send_to_all(router, frames, count, end, cut),
        };
        frames.forget(count, end);
        self.destinations.count(count, end, published.peers);
        published
    }

    #[inline(never)]
    fn send_to_all(
        &self,
        router: &Router,
        frames: &mut Frames,
        count: usize,
        end: usize,
        cut: &mut Vec<ConnectionId>,
    ) -> Published {
        let (peers, has_passages) = (self.peers(), frames.has_passages);
        let mut other = match peers.iter().any(|peer| peer.has_passages() != has_passages) {
            true => frames.in_other_form(router, end),
            false => Vec::new(),
        };
        let is_large = |length| count == 1 && length >= SHARED_FRAME_MIN;
        let large = is_large(end).then(|| frames.take_large(end));
        let other_large = is_large(other.len()).then(|| Bytes::from(std::mem::take(&mut other)));
        let small = frames.bytes.get(..end).unwrap_or_default();
        let push = |queue: &BoundedQueue, large: &Option<Bytes>, small: &[u8]| match large {
            Some(frame) => queue.push_shared(frame, true),
            None => queue.push(small, count, true),
        };
        for peer in peers {
            let pushed = match peer.has_passages() == has_passages {
                true => push(&peer.queue, &large, small),
                false => push(&peer.queue, &other_large, &other),
            };
            if pushed == Push::Overflow {
                cut.push(peer.conn);
            }
        }
        let mut local = 0;
        for sink in self.sinks() {
            push(&sink.queue, &large, small);
            local += 1;
        }
        Published { peers: peers.len(), local }
    }

    /// The queue of the only destination, and whose that is if it is a peer.
    #[inline]
    fn lone_queue(&self) -> Option<(Option<&Peer>, &BoundedQueue)> {
        match (self.peers(), &*self.destinations.sinks) {
            ([peer], []) => Some((Some(peer), &peer.queue)),
            ([], [sink]) if self.is_seen_by(sink) => Some((None, &sink.queue)),
            _ => None,
        }
    }

    /// The queues that a publisher waits for when they are full.
    #[inline]
    fn waiting(&self) -> impl Iterator<Item = &BoundedQueue> {
        let peers = self.peers().iter().map(|peer| &*peer.queue);
        let queues = peers.chain(self.sinks().map(|sink| &sink.queue));
        queues.filter(|queue| queue.policy() == OverflowPolicy::Wait)
    }

    /// The peers it goes to: those that subscribed, or the one it is addressed to whatever that
    /// one subscribed to.
    #[inline]
    fn peers(&self) -> &[Arc<Peer>] {
        match self.receiver.is_nil() {
            true => &self.destinations.peers,
            false => &self.ways,
        }
    }

    /// The local consumers it goes to.
    #[inline]
    fn sinks(&self) -> impl Iterator<Item = &Arc<Sink>> {
        self.destinations.sinks.iter().filter(|sink| self.is_seen_by(sink))
    }

    /// Hubs see what is meant for a peer as well, as in the C++ Broker; what is addressed to the
    /// endpoint itself reaches every kind, once.
    fn is_seen_by(&self, sink: &Sink) -> bool {
        self.origin.is_seen_by(sink.kind, sink.id)
            || (self.to_self && self.origin != Origin::Hub(sink.id))
    }
}

/// Batches of at least so many bytes become a segment of the only destination's queue; smaller
/// ones are copied behind what is there.
const LARGE_BATCH: usize = SEGMENT / 4;

fn check(topic: &[u8]) -> Result<(), PublishError> {
    match topic.len() {
        _ if is_internal(topic) => Err(PublishError::InternalTopic),
        0..=TOPIC => Ok(()),
        length => Err(TopicTooLong(length).into()),
    }
}

/// Everything up to the payload of a message of the endpoint with this router.
pub(super) fn start(
    out: &mut Vec<u8>,
    router: &Router,
    receiver: EndpointId,
    topic: &[u8],
    has_passage: bool,
) -> Result<(), PublishError> {
    check(topic)?;
    let (own, kind) = (router.id, EnvelopeType::Data);
    match has_passage {
        true => start_passage_frame(out, own, receiver, kind, router.own_passage(0), topic)?,
        false => start_frame(out, own, receiver, kind, DEFAULT_TTL, topic)?,
    };
    Ok(())
}

/// The peers that lead to an endpoint.
fn ways_to(router: &Router, receiver: EndpointId, topic: &[u8]) -> Vec<Arc<Peer>> {
    let (table, own) = (router.table(), router.id);
    let scope = table.scope(own, own, own);
    table.ways_to(receiver, topic, scope, router.forwarding)
}
