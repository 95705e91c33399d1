//! Local consumers: the queue that all of them have, subscribers and hubs.

use super::message::Message;
use super::shared::Shared;
use super::{Endpoint, IntoTopics};
use crate::event::{Event, LogEvent, LogId, Severity};
use crate::{EndpointId, Reason, SubscriberPolicy};
use broker_proto::SubscribeError;
use broker_proto::data::Encode;
use broker_proto::limits::Limits;
use broker_proto::memory::{Holder, Registration};
use broker_proto::queue::{BoundedQueue, Bounds, Closing, Piece, Taken};
use broker_proto::routing::{Origin, PublishError, Published, Sink, SinkKind};
use broker_proto::wire::frame::{PREFIX, payload_length};
use bytes::{Buf, Bytes};
use futures_core::Stream;
use std::collections::BTreeSet;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

/// The number of the next consumer, of whichever endpoint.
static NEXT_SINK: AtomicU64 = AtomicU64::new(1);

/// Why there is no message now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TryRecvError {
    /// None has arrived that has not been received.
    #[error("no message is there now")]
    Empty,
    /// The endpoint has shut down, and everything has been received.
    #[error("the endpoint has shut down")]
    Closed,
}

/// Bounds and policy of a local consumer's queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SubscriberOptions {
    /// Messages that may wait. Default: the limit of the endpoint.
    pub messages: Option<usize>,
    /// Bytes of memory that may wait. Default: the limit of the endpoint.
    pub bytes: Option<usize>,
    /// What happens to the rest.
    pub policy: SubscriberPolicy,
}

impl SubscriberOptions {
    /// The default bounds with the given policy.
    #[must_use]
    pub fn with_policy(policy: SubscriberPolicy) -> Self {
        Self { policy, ..Self::default() }
    }
}

/// Receives messages on topics with certain prefixes. See [`Endpoint::subscribe`].
///
/// Dropping it takes its subscriptions back.
#[derive(Debug)]
pub struct Subscriber {
    consumer: Consumer,
}

impl Subscriber {
    pub(super) fn new(
        endpoint: Endpoint,
        topics: Vec<Bytes>,
        options: SubscriberOptions,
    ) -> Result<Self, SubscribeError> {
        Consumer::new(endpoint, SinkKind::Subscriber, topics, options)
            .map(|consumer| Self { consumer })
    }

    /// Like [`Self::new`]. If that fails, it has ended from the start, and the log says why.
    pub(super) fn or_ended(
        endpoint: Endpoint,
        topics: Vec<Bytes>,
        options: SubscriberOptions,
    ) -> Self {
        Self { consumer: Consumer::or_ended(endpoint, SinkKind::Subscriber, topics, options) }
    }

    /// Waits for the next message; `None` after the endpoint has shut down and everything has been
    /// received. Cancel safe.
    pub async fn recv(&mut self) -> Option<Message> {
        self.consumer.recv().await
    }

    /// The next message, if one is there.
    ///
    /// # Errors
    ///
    /// There is none now, or there will never be one again because the endpoint has shut down.
    pub fn try_recv(&mut self) -> Result<Message, TryRecvError> {
        self.consumer.try_recv()
    }

    /// Receives these topics as well.
    ///
    /// # Errors
    ///
    /// As for [`Endpoint::try_subscribe`]; then none of them is received.
    pub fn add(&mut self, topics: impl IntoTopics) -> Result<(), SubscribeError> {
        self.consumer.add(topics.into_topics())
    }

    /// No longer receives these topics. Peers are told if nobody else wants them.
    pub fn remove(&mut self, topics: impl IntoTopics) {
        self.consumer.remove(topics.into_topics());
    }

    /// How many messages were dropped because this subscriber was too slow.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.consumer.dropped()
    }
}

impl Stream for Subscriber {
    type Item = Message;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Message>> {
        self.get_mut().consumer.poll_recv(context)
    }
}

/// A producer and consumer in one. See [`Endpoint::hub`].
#[derive(Debug)]
pub struct Hub {
    consumer: Consumer,
}

impl Hub {
    pub(super) fn new(
        endpoint: Endpoint,
        topics: Vec<Bytes>,
        options: SubscriberOptions,
    ) -> Result<Self, SubscribeError> {
        Consumer::new(endpoint, SinkKind::Hub, topics, options).map(|consumer| Self { consumer })
    }

    /// Like [`Self::new`]. If that fails, it has ended from the start, and the log says why.
    pub(super) fn or_ended(
        endpoint: Endpoint,
        topics: Vec<Bytes>,
        options: SubscriberOptions,
    ) -> Self {
        Self { consumer: Consumer::or_ended(endpoint, SinkKind::Hub, topics, options) }
    }

    /// Waits for the next message; `None` after the endpoint has shut down and everything has been
    /// received. Cancel safe.
    pub async fn recv(&mut self) -> Option<Message> {
        self.consumer.recv().await
    }

    /// The next message, if one is there.
    ///
    /// # Errors
    ///
    /// There is none now, or there will never be one again because the endpoint has shut down.
    pub fn try_recv(&mut self) -> Result<Message, TryRecvError> {
        self.consumer.try_recv()
    }

    /// Publishes a value to peers, to the subscribers of this endpoint and to its other hubs.
    ///
    /// # Errors
    ///
    /// As for [`Endpoint::publish`].
    pub async fn publish(
        &self,
        topic: impl AsRef<[u8]>,
        value: &(impl Encode + ?Sized),
    ) -> Result<Published, PublishError> {
        publish(self.consumer.endpoint(), self.consumer.id(), topic.as_ref(), value).await
    }

    /// A handle that publishes in the name of this hub, from any task. It does not keep the hub's
    /// subscriptions alive.
    #[must_use]
    pub fn sender(&self) -> HubSender {
        HubSender { endpoint: self.consumer.endpoint().clone(), id: self.consumer.id() }
    }

    /// Receives these topics as well.
    ///
    /// # Errors
    ///
    /// As for [`Endpoint::try_subscribe`]; then none of them is received.
    pub fn add(&mut self, topics: impl IntoTopics) -> Result<(), SubscribeError> {
        self.consumer.add(topics.into_topics())
    }

    /// No longer receives these topics.
    pub fn remove(&mut self, topics: impl IntoTopics) {
        self.consumer.remove(topics.into_topics());
    }

    /// How many messages were dropped because this hub was too slow.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.consumer.dropped()
    }
}

impl Stream for Hub {
    type Item = Message;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Message>> {
        self.get_mut().consumer.poll_recv(context)
    }
}

/// Publishes in the name of a [`Hub`]: the hub itself does not see it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct HubSender {
    endpoint: Endpoint,
    id: u64,
}

impl HubSender {
    /// Publishes a value like [`Hub::publish`].
    ///
    /// # Errors
    ///
    /// As for [`Endpoint::publish`].
    pub async fn publish(
        &self,
        topic: impl AsRef<[u8]>,
        value: &(impl Encode + ?Sized),
    ) -> Result<Published, PublishError> {
        publish(&self.endpoint, self.id, topic.as_ref(), value).await
    }
}

async fn publish(
    endpoint: &Endpoint,
    hub: u64,
    topic: &[u8],
    value: &(impl Encode + ?Sized),
) -> Result<Published, PublishError> {
    endpoint.shared().publish(Origin::Hub(hub), EndpointId::NIL, topic, None, value).await
}

/// The receiving side of a subscriber or hub.
#[derive(Debug)]
struct Consumer {
    endpoint: Endpoint,
    sink: Arc<Sink>,
    topics: BTreeSet<Bytes>,
    /// Frames that have been taken from the queue and not been handed out yet.
    current: Bytes,
    /// The segment that these are in.
    segment: Bytes,
    /// Makes the queue a part of what the endpoint holds.
    _held: Registration,
}

impl Consumer {
    /// Subscribes to topics, for which peers are asked.
    ///
    /// # Errors
    ///
    /// They would make the filter larger than peers accept.
    fn new(
        endpoint: Endpoint,
        kind: SinkKind,
        topics: Vec<Bytes>,
        options: SubscriberOptions,
    ) -> Result<Self, SubscribeError> {
        let mut consumer = Self::idle(endpoint, kind, options);
        consumer.add(topics)?;
        Ok(consumer)
    }

    /// Like [`Self::new`]. If that fails, the consumer has ended, and the log says why.
    fn or_ended(
        endpoint: Endpoint,
        kind: SinkKind,
        topics: Vec<Bytes>,
        options: SubscriberOptions,
    ) -> Self {
        let mut consumer = Self::idle(endpoint, kind, options);
        if let Err(error) = consumer.add(topics) {
            consumer.sink.queue.close(Closing::Now);
            consumer.shared().emit(Event::Log(LogEvent {
                level: Severity::Error,
                id: LogId::SubscriptionRefused,
                description: error.to_string(),
                reason: Some(Reason::LimitReached),
            }));
        }
        consumer
    }

    /// A consumer without subscriptions.
    fn idle(endpoint: Endpoint, kind: SinkKind, options: SubscriberOptions) -> Self {
        let shared = endpoint.shared();
        let queue = BoundedQueue::new(bounds(&shared.config.limits, options));
        let queue = queue.within(&shared.memory);
        let sink = Arc::new(Sink { id: NEXT_SINK.fetch_add(1, Ordering::Relaxed), kind, queue });
        let holder: Arc<dyn Holder> = sink.clone();
        let held = shared.memory.register(Arc::downgrade(&holder));
        shared.router.set_sink(&sink, Vec::new());
        if shared.tasks.stopped.is_cancelled() {
            sink.queue.close(Closing::Flush);
        }
        let (current, segment) = (Bytes::new(), Bytes::new());
        Self { sink, topics: BTreeSet::new(), current, segment, _held: held, endpoint }
    }

    fn shared(&self) -> &Arc<Shared> {
        self.endpoint.shared()
    }

    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn id(&self) -> u64 {
        self.sink.id
    }

    /// How many messages its queue had no room for.
    fn dropped(&self) -> u64 {
        self.sink.queue.stats().dropped
    }

    /// Subscribes to more topics, or to none of them if there is an error.
    fn add(&mut self, topics: Vec<Bytes>) -> Result<(), SubscribeError> {
        let mut new = topics;
        new.retain(|topic| !self.topics.contains(topic));
        // What peers send because of it finds its way already.
        self.shared().router.change_sink(self.sink.id, &new, &[]);
        let added = self.shared().control(|control, now| control.subscribe(&new, now));
        match added {
            Ok(()) => self.topics.extend(new),
            Err(_) => self.shared().router.change_sink(self.sink.id, &[], &new),
        }
        added
    }

    fn remove(&mut self, topics: Vec<Bytes>) {
        let mut gone = topics;
        gone.retain(|topic| self.topics.remove(topic));
        self.shared().router.change_sink(self.sink.id, &[], &gone);
        self.shared().control(|control, now| control.unsubscribe(&gone, now));
    }

    /// The next message, if one is there.
    #[inline]
    fn take(&mut self) -> Result<Message, Taken> {
        loop {
            if let Some(message) = self.next_of_current() {
                return Ok(message);
            }
            self.refill()?;
        }
    }

    /// Takes the next frames out of the queue.
    #[inline(never)]
    fn refill(&mut self) -> Result<(), Taken> {
        self.current = Bytes::new();
        // Unless somebody keeps a message of it, the segment can be filled again.
        if let Ok(mut segment) = std::mem::take(&mut self.segment).try_into_mut()
            && segment.capacity() > 0
        {
            segment.clear();
            self.sink.queue.recycle(segment.into());
        }
        match self.sink.queue.take_piece()? {
            Piece::Shared(frame) => self.current = frame,
            Piece::Segment { bytes, skip, .. } => {
                self.segment = Bytes::from(bytes);
                self.current = self.segment.slice(skip..);
            }
        }
        Ok(())
    }

    #[inline]
    fn next_of_current(&mut self) -> Option<Message> {
        let length = payload_length(&self.current)?;
        if length > self.current.len() - PREFIX {
            return None;
        }
        self.current.advance(PREFIX);
        Some(Message::new(self.current.split_to(length)))
    }

    #[inline]
    fn try_recv(&mut self) -> Result<Message, TryRecvError> {
        self.take().map_err(|taken| match taken {
            Taken::Closed => TryRecvError::Closed,
            _ => TryRecvError::Empty,
        })
    }

    /// The next message; `None` when the endpoint has shut down and nothing is left.
    fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Option<Message>> {
        loop {
            match self.take() {
                Ok(message) => return Poll::Ready(Some(message)),
                Err(Taken::Closed) => return Poll::Ready(None),
                Err(_) => ready!(self.sink.queue.poll_changed(context)),
            }
        }
    }

    async fn recv(&mut self) -> Option<Message> {
        poll_fn(|context| self.poll_recv(context)).await
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        let topics: Vec<Bytes> = self.topics.iter().cloned().collect();
        self.shared().router.remove_sink(self.sink.id);
        self.sink.queue.close(Closing::Now);
        self.shared().control(|control, now| control.unsubscribe(&topics, now));
    }
}

fn bounds(limits: &Limits, options: SubscriberOptions) -> Bounds {
    Bounds {
        messages: options.messages.unwrap_or(limits.subscriber_messages.get()),
        memory: options.bytes.unwrap_or(limits.subscriber_bytes.get()),
        control: 0,
        policy: options.policy.into(),
    }
}
