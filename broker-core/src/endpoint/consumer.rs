//! Local consumers: the queue that all of them have, and subscribers.

use super::message::{Message, Messages};
use super::readiness::poll_on_thread;
use super::shared::Shared;
use super::{Endpoint, IntoTopics};
use crate::event::{Event, LogEvent, LogId, Severity};
use crate::{Reason, SubscriberPolicy};
use broker_proto::SubscribeError;
use broker_proto::limits::Limits;
use broker_proto::memory::{Holder, Registration};
use broker_proto::queue::{BoundedQueue, Bounds, Closing, Piece, Taken};
use broker_proto::routing::{Sink, SinkKind};
use broker_proto::wire::frame::{PREFIX, frames, payload_length};
use bytes::{Buf, Bytes};
use futures_core::Stream;
use std::collections::BTreeSet;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

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
}

impl Subscriber {
    /// Waits for the next message; `None` after the endpoint has shut down and everything
    /// has been received. Cancel safe.
    pub async fn recv(&mut self) -> Option<Message> {
        poll_fn(|context| self.consumer.poll_recv(context)).await
    }

    /// The next message, if one is there.
    ///
    /// # Errors
    ///
    /// There is none now, or there will never be one again because the endpoint has shut
    /// down.
    pub fn try_recv(&mut self) -> Result<Message, TryRecvError> {
        self.consumer.try_recv()
    }

    /// Waits until a message is there, and moves as many as are there, at most `limit`, to
    /// the end of `buffer`. Returns how many; 0 only if the endpoint has shut down and
    /// everything has been received, or if `limit` is 0.
    ///
    /// Cancel safe: as long as this waits it has received nothing.
    pub async fn recv_many(&mut self, buffer: &mut Vec<Message>, limit: usize) -> usize {
        self.consumer.recv_many(buffer, limit).await
    }

    /// Waits until a message is there, and lends as many as have arrived together: the fastest way
    /// to receive. `None` after the endpoint has shut down and everything has been received.
    /// Cancel safe.
    pub async fn recv_batch(&mut self) -> Option<Messages<'_>> {
        self.consumer.recv_batch().await
    }

    /// [`Self::recv_many`] for threads of other runtimes or of none: puts the thread to
    /// sleep while nothing is there, for `timeout` at most if there is one, and returns 0
    /// when that is over.
    ///
    /// It needs no runtime, and blocks tasks of the same thread if there are any.
    pub fn blocking_recv_many(
        &mut self,
        buffer: &mut Vec<Message>,
        limit: usize,
        timeout: Option<Duration>,
    ) -> usize {
        self.consumer.blocking_recv_many(buffer, limit, timeout)
    }

    /// Waits until [`Self::try_recv`] has something to say: a message, or that the endpoint
    /// has shut down and nothing is left. For loops of other kinds; on Unix see `ReadyFd`.
    pub fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.consumer.poll_ready(context)
    }

    /// How many messages have arrived that have not been received.
    #[must_use]
    pub fn len(&self) -> usize {
        self.consumer.len()
    }

    /// Whether [`Self::len`] is 0.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Receives these topics as well. Peers hear of it soon; see [`Endpoint::flush`].
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

    /// How many messages were dropped because this was too slow.
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

/// The receiving side of a subscriber or hub.
#[derive(Debug)]
pub(super) struct Consumer {
    endpoint: Endpoint,
    sink: Arc<Sink>,
    topics: BTreeSet<Bytes>,
    /// Frames that have been taken from the queue and not been handed out yet.
    current: Bytes,
    /// How much of them has been lent and walked.
    walked: usize,
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
    pub(super) fn new(
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
    pub(super) fn or_ended(
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
        Self { sink, topics: BTreeSet::new(), current, walked: 0, segment, _held: held, endpoint }
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        self.endpoint.shared()
    }

    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(super) fn id(&self) -> u64 {
        self.sink.id
    }

    /// How many messages its queue had no room for.
    pub(super) fn dropped(&self) -> u64 {
        self.sink.queue.stats().dropped
    }

    /// Subscribes to more topics, or to none of them if there is an error.
    pub(super) fn add(&mut self, topics: Vec<Bytes>) -> Result<(), SubscribeError> {
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

    pub(super) fn remove(&mut self, topics: Vec<Bytes>) {
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

    /// Forgets what was lent.
    #[inline]
    fn settle(&mut self) {
        if self.walked > 0 {
            self.current.advance(self.walked.min(self.current.len()));
            self.walked = 0;
        }
    }

    #[inline]
    fn next_of_current(&mut self) -> Option<Message> {
        self.settle();
        let length = payload_length(&self.current)?;
        if length > self.current.len() - PREFIX {
            return None;
        }
        self.current.advance(PREFIX);
        Some(Message::new(self.current.split_to(length)))
    }

    #[inline]
    pub(super) fn try_recv(&mut self) -> Result<Message, TryRecvError> {
        self.take().map_err(|taken| match taken {
            Taken::Closed => TryRecvError::Closed,
            _ => TryRecvError::Empty,
        })
    }

    /// The next message; `None` when the endpoint has shut down and nothing is left.
    pub(super) fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Option<Message>> {
        loop {
            match self.take() {
                Ok(message) => return Poll::Ready(Some(message)),
                Err(Taken::Closed) => return Poll::Ready(None),
                Err(_) => ready!(self.sink.queue.poll_changed(context)),
            }
        }
    }

    /// Waits until a message is there, or nothing will come any more.
    pub(super) fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.settle();
        loop {
            if !self.current.is_empty() {
                return Poll::Ready(());
            }
            match self.refill() {
                Ok(()) => {}
                Err(Taken::Closed) => return Poll::Ready(()),
                Err(_) => ready!(self.sink.queue.poll_changed(context)),
            }
        }
    }

    pub(super) async fn recv_batch(&mut self) -> Option<Messages<'_>> {
        poll_fn(|context| self.poll_ready(context)).await;
        (!self.current.is_empty()).then(|| Messages::new(&self.current, &mut self.walked))
    }

    pub(super) async fn recv_many(&mut self, buffer: &mut Vec<Message>, limit: usize) -> usize {
        if limit > 0 {
            poll_fn(|context| self.poll_ready(context)).await;
        }
        self.take_many(buffer, limit)
    }

    pub(super) fn blocking_recv_many(
        &mut self,
        buffer: &mut Vec<Message>,
        limit: usize,
        timeout: Option<Duration>,
    ) -> usize {
        if limit > 0 {
            poll_on_thread(timeout, |context| self.poll_ready(context));
        }
        self.take_many(buffer, limit)
    }

    fn take_many(&mut self, buffer: &mut Vec<Message>, limit: usize) -> usize {
        let before = buffer.len();
        buffer.extend(std::iter::from_fn(|| self.take().ok()).take(limit));
        buffer.len() - before
    }

    /// How many messages are there.
    pub(super) fn len(&self) -> usize {
        let current = self.current.get(self.walked..).unwrap_or_default();
        self.sink.queue.stats().queued + frames(current).count()
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
