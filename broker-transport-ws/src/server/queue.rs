//! What waits for a client, and the task that writes it.

use super::answers::missed_frame;
use crate::stream::WriteHalf;
use broker_core::OverflowPolicy;
use broker_core::endpoint::ClientCounters;
use broker_core::memory::{Holder, MemoryBudget, Share};
use bytes::{Buf, Bytes};
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;

/// How much the writer takes at once, so that the bound of the queue covers nearly all that waits.
const TAKE_BYTES: usize = 256 * 1024;
const TAKE_FRAMES: usize = 64;

/// Pieces handed to one vectored write.
const SLICES: usize = 64;

/// How much may wait for a client, and what happens to the rest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
    pub(crate) control: usize,
    pub(crate) policy: OverflowPolicy,
}

/// Why the session of a client has to end although the client wants nothing of the kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interrupt {
    /// It reads too slowly, and the policy is to disconnect it.
    Overflow,
    /// The endpoint shuts down.
    Stopping,
    /// The connection takes nothing any more.
    Broken,
}

/// How a queue ends: with these bytes, after what is queued or instead of it.
#[derive(Debug)]
pub(crate) enum Ending {
    Flush(Vec<u8>),
    Now(Vec<u8>),
}

/// What the writer got.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    Some,
    Idle,
    Over,
}

/// What waits for one client: frames that it shares with other clients, and answers of its own.
#[derive(Debug)]
pub(crate) struct Outgoing {
    bounds: Bounds,
    counters: Arc<ClientCounters>,
    /// What it holds within the budget of the endpoint. A frame counts for each client that it
    /// waits for.
    share: Share,
    state: Mutex<State>,
    /// For the writer: there is something to take.
    ready: Notify,
    /// For the reader: answers have room again, or the session is interrupted.
    changed: Notify,
    interrupt: Notify,
    written: AtomicU64,
}

#[derive(Debug)]
struct State {
    /// Answers, which no policy drops. They go before the messages.
    control: Vec<u8>,
    frames: VecDeque<Bytes>,
    bytes: usize,
    /// The bound in bytes while the queue has to give way to others.
    squeezed: usize,
    /// Messages that were dropped and of which the client has not been told.
    missed: u64,
    /// After how many frames it is to be told.
    tell_after: usize,
    interrupt: Option<Interrupt>,
    ending: Option<Ending>,
    over: bool,
    idle: bool,
}

impl Outgoing {
    pub(crate) fn new(bounds: Bounds, counters: Arc<ClientCounters>) -> Self {
        Self {
            bounds,
            counters,
            share: Share::default(),
            state: Mutex::new(State::new()),
            ready: Notify::new(),
            changed: Notify::new(),
            interrupt: Notify::new(),
            written: AtomicU64::new(0),
        }
    }

    /// The same queue, which counts in a budget.
    pub(crate) fn within(self, budget: &Arc<MemoryBudget>) -> Self {
        Self { share: Share::of(budget), ..self }
    }

    #[cfg(test)]
    pub(super) fn counters(&self) -> &ClientCounters {
        &self.counters
    }

    /// Queues a message, or does what the policy says.
    pub(crate) fn push(&self, frame: &Bytes) {
        let mut state = self.state.lock();
        if state.ending.is_some() || state.over || state.interrupt.is_some() {
            return;
        }
        if !state.fits(&self.bounds, frame.len()) && !self.make_room(&mut state, frame.len()) {
            self.counters.dropped.fetch_add(1, Relaxed);
            return;
        }
        state.bytes += frame.len();
        state.frames.push_back(frame.clone());
        self.counters.messages_out.fetch_add(1, Relaxed);
        self.wake(state);
    }

    /// Makes room for a message, and returns whether there is some now.
    fn make_room(&self, state: &mut State, need: usize) -> bool {
        match self.bounds.policy {
            OverflowPolicy::DropOldest => {
                while !state.fits(&self.bounds, need) && state.drop_oldest() {
                    self.counters.dropped.fetch_add(1, Relaxed);
                }
                state.tell_after = 0;
                return true;
            }
            OverflowPolicy::DropNewest => {
                if state.missed == 0 {
                    state.tell_after = state.frames.len();
                }
                state.missed += 1;
            }
            // Nobody waits for a client.
            _ => {
                state.interrupt = Some(Interrupt::Overflow);
                self.interrupt.notify_one();
            }
        }
        false
    }

    /// Queues an answer.
    pub(crate) fn answer(&self, bytes: &[u8]) {
        let mut state = self.state.lock();
        if state.ending.is_none() && !state.over {
            state.control.extend_from_slice(bytes);
            self.wake(state);
        }
    }

    /// Waits until the answers take less than their bound. Cancel safe.
    pub(crate) async fn room_for_answers(&self) {
        while self.state.lock().control.len() >= self.bounds.control {
            self.changed.notified().await;
        }
    }

    /// Ends the session from outside; the first reason counts.
    pub(crate) fn interrupt(&self, why: Interrupt) {
        let mut state = self.state.lock();
        if state.interrupt.is_none() {
            state.interrupt = Some(why);
            self.interrupt.notify_one();
        }
    }

    /// Waits for an interrupt. Cancel safe.
    pub(crate) async fn interrupted(&self) -> Interrupt {
        loop {
            if let Some(why) = self.state.lock().interrupt {
                return why;
            }
            self.interrupt.notified().await;
        }
    }

    /// Nothing more is to be queued.
    pub(crate) fn finish(&self, ending: Ending) {
        let mut state = self.state.lock();
        if matches!(ending, Ending::Now(_)) {
            state.frames.clear();
            state.bytes = 0;
            state.missed = 0;
        }
        state.ending = Some(ending);
        self.wake(state);
    }

    /// Moves what is queued into `batch`.
    pub(crate) fn take(&self, batch: &mut VecDeque<Bytes>) -> Taken {
        let mut state = self.state.lock();
        if !state.control.is_empty() {
            batch.push_back(std::mem::take(&mut state.control).into());
            self.changed.notify_one();
        }
        let mut bytes = 0;
        while bytes < TAKE_BYTES && batch.len() < TAKE_FRAMES {
            if state.missed > 0 && state.tell_after == 0 {
                batch.push_back(missed_frame(std::mem::take(&mut state.missed)));
            }
            let Some(frame) = state.frames.pop_front() else { break };
            state.tell_after = state.tell_after.saturating_sub(1);
            state.bytes -= frame.len();
            bytes += frame.len();
            batch.push_back(frame);
        }
        if state.frames.is_empty() {
            if state.missed > 0 {
                batch.push_back(missed_frame(std::mem::take(&mut state.missed)));
            }
            if let Some(Ending::Flush(last) | Ending::Now(last)) = state.ending.take() {
                state.over = true;
                batch.push_back(last.into());
            }
            if state.frames.capacity() > TAKE_FRAMES {
                state.frames = VecDeque::new();
            }
        }
        if state.bytes <= state.squeezed {
            state.squeezed = usize::MAX;
        }
        // It has become less.
        let _ = self.note(&state);
        if !batch.is_empty() {
            return Taken::Some;
        }
        if state.over {
            return Taken::Over;
        }
        state.idle = true;
        Taken::Idle
    }

    /// Waits until [`Self::take`] has something new to say. For the one writer.
    pub(crate) async fn ready(&self) {
        self.ready.notified().await;
    }

    /// The writer has made progress.
    pub(crate) fn wrote(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, Relaxed);
    }

    /// How many bytes the connection has taken so far.
    pub(crate) fn written(&self) -> u64 {
        self.written.load(Relaxed)
    }

    /// To be called whenever what is queued has changed. Returns whether it is now too much for the
    /// budget.
    fn note(&self, state: &State) -> bool {
        self.counters.queued.store(state.frames.len() as u64, Relaxed);
        self.counters.queued_bytes.store(state.bytes as u64, Relaxed);
        self.share.set(state.bytes + state.control.len())
    }

    fn wake(&self, mut state: parking_lot::MutexGuard<'_, State>) {
        let too_much = self.note(&state);
        let was_idle = std::mem::take(&mut state.idle);
        drop(state);
        if was_idle {
            self.ready.notify_one();
        }
        if too_much {
            self.share.relieve();
        }
    }
}

impl Holder for Outgoing {
    fn held(&self) -> usize {
        self.share.bytes()
    }

    /// The oldest messages go where the policy says so; else there is no room for new ones until
    /// the client has read enough, with whatever the policy says about that.
    fn give_way(&self, excess: usize) -> usize {
        let mut state = self.state.lock();
        let before = state.bytes;
        if state.ending.is_some() || state.over || before == 0 {
            return 0;
        }
        let bound = before.saturating_sub(excess);
        if self.bounds.policy != OverflowPolicy::DropOldest {
            state.squeezed = state.squeezed.min(bound);
            return before - bound;
        }
        while state.bytes > bound && state.drop_oldest() {
            self.counters.dropped.fetch_add(1, Relaxed);
        }
        state.tell_after = 0;
        let _ = self.note(&state);
        before - state.bytes
    }
}

impl State {
    fn new() -> Self {
        Self {
            control: Vec::new(),
            frames: VecDeque::new(),
            bytes: 0,
            squeezed: usize::MAX,
            missed: 0,
            tell_after: 0,
            interrupt: None,
            ending: None,
            over: false,
            idle: false,
        }
    }

    fn fits(&self, bounds: &Bounds, need: usize) -> bool {
        self.frames.len() < bounds.messages
            && (self.frames.is_empty() || self.bytes + need <= bounds.bytes.min(self.squeezed))
    }

    fn drop_oldest(&mut self) -> bool {
        let Some(frame) = self.frames.pop_front() else { return false };
        self.bytes -= frame.len();
        self.missed += 1;
        true
    }
}

/// Writes what is queued until the queue is over, and gives the connection back then; `None` if
/// the connection has failed.
pub(super) async fn write(mut writer: WriteHalf, queue: Arc<Outgoing>) -> Option<WriteHalf> {
    let mut batch = VecDeque::new();
    loop {
        match queue.take(&mut batch) {
            Taken::Some => {
                if write_all(&mut writer, &mut batch, &queue).await.is_err() {
                    queue.interrupt(Interrupt::Broken);
                    return None;
                }
            }
            Taken::Idle => {
                batch = VecDeque::new();
                queue.ready().await;
            }
            Taken::Over => return Some(writer),
        }
    }
}

async fn write_all(
    writer: &mut WriteHalf,
    batch: &mut VecDeque<Bytes>,
    queue: &Outgoing,
) -> io::Result<()> {
    while !batch.is_empty() {
        let mut slices = [IoSlice::new(&[]); SLICES];
        for (slot, frame) in slices.iter_mut().zip(batch.iter()) {
            *slot = IoSlice::new(frame);
        }
        let count = batch.len().min(SLICES);
        let mut written = if writer.is_write_vectored() {
            writer.write_vectored(slices.get(..count).unwrap_or_default()).await?
        } else {
            writer.write(batch.front().map(Bytes::as_ref).unwrap_or_default()).await?
        };
        if written == 0 && batch.iter().any(|frame| !frame.is_empty()) {
            return Err(io::ErrorKind::WriteZero.into());
        }
        queue.wrote(written);
        while let Some(frame) = batch.front_mut() {
            if written < frame.len() {
                frame.advance(written);
                break;
            }
            written -= frame.len();
            batch.pop_front();
        }
    }
    writer.flush().await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(policy: OverflowPolicy) -> Outgoing {
        let bounds = Bounds { messages: 3, bytes: 100, control: 10, policy };
        Outgoing::new(bounds, Arc::default())
    }

    fn push(queue: &Outgoing, names: &[&'static str]) {
        names.iter().for_each(|name| queue.push(&Bytes::from_static(name.as_bytes())));
    }

    fn drain(queue: &Outgoing) -> Vec<String> {
        let mut batch = VecDeque::new();
        while queue.take(&mut batch) == Taken::Some {
            if batch.is_empty() {
                break;
            }
            let all: Vec<String> =
                batch.drain(..).map(|f| String::from_utf8_lossy(&f).into_owned()).collect();
            if queue.take(&mut batch) != Taken::Some {
                return all;
            }
        }
        Vec::new()
    }

    #[test]
    fn the_oldest_are_dropped_and_the_client_is_told_before_the_rest() {
        let queue = queue(OverflowPolicy::DropOldest);
        push(&queue, &["a", "b", "c", "d", "e"]);
        let got = drain(&queue);
        assert!(got[0].contains("2 messages"), "{}", got[0]);
        assert_eq!(got[1..], ["c", "d", "e"]);
        assert_eq!(queue.counters.dropped.load(Relaxed), 2);
    }

    #[test]
    fn the_newest_are_dropped_and_the_client_is_told_where_they_are_missing() {
        let queue = queue(OverflowPolicy::DropNewest);
        push(&queue, &["a", "b", "c", "d", "e"]);
        let got = drain(&queue);
        assert_eq!(got[..3], ["a", "b", "c"]);
        assert!(got[3].contains("2 messages"), "{}", got[3]);
        push(&queue, &["f"]);
        assert_eq!(drain(&queue), ["f"]);
    }

    /// Queues of clients within a budget of ten large messages. The first takes in as many as it
    /// may, the others one each.
    fn within_a_budget<const CLIENTS: usize>(policy: OverflowPolicy) -> [Arc<Outgoing>; CLIENTS] {
        let budget = Arc::new(MemoryBudget::new(10 * LARGE.len()));
        let bounds = Bounds { messages: 100, bytes: usize::MAX, control: 10, policy };
        let queue = |_| Arc::new(Outgoing::new(bounds, Arc::default()).within(&budget));
        let queues = std::array::from_fn(queue);
        let _held = queues.each_ref().map(|queue| {
            let holder: Arc<dyn Holder> = queue.clone();
            budget.register(Arc::downgrade(&holder))
        });
        let large = Bytes::from_static(LARGE);
        for (client, queue) in queues.iter().enumerate() {
            (0..if client == 0 { 9 } else { 1 }).for_each(|_| queue.push(&large));
        }
        queues
    }

    const LARGE: &[u8] = &[b'x'; 100_000];

    #[test]
    fn the_client_that_holds_most_loses_its_oldest_when_all_hold_too_much() {
        let [slow, others @ ..] = within_a_budget::<4>(OverflowPolicy::DropOldest);
        let queued = |queue: &Outgoing| queue.counters.queued.load(Relaxed);
        let dropped = slow.counters.dropped.load(Relaxed);
        assert!(dropped > 0 && dropped + queued(&slow) == 9, "{dropped}");
        assert!(others.iter().all(|queue| queued(queue) == 1));
    }

    #[test]
    fn a_client_that_holds_too_much_gets_nothing_more_where_nothing_queued_may_be_dropped() {
        for policy in [OverflowPolicy::DropNewest, OverflowPolicy::Disconnect] {
            let [slow, other, ..] = within_a_budget::<4>(policy);
            slow.push(&Bytes::from_static(LARGE));
            assert_eq!(slow.counters.queued.load(Relaxed), 9);
            let overflows = slow.state.lock().interrupt == Some(Interrupt::Overflow);
            assert_eq!(overflows, policy == OverflowPolicy::Disconnect);
            other.push(&Bytes::from_static(LARGE));
            assert_eq!(other.counters.queued.load(Relaxed), 2);
        }
    }

    #[tokio::test]
    async fn a_client_to_be_disconnected_still_gets_what_was_queued() {
        let queue = queue(OverflowPolicy::Disconnect);
        push(&queue, &["a", "b", "c", "d", "e"]);
        assert_eq!(queue.interrupted().await, Interrupt::Overflow);
        queue.finish(Ending::Flush(b"bye".to_vec()));
        assert_eq!(drain(&queue), ["a", "b", "c", "bye"]);
        assert_eq!(queue.take(&mut VecDeque::new()), Taken::Over);
    }

    #[test]
    fn an_immediate_end_discards_messages_but_no_answers() {
        let queue = queue(OverflowPolicy::Disconnect);
        push(&queue, &["a"]);
        queue.answer(b"pong");
        queue.finish(Ending::Now(b"close".to_vec()));
        push(&queue, &["b"]);
        assert_eq!(drain(&queue), ["pong", "close"]);
    }

    #[test]
    fn the_bytes_are_bounded_but_one_message_always_fits() {
        let queue = queue(OverflowPolicy::DropNewest);
        let long = Bytes::from(vec![b'x'; 200]);
        queue.push(&long);
        queue.push(&long);
        assert_eq!(queue.counters.queued.load(Relaxed), 1);
        assert_eq!(queue.counters.queued_bytes.load(Relaxed), 200);
    }

    #[tokio::test]
    async fn answers_have_a_bound_that_their_causer_waits_at() {
        let queue = queue(OverflowPolicy::DropNewest);
        queue.room_for_answers().await;
        queue.answer(&[b'x'; 10]);
        let mut waiting = Box::pin(queue.room_for_answers());
        let waker = std::task::Waker::noop();
        let mut context = std::task::Context::from_waker(waker);
        assert!(waiting.as_mut().poll(&mut context).is_pending());
        assert_eq!(drain(&queue).len(), 1);
        waiting.await;
    }
}
