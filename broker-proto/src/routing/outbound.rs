use super::is_internal;
use super::route::{FixedRoute, Route, Way};
use super::router::Router;
use super::table::{Destinations, Peer, Sink, SinkKind};
use crate::EndpointId;
use crate::OverflowPolicy;
use crate::limits::SHARED_FRAME_MIN;
use crate::peering::ConnectionId;
use crate::queue::{BoundedQueue, Push};
use crate::wire::DEFAULT_TTL;
use crate::wire::envelope::{
    EnvelopeType, TopicTooLong, put_without_passage, set_number, start_frame, start_passage_frame,
};
use crate::wire::frame::{PREFIX, finish_frame};
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

/// An encoded local message and where it goes.
pub struct Outbound {
    /// With a passage, whose number is still missing, if a peer has a use for it.
    frame: Vec<u8>,
    has_passage: bool,
    origin: Origin,
    receiver: EndpointId,
    /// Addressed to this endpoint.
    to_self: bool,
    destinations: Arc<Destinations>,
    /// The addressed peer, or those that lead to the addressed endpoint.
    ways: Vec<Arc<Peer>>,
}

impl Outbound {
    /// Encodes a message, its payload by `payload`, and finds out who wants it.
    pub fn new(
        router: &Router,
        origin: Origin,
        receiver: EndpointId,
        topic: &[u8],
        limit: usize,
        payload: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Self, PublishError> {
        Self::along(None, router, origin, receiver, topic, limit, payload)
    }

    /// Encodes a message, its payload by `payload`, and finds out who wants it: by the route of a
    /// publisher that has no other topic, or by the table.
    pub fn along(
        route: Option<&FixedRoute>,
        router: &Router,
        origin: Origin,
        receiver: EndpointId,
        topic: &[u8],
        limit: usize,
        payload: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Self, PublishError> {
        if is_internal(topic) {
            return Err(PublishError::InternalTopic);
        }
        let destinations = match route {
            Some(route) => route.destinations(router, topic),
            None => Route::find(router, topic, Way::from(router.id)).1,
        };
        let ways = if receiver.is_nil() { Vec::new() } else { ways_to(router, receiver) };
        let to_self = receiver == router.id;
        let mut outbound = Self {
            frame: SCRATCH.take(),
            has_passage: false,
            origin,
            receiver,
            to_self,
            destinations,
            ways,
        };
        let has_passage = outbound.peers().any(|peer| peer.has_passages());
        outbound.has_passage = has_passage;
        if let Err(error) = outbound.encode(router, topic, limit, payload) {
            keep_scratch(outbound.frame);
            return Err(error);
        }
        Ok(outbound)
    }

    /// Encodes the message into an old buffer.
    fn encode(
        &mut self,
        router: &Router,
        topic: &[u8],
        limit: usize,
        payload: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), PublishError> {
        let (own, receiver, kind) = (router.id, self.receiver, EnvelopeType::Data);
        let frame = &mut self.frame;
        frame.clear();
        let start = match self.has_passage {
            true => {
                let passage = router.own_passage(0);
                start_passage_frame(frame, own, receiver, kind, passage, topic)?
            }
            false => start_frame(frame, own, receiver, kind, DEFAULT_TTL, topic)?,
        };
        payload(frame);
        let size = frame.len() - PREFIX;
        if size > limit {
            return Err(PublishError::TooLarge { size, limit });
        }
        finish_frame(frame, start);
        Ok(())
    }

    /// The size of the frame.
    pub fn bytes(&self) -> usize {
        self.frame.len()
    }

    /// Whether [`Self::room`] would wait.
    #[inline]
    pub fn has_to_wait(&self) -> bool {
        self.queues().any(|queue| queue.policy() == OverflowPolicy::Wait && queue.is_full())
    }

    /// Waits until every queue whose policy says so has room. Cancel safe: nothing has been sent.
    pub async fn room(&self) {
        for queue in self.queues() {
            if queue.policy() == OverflowPolicy::Wait && queue.is_full() {
                queue.room().await;
            }
        }
    }

    /// Hands the message to everyone, and adds the peers that this was too much for to `cut`.
    pub fn send(mut self, router: &Router, cut: &mut Vec<ConnectionId>) -> Published {
        let published = Published { peers: self.peers().count(), local: self.sinks().count() };
        let mut plain = Vec::new();
        if self.has_passage {
            // Numbers ascend in the order in which messages go out.
            set_number(&mut self.frame, router.next_number());
            if self.peers().any(|peer| !peer.has_passages()) {
                put_without_passage(&mut plain, &self.frame, router.id, DEFAULT_TTL);
            }
        }
        let plain = Form::of(&mut plain);
        let frame = Form::of(&mut self.frame);
        for peer in self.peers() {
            let form = if self.has_passage && !peer.has_passages() { &plain } else { &frame };
            if form.push(&peer.queue) == Push::Overflow {
                cut.push(peer.conn);
            }
        }
        for sink in self.sinks() {
            frame.push(&sink.queue);
        }
        if let Form::Small(frame) = frame {
            keep_scratch(frame);
        }
        published
    }

    fn queues(&self) -> impl Iterator<Item = &BoundedQueue> {
        self.peers().map(|peer| &*peer.queue).chain(self.sinks().map(|sink| &sink.queue))
    }

    /// The peers it goes to: those that subscribed, or the one it is addressed to whatever that
    /// one subscribed to.
    fn peers(&self) -> impl Iterator<Item = &Arc<Peer>> {
        let multicast = self.receiver.is_nil().then_some(&self.destinations.peers);
        multicast.into_iter().flatten().chain(&self.ways)
    }

    /// The local consumers it goes to. Hubs see what is meant for a peer as well, as in the
    /// C++ Broker; what is addressed to the endpoint itself reaches every kind, once.
    fn sinks(&self) -> impl Iterator<Item = &Arc<Sink>> {
        self.destinations.sinks.iter().filter(|sink| {
            self.origin.is_seen_by(sink.kind, sink.id)
                || (self.to_self && self.origin != Origin::Hub(sink.id))
        })
    }
}

/// A frame that is copied into queues, or one that is so large that they share it.
enum Form {
    Small(Vec<u8>),
    Large(Bytes),
}

impl Form {
    fn of(frame: &mut Vec<u8>) -> Self {
        let frame = std::mem::take(frame);
        if frame.len() >= SHARED_FRAME_MIN { Self::Large(frame.into()) } else { Self::Small(frame) }
    }

    fn push(&self, queue: &BoundedQueue) -> Push {
        match self {
            Self::Small(frame) => queue.push(frame, 1, true),
            Self::Large(frame) => queue.push_shared(frame, true),
        }
    }
}

/// The peers that lead to an endpoint.
fn ways_to(router: &Router, receiver: EndpointId) -> Vec<Arc<Peer>> {
    let (table, own) = (router.table(), router.id);
    let scope = table.scope(own, own, own);
    table.ways_to(receiver, scope, router.forwarding)
}

/// Keeps a buffer for the next message of this thread.
fn keep_scratch(frame: Vec<u8>) {
    if (1..=SCRATCH_KEPT).contains(&frame.capacity()) {
        SCRATCH.set(frame);
    }
}
