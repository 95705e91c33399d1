use super::message::Message;
use super::shared::Shared;
use super::{Endpoint, SubscriberOptions};
use broker_proto::limits::Limits;
use broker_proto::memory::{Holder, Registration};
use broker_proto::queue::{BoundedQueue, Bounds, Closing, Piece, Taken};
use broker_proto::routing::{Sink, SinkKind};
use broker_proto::wire::frame::PREFIX;
use bytes::{Buf, Bytes};
use std::collections::BTreeSet;
use std::sync::Arc;

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
    /// Makes the queue a part of what the endpoint holds.
    _held: Registration,
}

impl Consumer {
    pub(super) fn new<T: AsRef<[u8]>>(
        endpoint: Endpoint,
        kind: SinkKind,
        prefixes: impl IntoIterator<Item = T>,
        options: SubscriberOptions,
    ) -> Self {
        let shared = endpoint.shared();
        let queue = BoundedQueue::new(bounds(&shared.config.limits, options));
        let queue = queue.within(&shared.memory);
        let sink = Arc::new(Sink { id: shared.next_sink(), kind, queue });
        let holder: Arc<dyn Holder> = sink.clone();
        let held = shared.memory.register(Arc::downgrade(&holder));
        let topics = topics(prefixes);
        shared.router.set_sink(&sink, topics.clone());
        shared.control(|control, _| control.subscribe(&topics));
        if shared.stopped.is_cancelled() {
            sink.queue.close(Closing::Flush);
        }
        Self {
            sink,
            topics: topics.into_iter().collect(),
            current: Bytes::new(),
            segment: Bytes::new(),
            _held: held,
            endpoint,
        }
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

    pub(super) fn change<T: AsRef<[u8]>, U: AsRef<[u8]>>(
        &mut self,
        add: impl IntoIterator<Item = T>,
        remove: impl IntoIterator<Item = U>,
    ) {
        let add: Vec<Bytes> =
            topics(add).into_iter().filter(|topic| self.topics.insert(topic.clone())).collect();
        let remove: Vec<Bytes> =
            topics(remove).into_iter().filter(|topic| self.topics.remove(topic)).collect();
        self.shared().router.set_sink(&self.sink, self.topics.iter().cloned().collect());
        self.shared().control(|control, _| control.resubscribe(&add, &remove));
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
        self.shared().control(|control, _| control.unsubscribe(&topics));
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
