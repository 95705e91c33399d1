use super::frames::{FrameQueue, Piece};
use super::policy::OverflowPolicy;
use super::waits::{Clock, Stopwatch, Waits};
use crate::limits::WRITE_BATCH;
use crate::sync::{AtomicBool, Mutex, MutexGuard, Notify};
use crate::transport::WriteBatch;
use bytes::Bytes;
use std::sync::atomic::Ordering::{Acquire, Release};

/// How much may wait in a queue, and what happens to the rest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) messages: usize,
    pub(crate) memory: usize,
    /// Octets of control frames, which no policy drops.
    pub(crate) control: usize,
    pub(crate) policy: OverflowPolicy,
}

/// How a queue ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closing {
    /// What is queued is still delivered.
    Flush,
    /// What is queued is discarded.
    Now,
}

/// What became of pushed frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Push {
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
pub(crate) enum Taken {
    /// Something.
    Some,
    /// Nothing yet.
    Idle,
    /// Nothing, and there will not be anything any more.
    Closed,
}

/// Counters of one queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct QueueStats {
    pub(crate) queued: usize,
    pub(crate) memory: usize,
    /// The highest fill level since the last [`BoundedQueue::start_window`].
    pub(crate) high_water: usize,
    /// Pushes that met a full queue.
    pub(crate) overflows: u64,
    /// Messages dropped by the policy, or discarded with the queue.
    pub(crate) dropped: u64,
    /// Those of them that never entered the queue.
    pub(crate) refused: u64,
    /// Messages that entered the queue. They have been taken, were dropped, or are in it.
    pub(crate) pushed: u64,
    pub(crate) pushed_octets: u64,
    /// Messages that left the queue for its consumer.
    pub(crate) taken: u64,
    /// Messages that came after the end of the queue.
    pub(crate) late: u64,
    /// What had entered the queue when the handshake was done.
    pub(crate) handshake: u64,
    pub(crate) handshake_octets: u64,
    /// Control frames among those that came.
    pub(crate) control: u64,
}

/// A queue of frames between many producers and one consumer.
///
/// It holds its bounds in messages and in memory (a producer's one push may overshoot the latter
/// if it finds the queue below the bound), counts exactly what it drops, and wakes its consumer
/// once per idle-to-busy edge.
#[derive(Debug)]
pub(crate) struct BoundedQueue {
    bounds: Bounds,
    state: Mutex<State>,
    /// Whether producers that are ready to wait have to. Changes with the state, and spares those who
    /// only want to know this the lock.
    full: AtomicBool,
    consumer: Notify,
    room: Notify,
}

#[derive(Debug, Default)]
struct State {
    queue: FrameQueue,
    consumer_idle: bool,
    producers_waiting: bool,
    closing: Option<Closing>,
    stats: QueueStats,
    stopwatch: Stopwatch,
}

impl BoundedQueue {
    pub(crate) fn new(bounds: Bounds) -> Self {
        let (consumer, room) = (Notify::new(), Notify::new());
        Self { bounds, state: Mutex::default(), full: AtomicBool::new(false), consumer, room }
    }

    /// A queue that measures how long frames wait in it.
    pub(crate) fn with_clock(bounds: Bounds, clock: Clock) -> Self {
        let queue = Self::new(bounds);
        queue.state.lock().stopwatch = Stopwatch::new(clock);
        queue
    }

    pub(crate) fn policy(&self) -> OverflowPolicy {
        self.bounds.policy
    }

    /// Pushes a copy of `count` whole frames; `may_wait` says that the producer has waited for room
    /// (see [`Self::room`]), so that under `wait` nothing of it is dropped.
    pub(crate) fn push(&self, frames: &[u8], count: usize, may_wait: bool) -> Push {
        let mut state = self.state.lock();
        if state.is_late(count) {
            return Push::Closed;
        }
        let waited = may_wait && self.bounds.policy == OverflowPolicy::Wait;
        if waited || state.fits(&self.bounds, count, frames.len()) {
            state.append(frames, count);
        } else {
            for (at, frame) in split(frames).enumerate() {
                match self.make_room(&mut state, frame.len()) {
                    Room::Yes => state.append(frame, 1),
                    Room::No => {}
                    Room::Overflow => {
                        state.refuse(count - at - 1);
                        return Push::Overflow;
                    }
                }
            }
        }
        self.wake(state);
        Push::Done
    }

    /// Pushes one large frame without copying it.
    pub(crate) fn push_shared(&self, frame: &Bytes, may_wait: bool) -> Push {
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
                Room::Overflow => return Push::Overflow,
            }
        }
        state.stats.pushed += 1;
        state.stats.pushed_octets += frame.len() as u64;
        state.follow();
        state.queue.push_shared(frame.clone());
        state.note_level();
        self.wake(state);
        Push::Done
    }

    /// Pushes a frame that no policy may drop: handshake messages, routing updates, pings, pongs.
    ///
    /// Only their own bound ends the queue.
    pub(crate) fn push_control(&self, frame: &[u8]) -> Push {
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
            self.notify(state);
            return Push::Overflow;
        }
        state.stats.pushed += 1;
        state.stats.pushed_octets += frame.len() as u64;
        state.follow();
        state.queue.push_control(frame);
        state.note_level();
        self.wake(state);
        Push::Done
    }

    /// Makes room for one frame of `need` octets, or does what else the policy says.
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
                self.note_full(state);
                self.consumer.notify_one();
                self.room.notify_waiters();
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

    /// To be called whenever what the queue holds has changed, or the queue has ended.
    fn note_full(&self, state: &State) {
        let full = state.closing.is_none() && !state.fits(&self.bounds, 1, 1);
        self.full.store(full, Release);
    }

    fn wake(&self, mut state: MutexGuard<'_, State>) {
        self.note_full(&state);
        if std::mem::take(&mut state.consumer_idle) {
            drop(state);
            self.consumer.notify_one();
        }
    }

    fn notify(&self, state: MutexGuard<'_, State>) {
        self.note_full(&state);
        drop(state);
        self.consumer.notify_one();
        self.room.notify_waiters();
    }

    /// Whether a producer that is ready to wait has to.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.full.load(Acquire) && self.is_full_now()
    }

    fn is_full_now(&self) -> bool {
        let mut state = self.state.lock();
        let full = state.closing.is_none() && !state.fits(&self.bounds, 1, 1);
        state.producers_waiting |= full;
        full
    }

    /// How many messages the queue has room for. A closed one takes any number.
    pub(crate) fn vacancy(&self) -> usize {
        let state = self.state.lock();
        match state.closing {
            Some(_) => usize::MAX,
            None => self.bounds.messages.max(1).saturating_sub(state.queue.messages()),
        }
    }

    /// Waits until the queue has room or is closed. Cancel safe.
    pub(crate) async fn room(&self) {
        loop {
            let notified = self.room.notified();
            if !self.is_full() {
                return;
            }
            notified.await;
        }
    }

    /// Moves what is queued into an empty batch.
    pub(crate) fn take(&self, batch: &mut WriteBatch) -> Taken {
        let mut state = self.state.lock();
        if state.closing == Some(Closing::Now) {
            return Taken::Closed;
        }
        if state.queue.is_empty() {
            state.queue.reclaim(batch);
            return state.nothing();
        }
        let before = state.queue.messages();
        state.queue.take(WRITE_BATCH, batch);
        let taken = before - state.queue.messages();
        state.stats.taken += taken as u64;
        state.stopwatch.taken(taken);
        self.taken(state);
        Taken::Some
    }

    /// Takes the oldest piece, for a local consumer.
    pub(crate) fn take_piece(&self) -> Result<Piece, Taken> {
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
    pub(crate) fn recycle(&self, segment: Vec<u8>) {
        self.state.lock().queue.recycle(segment);
    }

    fn taken(&self, mut state: MutexGuard<'_, State>) {
        self.note_full(&state);
        if state.producers_waiting && state.fits(&self.bounds, 1, 1) {
            state.producers_waiting = false;
            drop(state);
            self.room.notify_waiters();
        }
    }

    /// Waits until [`Self::take`] has something new to say. Cancel safe; for the one consumer.
    pub(crate) async fn changed(&self) {
        self.consumer.notified().await;
    }

    /// Whether the queue holds memory that an idle consumer should give back after a while.
    pub(crate) fn has_large_spare(&self) -> bool {
        self.state.lock().queue.has_large_spare()
    }

    /// Gives back memory that a burst left behind.
    pub(crate) fn release(&self) {
        self.state.lock().queue.release();
    }

    /// Ends the queue. `Now` overrides `Flush`, never the reverse.
    pub(crate) fn close(&self, how: Closing) {
        let mut state = self.state.lock();
        if state.closing == Some(Closing::Now) {
            return;
        }
        if how == Closing::Now {
            state.discard();
        }
        state.closing = Some(how);
        self.notify(state);
    }

    /// Whether the queue has ended.
    #[cfg(any(test, feature = "sim"))]
    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().closing.is_some()
    }

    pub(crate) fn stats(&self) -> QueueStats {
        let state = self.state.lock();
        QueueStats { queued: state.queue.messages(), memory: state.queue.memory(), ..state.stats }
    }

    /// How long frames have waited; nothing without a clock.
    pub(crate) fn waits(&self) -> Waits {
        self.state.lock().stopwatch.waits()
    }

    /// What has entered the queue so far was the handshake.
    pub(crate) fn handshake_done(&self) {
        let stats = &mut self.state.lock().stats;
        (stats.handshake, stats.handshake_octets) = (stats.pushed, stats.pushed_octets);
    }

    /// Starts a new window for the high-water mark.
    pub(crate) fn start_window(&self) {
        let mut state = self.state.lock();
        state.stats.high_water = state.queue.messages();
    }
}

impl State {
    fn fits(&self, bounds: &Bounds, count: usize, octets: usize) -> bool {
        let messages = self.queue.messages();
        messages + count <= bounds.messages.max(1)
            && (messages == 0 || self.queue.memory() + octets <= bounds.memory)
    }

    fn append(&mut self, frames: &[u8], count: usize) {
        self.stats.pushed += count as u64;
        self.stats.pushed_octets += frames.len() as u64;
        self.follow();
        self.queue.push(frames, count);
        self.note_level();
    }

    /// To be called before a frame is appended.
    fn follow(&mut self) {
        self.stopwatch.pushed(self.queue.messages());
    }

    fn note_level(&mut self) {
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

    fn discard(&mut self) {
        self.stats.dropped += self.queue.clear() as u64;
        self.stopwatch.cleared();
    }
}

fn split(mut frames: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let prefix = frames.first_chunk()?;
        let length = 4 + u32::from_be_bytes(*prefix) as usize;
        let (frame, rest) = frames.split_at_checked(length)?;
        frames = rest;
        Some(frame)
    })
}

#[cfg(all(test, shuttle))]
mod models;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EndpointId;
    use crate::wire::envelope::{Envelope, EnvelopeType, ping_frame};

    fn data(number: u32) -> Vec<u8> {
        let mut out = Vec::new();
        let envelope = Envelope {
            sender: EndpointId::NIL,
            receiver: EndpointId::NIL,
            kind: EnvelopeType::Data,
            ttl: 1,
            topic: b"t",
            payload: &number.to_be_bytes(),
        };
        envelope.put_frame(&mut out).unwrap();
        out
    }

    fn run(numbers: std::ops::Range<u32>) -> Vec<u8> {
        numbers.flat_map(data).collect()
    }

    fn queue(messages: usize, policy: OverflowPolicy) -> BoundedQueue {
        BoundedQueue::new(Bounds { messages, memory: 1 << 20, control: 200, policy })
    }

    fn drain(queue: &BoundedQueue) -> Vec<u8> {
        let mut batch = WriteBatch::new();
        let mut written = Vec::new();
        while queue.take(&mut batch) == Taken::Some {
            while !batch.is_empty() {
                written.extend_from_slice(batch.first());
                batch.advance(batch.first().len());
            }
        }
        written
    }

    #[test]
    fn drop_oldest_keeps_the_newest_and_counts_the_others() {
        let queue = queue(10, OverflowPolicy::DropOldest);
        for start in (0..100).step_by(4) {
            assert_eq!(queue.push(&run(start..start + 4), 4, false), Push::Done);
        }
        let stats = queue.stats();
        assert_eq!((stats.queued, stats.dropped, stats.pushed, stats.overflows), (10, 90, 100, 90));
        assert_eq!(drain(&queue), run(90..100));
    }

    #[test]
    fn drop_newest_keeps_the_beginning_and_counts_the_others() {
        let queue = queue(10, OverflowPolicy::DropNewest);
        for start in (0..100).step_by(4) {
            queue.push(&run(start..start + 4), 4, true);
        }
        let stats = queue.stats();
        assert_eq!((stats.queued, stats.dropped, stats.pushed), (10, 90, 10));
        assert_eq!(drain(&queue), run(0..10));
    }

    #[test]
    fn disconnect_reports_one_overflow_and_discards_the_queue() {
        let queue = queue(10, OverflowPolicy::Disconnect);
        assert_eq!(queue.push(&run(0..10), 10, false), Push::Done);
        assert_eq!(queue.push(&run(10..12), 2, false), Push::Overflow);
        assert_eq!(queue.push(&run(12..13), 1, false), Push::Closed);
        assert_eq!(queue.take(&mut WriteBatch::new()), Taken::Closed);
        let stats = queue.stats();
        assert_eq!((stats.queued, stats.dropped, stats.refused, stats.late), (0, 12, 2, 1));
    }

    #[test]
    fn every_message_is_accounted_for_under_every_policy() {
        use OverflowPolicy as P;
        let ping = ping_frame(EndpointId::NIL, EndpointId::NIL, b"");
        for policy in [P::Disconnect, P::DropNewest, P::DropOldest, P::Wait] {
            let queue = queue(10, policy);
            let mut random = fastrand::Rng::with_seed(1);
            let mut offered = 0;
            for round in 0..200 {
                let count = random.u32(1..8);
                offered += u64::from(count);
                queue.push(&run(0..count), count as usize, random.bool());
                if random.u8(..4) == 0 {
                    offered += 1;
                    queue.push_control(&ping);
                }
                if random.u8(..4) == 0 {
                    drain(&queue);
                }
                if round == 150 {
                    queue.close(Closing::Flush);
                }
                let stats = queue.stats();
                assert_eq!(offered, stats.pushed + stats.refused + stats.late, "{policy}");
                let entered = stats.taken + stats.queued as u64 + stats.dropped - stats.refused;
                assert_eq!(stats.pushed, entered, "{policy}");
            }
        }
    }

    #[test]
    fn no_policy_drops_control_frames_and_their_own_bound_ends_the_queue() {
        let ping = ping_frame(EndpointId::NIL, EndpointId::NIL, b"");
        for policy in [OverflowPolicy::DropNewest, OverflowPolicy::DropOldest] {
            let queue = queue(2, policy);
            queue.push(&run(0..2), 2, false);
            assert_eq!(queue.push_control(&ping), Push::Done);
            queue.push(&run(2..9), 7, false);
            let sent = drain(&queue);
            assert!(sent.windows(ping.len()).any(|w| w == ping), "{policy} lost the ping");
            for _ in 0..200 / ping.len() {
                assert_eq!(queue.push_control(&ping), Push::Done);
            }
            assert_eq!(queue.push_control(&ping), Push::Overflow);
        }
    }

    #[test]
    fn the_bound_in_octets_holds_for_the_memory() {
        let queue = BoundedQueue::new(Bounds {
            messages: usize::MAX,
            memory: 100_000,
            control: 0,
            policy: OverflowPolicy::DropOldest,
        });
        for number in 0..10_000 {
            queue.push(&data(number), 1, false);
            assert!(queue.stats().memory <= 100_000 + crate::limits::SEGMENT);
        }
        let stats = queue.stats();
        assert_eq!(stats.queued as u64 + stats.dropped, 10_000);
    }

    #[tokio::test]
    async fn a_waiting_producer_goes_on_when_the_consumer_has_taken_something() {
        let queue = queue(10, OverflowPolicy::Wait);
        queue.push(&run(0..10), 10, true);
        let mut room = std::pin::pin!(queue.room());
        let waker = std::task::Waker::noop();
        let mut context = std::task::Context::from_waker(waker);
        assert!(room.as_mut().poll(&mut context).is_pending());
        assert_eq!(drain(&queue), run(0..10));
        room.await;
        assert_eq!(queue.push(&run(10..11), 1, true), Push::Done);
        assert_eq!(queue.stats().dropped, 0);
    }

    #[test]
    fn flush_delivers_the_rest_and_now_does_not() {
        for (how, rest) in [(Closing::Flush, run(0..3)), (Closing::Now, Vec::new())] {
            let queue = queue(10, OverflowPolicy::Wait);
            queue.push(&run(0..3), 3, false);
            queue.close(how);
            assert_eq!(queue.push(&run(3..4), 1, false), Push::Closed);
            assert_eq!(drain(&queue), rest);
            assert_eq!(queue.take(&mut WriteBatch::new()), Taken::Closed);
        }
    }

    #[test]
    fn waits_are_those_of_frames_that_got_to_the_consumer() {
        use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
        let now = std::sync::Arc::new(AtomicU64::new(0));
        let clock = std::sync::Arc::clone(&now);
        let clock = move || std::time::Duration::from_secs(clock.load(Relaxed));
        let policy = OverflowPolicy::DropOldest;
        let bounds = Bounds { messages: 10, memory: 1 << 20, control: 200, policy };
        let queue = BoundedQueue::with_clock(bounds, std::sync::Arc::new(clock));
        // The first ten are dropped after a long time, and what replaces them is taken soon.
        queue.push(&run(0..10), 10, false);
        now.store(100, Relaxed);
        queue.push(&run(10..30), 20, false);
        now.store(102, Relaxed);
        drain(&queue);
        let waits = queue.waits();
        assert_eq!((waits.count(), waits.total().as_secs()), (1, 2));
    }

    #[test]
    fn the_high_water_mark_belongs_to_its_window() {
        let queue = queue(10, OverflowPolicy::DropOldest);
        queue.push(&run(0..7), 7, false);
        drain(&queue);
        assert_eq!(queue.stats().high_water, 7);
        queue.start_window();
        assert_eq!(queue.stats().high_water, 0);
    }
}
