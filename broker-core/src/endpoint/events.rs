use super::throttle::{Throttle, Verdict};
use crate::event::{Event, Severity};
use broker_proto::limits::Limits;
use broker_proto::peering::Time;
use futures_core::Stream;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Waker};

/// Hands every event to every stream.
#[derive(Debug)]
pub(super) struct EventBus {
    streams: Mutex<Streams>,
    capacity: usize,
    log_level: Severity,
    throttle: Throttle,
}

#[derive(Debug, Default)]
struct Streams {
    list: Vec<Weak<Mutex<Waiting>>>,
    closed: bool,
}

#[derive(Debug, Default)]
struct Waiting {
    events: VecDeque<Event>,
    missed: u64,
    waker: Option<Waker>,
    closed: bool,
}

impl EventBus {
    pub(super) fn new(limits: &Limits, log_level: Severity) -> Self {
        let throttle = Throttle::new(limits.log_burst.get());
        Self { streams: Mutex::default(), capacity: limits.events.get(), log_level, throttle }
    }

    pub(super) fn stream(&self) -> EventStream {
        let mut streams = self.streams.lock();
        let waiting = Waiting { closed: streams.closed, ..Waiting::default() };
        let waiting = Arc::new(Mutex::new(waiting));
        streams.list.push(Arc::downgrade(&waiting));
        EventStream { waiting }
    }

    /// Hands an event out, unless it is a log event that nobody wants, or one too many. Returns
    /// whether [`Self::due`] has changed.
    pub(super) fn emit(&self, event: &Event, now: Time) -> bool {
        let verdict = match event {
            Event::Log(log) if log.level > self.log_level => Verdict::Hold,
            Event::Log(log) => self.throttle.offer(log, now),
            _ => Verdict::Say,
        };
        if verdict == Verdict::Say {
            self.hand_out(event);
        }
        verdict == Verdict::HoldFirst
    }

    /// When [`Self::release`] has something to do.
    pub(super) fn due(&self) -> Option<Time> {
        self.throttle.due()
    }

    /// Says what is to be said for log events that have been held back until now.
    pub(super) fn release(&self, now: Time) {
        for log in self.throttle.release(now) {
            self.hand_out(&Event::Log(log));
        }
    }

    fn hand_out(&self, event: &Event) {
        self.for_each(|waiting| {
            if waiting.events.len() == self.capacity {
                waiting.events.pop_front();
                waiting.missed += 1;
            }
            waiting.events.push_back(event.clone());
        });
    }

    /// Ends every stream after what it has not handed out yet.
    pub(super) fn close(&self) {
        self.release(Time::MAX);
        self.streams.lock().closed = true;
        self.for_each(|waiting| waiting.closed = true);
    }

    fn for_each(&self, mut change: impl FnMut(&mut Waiting)) {
        let mut wakers = Vec::new();
        self.streams.lock().list.retain(|stream| {
            let Some(stream) = stream.upgrade() else { return false };
            let mut waiting = stream.lock();
            change(&mut waiting);
            wakers.extend(waiting.waker.take());
            true
        });
        // Whoever is woken may use the endpoint at once.
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// The events of an endpoint, in their order. Ends when the endpoint has shut down.
///
/// A stream that is not read keeps the newest events, up to the limit of the endpoint, and counts
/// the others.
#[derive(Debug)]
pub struct EventStream {
    waiting: Arc<Mutex<Waiting>>,
}

impl EventStream {
    /// Waits for the next event; `None` after the last one. Cancel safe.
    pub async fn next(&mut self) -> Option<Event> {
        std::future::poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// The next event, if one is there.
    pub fn try_next(&mut self) -> Option<Event> {
        self.waiting.lock().events.pop_front()
    }

    /// Waits until [`Self::try_next`] has an event, or there will be none any more.
    pub fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut waiting = self.waiting.lock();
        if !waiting.events.is_empty() || waiting.closed {
            return Poll::Ready(());
        }
        waiting.waker = Some(context.waker().clone());
        Poll::Pending
    }

    /// How many events are there.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.lock().events.len()
    }

    /// Whether [`Self::len`] is 0.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there will be no events any more but those that are there.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.waiting.lock().closed
    }

    /// How many events this stream has lost because it was not read.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.waiting.lock().missed
    }
}

impl Stream for EventStream {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        let mut waiting = self.waiting.lock();
        match waiting.events.pop_front() {
            Some(event) => Poll::Ready(Some(event)),
            None if waiting.closed => Poll::Ready(None),
            None => {
                waiting.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}
