use super::frames::{FrameQueue, Piece};
use super::waits::{Clock, Stopwatch, Waits};
use super::wakers::Wakers;
use crate::limits::{SHARED_FRAME_MIN, WRITE_BATCH};
use crate::memory::{Holder, MemoryBudget, Share};
use crate::sync::{AtomicBool, Mutex, MutexGuard};
use crate::wire::envelope::SharedFrame;
use crate::wire::frame;
use crate::{Chunk, OverflowPolicy, WriteBatch};
use bytes::Bytes;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::task::{Context, Poll, Waker};

/// How much may wait in a queue, and what happens to the rest.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The most messages.
    pub messages: usize,
    /// The most bytes of memory.
    pub memory: usize,
    /// Bytes of control frames, which no policy drops.
    pub control: usize,
    /// What happens to messages beyond these bounds.
    pub policy: OverflowPolicy,
}

/// How a queue ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closing {
    /// What is queued is still delivered.
    Flush,
    /// What is queued is discarded.
    Now,
}

/// What became of pushed frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Push {
    /// All frames are queued, or were dropped as the policy says.
    Done,
    /// This push made the queue overflow for good: the owner has to be cut. Reported once.
    Overflow,
    /// The queue is closed; the frames went nowhere.
    Closed,
}

/// Whether a frame may enter the queue.
enum Room {
    Yes,
    No,
    Overflow,
}

/// What a consumer got.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    /// Something.
    Some,
    /// Nothing yet.
    Idle,
    /// Nothing, and there will not be anything any more.
    Closed,
}

/// Counters of one queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueueStats {
    /// Messages in the queue.
    pub queued: usize,
    /// Bytes of memory that the queue holds.
    pub memory: usize,
    /// The highest fill level since the last [`BoundedQueue::start_window`].
    pub high_water: usize,
    /// Pushes that met a full queue.
    pub overflows: u64,
    /// Messages dropped by the policy, or discarded with the queue.
    pub dropped: u64,
    /// Those of them that never entered the queue.
    pub refused: u64,
    /// Those of them that were in the queue when it ended.
    pub discarded: u64,
    /// Messages that entered the queue. They have been taken, were dropped, or are in it.
    pub pushed: u64,
    /// Bytes that entered the queue.
    pub pushed_bytes: u64,
    /// Messages that left the queue for its consumer.
    pub taken: u64,
    /// Messages that came after the end of the queue.
    pub late: u64,
    /// What had entered the queue when the handshake was done.
    pub handshake: u64,
    /// The same in bytes.
    pub handshake_bytes: u64,
    /// Control frames among those that came.
    pub control: u64,
}

/// A queue of frames between many producers and one consumer.
///
/// It holds its bounds in messages and in memory (a producer's one push may overshoot the latter
/// if it finds the queue below the bound), counts exactly what it drops, and wakes its consumer
/// once per idle-to-busy edge.
#[derive(Debug)]
pub struct BoundedQueue {
    bounds: Bounds,
    state: Mutex<State>,
    /// Whether producers that are ready to wait have to. Changes with the state, and spares those
    /// who only want to know this the lock.
    full: AtomicBool,
    /// What it holds within the budget of the endpoint.
    share: Share,
}

#[derive(Debug)]
struct State {
    queue: FrameQueue,
    /// A frame that a newer one replaces as long as it has not been taken.
    latest: Option<SharedFrame>,
    /// Messages of the handshake that have not been taken.
    handshake_left: usize,
    /// What the consumer has taken and may still hold, in bytes.
    in_hand: usize,
    /// The bound in memory while the queue has to give way to others.
    squeezed: usize,
    /// The consumer has seen that there is nothing, and nothing has come since.
    consumer_idle: bool,
    /// The consumer has been told to look again, and has not yet heard of it.
    consumer_called: bool,
    consumer: Option<Waker>,
    /// Who waits for room.
    producers: Wakers,
    /// [`BoundedQueue::close`] has been called. A queue that overflows ends by itself before that.
    closed: bool,
    /// Who waits for that.
    reader: Option<Waker>,
    closing: Option<Closing>,
    stats: QueueStats,
    stopwatch: Stopwatch,
}

impl BoundedQueue {
    /// An empty queue that measures no times.
    pub fn new(bounds: Bounds) -> Self {
        let (full, share) = (AtomicBool::new(false), Share::default());
        Self { bounds, state: Mutex::default(), full, share }
    }

    /// The same queue as a part of a budget. Its owner has to make it known there as well, with
    /// [`MemoryBudget::register`].
    #[must_use]
    pub fn within(self, budget: &Arc<MemoryBudget>) -> Self {
        Self { share: Share::of(budget), ..self }
    }

    /// A queue that measures how long frames wait in it.
    pub fn with_clock(bounds: Bounds, clock: Clock) -> Self {
        let queue = Self::new(bounds);
        queue.state.lock().stopwatch = Stopwatch::new(clock);
        queue
    }

    /// What happens to messages that find it full.
    pub fn policy(&self) -> OverflowPolicy {
        self.bounds.policy
    }

    /// Pushes a copy of `count` whole frames; `may_wait` says that the producer has waited for room
    /// (see [`Self::room`]), so that under `wait` nothing of it is dropped.
    pub fn push(&self, frames: &[u8], count: usize, may_wait: bool) -> Push {
        let mut state = self.state.lock();
        if state.is_late(count) {
            return Push::Closed;
        }
        let waited = may_wait && self.bounds.policy == OverflowPolicy::Wait;
        if waited || state.fits(&self.bounds, count, frames.len()) {
            state.append(frames, count);
            self.wake(state);
            return Push::Done;
        }
        self.push_each(state, frames, count)
    }

    /// Pushes `count` whole frames like [`Self::push`]. If there is room for all of them they are
    /// not copied: the queue takes their memory, and leaves some that is empty.
    pub fn push_segment(&self, frames: &mut Vec<u8>, count: usize, may_wait: bool) -> Push {
        let mut state = self.state.lock();
        if state.is_late(count) {
            return Push::Closed;
        }
        let waited = may_wait && self.bounds.policy == OverflowPolicy::Wait;
        if waited || state.fits(&self.bounds, count, frames.capacity()) {
            state.enter(frames.len(), count);
            state.queue.push_segment(frames, count);
            state.note_high_water();
            self.wake(state);
            return Push::Done;
        }
        self.push_each(state, frames, count)
    }

    /// Pushes as many frames as there is room for.
    fn push_each(&self, mut state: MutexGuard<'_, State>, frames: &[u8], count: usize) -> Push {
        for (at, frame) in frame::frames(frames).enumerate() {
            match self.make_room(&mut state, frame.len()) {
                Room::Yes => state.append(frame, 1),
                Room::No => {}
                Room::Overflow => {
                    state.refuse(count - at - 1);
                    self.end(state);
                    return Push::Overflow;
                }
            }
        }
        self.wake(state);
        Push::Done
    }

    /// Pushes one large frame without copying it.
    pub fn push_shared(&self, frame: &Bytes, may_wait: bool) -> Push {
        let mut state = self.state.lock();
        if state.is_late(1) {
            return Push::Closed;
        }
        let waited = may_wait && self.bounds.policy == OverflowPolicy::Wait;
        if !waited {
            match self.make_room(&mut state, frame.len()) {
                Room::Yes => {}
                Room::No => {
                    self.wake(state);
                    return Push::Done;
                }
                Room::Overflow => {
                    self.end(state);
                    return Push::Overflow;
                }
            }
        }
        state.enter(frame.len(), 1);
        state.queue.push_shared(frame.clone());
        state.note_high_water();
        self.wake(state);
        Push::Done
    }

    /// Pushes a frame that no policy may drop: handshake messages, pings, pongs.
    ///
    /// Only their own bound ends the queue.
    pub fn push_control(&self, frame: &[u8]) -> Push {
        let mut state = self.state.lock();
        state.stats.control += 1;
        if state.is_late(1) {
            return Push::Closed;
        }
        if state.queue.control() > 0 && state.queue.control() + frame.len() > self.bounds.control {
            state.stats.overflows += 1;
            state.refuse(1);
            state.discard();
            state.closing = Some(Closing::Now);
            self.end(state);
            return Push::Overflow;
        }
        state.enter(frame.len(), 1);
        state.queue.push_control(frame);
        state.note_high_water();
        self.wake(state);
        Push::Done
    }

    /// Pushes a frame that makes those that were pushed like this before worthless, such as a
    /// routing update: one that still waits is replaced.
    ///
    /// So there is one at most, which no policy drops and no bound counts. It is taken before
    /// everything but the handshake, so that nothing pushed later arrives earlier. Only then it
    /// becomes a message of the queue; before it is in no counter.
    pub fn push_latest(&self, frame: SharedFrame) {
        let mut state = self.state.lock();
        if state.closing.is_none() {
            state.latest = Some(frame);
            self.wake(state);
        }
    }

    /// Makes room for one frame of `need` bytes, or does what else the policy says.
    fn make_room(&self, state: &mut State, need: usize) -> Room {
        if state.fits(&self.bounds, 1, need) {
            return Room::Yes;
        }
        state.stats.overflows += 1;
        match self.bounds.policy {
            OverflowPolicy::Disconnect => {
                state.refuse(1);
                state.discard();
                state.closing = Some(Closing::Now);
                return Room::Overflow;
            }
            OverflowPolicy::DropNewest | OverflowPolicy::Wait => {}
            OverflowPolicy::DropOldest => {
                while !state.fits(&self.bounds, 1, need) && state.queue.drop_oldest() {
                    state.stats.dropped += 1;
                    state.stopwatch.dropped();
                }
                if state.fits(&self.bounds, 1, need) {
                    return Room::Yes;
                }
            }
        }
        state.refuse(1);
        Room::No
    }

    /// To be called whenever what the queue holds has changed, or the queue has ended. Returns
    /// whether it is now too much for the budget.
    fn note_level(&self, state: &State) -> bool {
        let full = state.closing.is_none() && !state.fits(&self.bounds, 1, 1);
        self.full.store(full, Release);
        self.share.set(state.queue.memory() + state.in_hand)
    }

    fn wake(&self, mut state: MutexGuard<'_, State>) {
        let too_much = self.note_level(&state);
        if std::mem::take(&mut state.consumer_idle) {
            state.consumer_called = true;
            let consumer = state.consumer.take();
            drop(state);
            consumer.into_iter().for_each(Waker::wake);
        } else {
            drop(state);
        }
        if too_much {
            self.share.relieve();
        }
    }

    /// To be called when the queue has ended: wakes everyone.
    fn end(&self, mut state: MutexGuard<'_, State>) {
        self.note_level(&state);
        state.consumer_called = true;
        let reader = if state.closed { state.reader.take() } else { None };
        let others = [state.consumer.take(), reader];
        let producers = state.producers.take();
        drop(state);
        producers.chain(others.into_iter().flatten()).for_each(Waker::wake);
    }

    /// Whether a producer that is ready to wait has to.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.full.load(Acquire)
    }

    /// How many messages the queue has room for. A closed one takes any number.
    pub fn vacancy(&self) -> usize {
        let state = self.state.lock();
        match state.closing {
            Some(_) => usize::MAX,
            None => self.bounds.messages.max(1).saturating_sub(state.queue.messages()),
        }
    }

    /// Waits until the queue has room or is closed. Cancel safe.
    pub fn room(&self) -> impl Future<Output = ()> + Send + Sync {
        RoomWait { queue: self, key: None }
    }

    /// Moves what is queued into an empty batch.
    pub fn take(&self, batch: &mut WriteBatch) -> Taken {
        let mut state = self.state.lock();
        if state.closing == Some(Closing::Now) {
            return Taken::Closed;
        }
        if state.queue.is_empty() && state.latest.is_none() {
            state.queue.reclaim(batch);
            if std::mem::take(&mut state.in_hand) > 0 {
                self.note_level(&state);
            }
            return state.nothing();
        }
        // Nothing may come before the end of the handshake, nor with it: over TLS it then has a
        // record of its own. A C++ Broker that has dialled leaves what else is in that record
        // unread until the next one comes.
        let mut most = WRITE_BATCH;
        if state.handshake_left == 0 {
            state.take_latest(batch);
        } else {
            most = 1;
        }
        let before = state.queue.messages();
        state.queue.take(most, batch);
        state.in_hand = batch.remaining();
        let taken = before - state.queue.messages();
        state.handshake_left = state.handshake_left.saturating_sub(taken);
        state.stats.taken += taken as u64;
        state.stopwatch.taken(taken);
        self.taken(state);
        Taken::Some
    }

    /// Takes the oldest piece, for a local consumer.
    pub fn take_piece(&self) -> Result<Piece, Taken> {
        let mut state = self.state.lock();
        if state.closing == Some(Closing::Now) {
            return Err(Taken::Closed);
        }
        match state.queue.take_piece() {
            Some(piece) => {
                state.stats.taken += piece.frames() as u64;
                state.stopwatch.taken(piece.frames());
                self.taken(state);
                Ok(piece)
            }
            None => Err(state.nothing()),
        }
    }

    /// Takes the memory of a segment back that [`Self::take_piece`] has handed out.
    pub fn recycle(&self, segment: Vec<u8>) {
        self.state.lock().queue.recycle(segment);
    }

    fn taken(&self, mut state: MutexGuard<'_, State>) {
        if state.queue.memory() <= state.squeezed {
            state.squeezed = usize::MAX;
        }
        self.note_level(&state);
        if state.fits(&self.bounds, 1, 1) {
            let producers = state.producers.take();
            drop(state);
            producers.for_each(Waker::wake);
        }
    }

    /// Waits until [`Self::take`] has something new to say. Cancel safe; for the one consumer.
    pub async fn changed(&self) {
        poll_fn(|context| self.poll_changed(context)).await;
    }

    /// [`Self::changed`] for those who poll.
    pub fn poll_changed(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state.lock();
        if std::mem::take(&mut state.consumer_called) {
            return Poll::Ready(());
        }
        state.consumer = Some(context.waker().clone());
        Poll::Pending
    }

    /// Waits until [`Self::close`] has been called. Cancel safe; for one task.
    pub async fn closed(&self) {
        poll_fn(|context| {
            let mut state = self.state.lock();
            if state.closed {
                return Poll::Ready(());
            }
            state.reader = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Whether the queue holds memory that an idle consumer should give back after a while.
    pub fn has_large_spare(&self) -> bool {
        self.state.lock().queue.has_large_spare()
    }

    /// Gives back memory that a burst left behind.
    pub fn release(&self) {
        self.state.lock().queue.release();
    }

    /// Ends the queue. `Now` overrides `Flush`, never the reverse.
    pub fn close(&self, how: Closing) {
        let mut state = self.state.lock();
        state.closed = true;
        if state.closing != Some(Closing::Now) {
            if how == Closing::Now {
                state.discard();
            }
            state.closing = Some(how);
        }
        self.end(state);
    }

    /// Whether the queue has ended, by itself or because it was closed.
    pub fn has_ended(&self) -> bool {
        self.state.lock().closing.is_some()
    }

    /// Whether [`Self::close`] has been called.
    pub fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    /// The counters as they are now.
    pub fn stats(&self) -> QueueStats {
        let state = self.state.lock();
        QueueStats { queued: state.queue.messages(), memory: state.queue.memory(), ..state.stats }
    }

    /// How long frames have waited; nothing without a clock.
    pub fn waits(&self) -> Waits {
        self.state.lock().stopwatch.waits()
    }

    /// What has entered the queue so far was the handshake.
    pub fn handshake_done(&self) {
        let mut state = self.state.lock();
        state.handshake_left = state.queue.messages();
        state.queue.seal();
        let stats = &mut state.stats;
        (stats.handshake, stats.handshake_bytes) = (stats.pushed, stats.pushed_bytes);
    }

    /// Starts a new window for the high-water mark.
    pub fn start_window(&self) {
        let mut state = self.state.lock();
        state.stats.high_water = state.queue.messages();
    }
}

/// Waits for room, and is no longer among those who do when it is dropped.
struct RoomWait<'a> {
    queue: &'a BoundedQueue,
    key: Option<u64>,
}

impl Future for RoomWait<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let queue = self.queue;
        let mut state = queue.state.lock();
        if state.closing.is_some() || state.fits(&queue.bounds, 1, 1) {
            return Poll::Ready(());
        }
        state.producers.register(&mut self.key, context.waker());
        Poll::Pending
    }
}

impl Drop for RoomWait<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.queue.state.lock().producers.forget(key);
        }
    }
}

impl Holder for BoundedQueue {
    fn held(&self) -> usize {
        self.share.bytes()
    }

    /// The oldest messages go where the policy says so; else there is no room for new ones until
    /// the consumer has taken enough, with whatever the policy says about that.
    fn give_way(&self, excess: usize) -> usize {
        let mut state = self.state.lock();
        let before = state.queue.memory();
        if state.closing.is_some() || before == 0 {
            return 0;
        }
        let bound = before.saturating_sub(excess);
        if self.bounds.policy == OverflowPolicy::DropOldest {
            while state.queue.memory() > bound && state.queue.drop_oldest() {
                state.stats.dropped += 1;
                state.stopwatch.dropped();
            }
        } else if state.squeezed == usize::MAX {
            state.squeezed = bound;
            self.note_level(&state);
            return before - bound;
        }
        self.note_level(&state);
        before.saturating_sub(state.queue.memory())
    }
}

impl Default for State {
    fn default() -> Self {
        Self {
            queue: FrameQueue::default(),
            latest: None,
            handshake_left: 0,
            in_hand: 0,
            squeezed: usize::MAX,
            consumer_idle: false,
            consumer_called: false,
            consumer: None,
            producers: Wakers::default(),
            closed: false,
            reader: None,
            closing: None,
            stats: QueueStats::default(),
            stopwatch: Stopwatch::default(),
        }
    }
}

impl State {
    fn fits(&self, bounds: &Bounds, count: usize, bytes: usize) -> bool {
        let messages = self.queue.messages();
        messages + count <= bounds.messages.max(1)
            && (messages == 0 || self.queue.memory() + bytes <= bounds.memory.min(self.squeezed))
    }

    fn append(&mut self, frames: &[u8], count: usize) {
        self.enter(frames.len(), count);
        self.queue.push(frames, count);
        self.note_high_water();
    }

    /// To be called before so many bytes of so many frames are appended.
    #[inline]
    fn enter(&mut self, bytes: usize, count: usize) {
        self.stats.pushed += count as u64;
        self.stats.pushed_bytes += bytes as u64;
        self.stopwatch.pushed(self.queue.messages());
    }

    fn note_high_water(&mut self) {
        self.stats.high_water = self.stats.high_water.max(self.queue.messages());
    }

    fn nothing(&mut self) -> Taken {
        if self.closing.is_some() {
            return Taken::Closed;
        }
        self.consumer_idle = true;
        Taken::Idle
    }

    /// Whether the queue has ended, which messages that still come have to be counted for.
    fn is_late(&mut self, count: usize) -> bool {
        let late = self.closing.is_some();
        if late {
            self.stats.late += count as u64;
        }
        late
    }

    fn refuse(&mut self, count: usize) {
        self.stats.refused += count as u64;
        self.stats.dropped += count as u64;
    }

    fn take_latest(&mut self, batch: &mut WriteBatch) {
        let Some(frame) = self.latest.take() else { return };
        let frame = frame.to_vec();
        self.stats.pushed += 1;
        self.stats.pushed_bytes += frame.len() as u64;
        self.stats.control += 1;
        self.stats.taken += 1;
        batch.append(match frame.len() {
            ..SHARED_FRAME_MIN => Chunk::Segment(frame),
            _ => Chunk::Shared(frame.into()),
        });
    }

    fn discard(&mut self) {
        self.latest = None;
        let discarded = self.queue.clear() as u64;
        self.stats.dropped += discarded;
        self.stats.discarded += discarded;
        self.stopwatch.cleared();
    }
}

#[cfg(all(test, shuttle))]
mod models;

#[cfg(test)]
mod tests;
