use super::message::Message;
use super::readiness::poll_on_thread;
use super::shared::Shared;
use super::{Endpoint, SubscriberOptions};
use crate::Reason;
use crate::event::{Event, LogEvent, LogId, Severity};
use broker_proto::SubscribeError;
use broker_proto::limits::Limits;
use broker_proto::queue::{BoundedQueue, Bounds, Closing, Piece, Taken};
use broker_proto::routing::{Sink, SinkKind};
use broker_proto::wire::frame::{self, PREFIX};
use bytes::{Buf, Bytes};
use std::collections::BTreeSet;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// Topics from whatever the caller has.
pub(super) fn topics<T: AsRef<[u8]>>(prefixes: impl IntoIterator<Item = T>) -> Vec<Bytes> {
    let topics: BTreeSet<Bytes> =
        prefixes.into_iter().map(|prefix| Bytes::copy_from_slice(prefix.as_ref())).collect();
    topics.into_iter().collect()
}

/// The receiving side of a subscriber or hub.
#[derive(Debug)]
pub(super) struct Consumer {
    endpoint: Endpoint,
    sink: Arc<Sink>,
    topics: BTreeSet<Bytes>,
    /// Frames that have been taken from the queue and not been handed out yet.
    current: Bytes,
    /// The segment that these are in.
    segment: Bytes,
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
        let sink = Arc::new(Sink { id: shared.next_sink(), kind, queue });
        shared.router.set_sink(&sink, Vec::new());
        if shared.stopped.is_cancelled() {
            sink.queue.close(Closing::Flush);
        }
        let (current, segment) = (Bytes::new(), Bytes::new());
        Self { sink, topics: BTreeSet::new(), current, segment, endpoint }
    }

    fn shared(&self) -> &Arc<Shared> {
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
    pub(super) fn try_recv(&mut self) -> Result<Message, Taken> {
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
        let prefix = self.current.first_chunk::<PREFIX>()?;
        let length = u32::from_be_bytes(*prefix) as usize;
        if length > self.current.len() - PREFIX {
            return None;
        }
        self.current.advance(PREFIX);
        Some(Message::new(self.current.split_to(length)))
    }

    /// How many messages are there.
    pub(super) fn len(&self) -> usize {
        self.sink.queue.stats().queued + frame::frames(&self.current).count()
    }

    /// Waits until a message is there, or nothing will come any more.
    pub(super) fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
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

    /// Waits for messages and takes up to `limit` of those that are there.
    pub(super) async fn recv_many(&mut self, buffer: &mut Vec<Message>, limit: usize) -> usize {
        if limit > 0 {
            poll_fn(|context| self.poll_ready(context)).await;
        }
        self.take_many(buffer, limit)
    }

    /// [`Self::recv_many`] on a thread that sleeps for that long at most.
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
        buffer.extend(std::iter::from_fn(|| self.try_recv().ok()).take(limit));
        buffer.len() - before
    }

    /// Waits for the next message. `None` when the endpoint has shut down and nothing is left.
    pub(super) async fn recv(&mut self) -> Option<Message> {
        loop {
            match self.try_recv() {
                Ok(message) => return Some(message),
                Err(Taken::Closed) => return None,
                Err(_) => self.sink.queue.changed().await,
            }
        }
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
        messages: options.messages.unwrap_or(limits.subscriber_messages),
        memory: options.bytes.unwrap_or(limits.subscriber_bytes),
        control: 0,
        policy: options.policy.into(),
    }
}
