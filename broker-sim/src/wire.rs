use broker_proto::Failure;
use broker_proto::WriteBatch;
use broker_proto::peering::{ConnectionId, DialId, Time};
use broker_proto::queue::BoundedQueue;
use broker_proto::routing::Sink;
use broker_proto::session::Receiver;
use broker_proto::wire::frame::frame_length;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

/// A connection between two endpoints: two ends, and a pipe from each to the other.
pub(super) struct Wire {
    pub(super) ends: [End; 2],
    /// The pipe out of the end with the same number.
    pub(super) pipes: [Pipe; 2],
    /// Nothing gets through any more, and nobody tells the ends.
    pub(super) black: bool,
}

/// How far an end has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// The endpoint does not know of it yet.
    Opening,
    Open,
    /// Over for the endpoint; last bytes are handed over.
    Lingering,
    Gone,
}

/// What an endpoint does with its side of a connection: what the reading and the writing task of
/// a real one have between them.
pub(super) struct End {
    pub(super) slot: usize,
    pub(super) life: u64,
    pub(super) dial: Option<DialId>,
    pub(super) stage: Stage,
    pub(super) conn: ConnectionId,
    pub(super) reception: Option<Receiver>,
    pub(super) queue: Option<Arc<BoundedQueue>>,
    /// Told to stop.
    pub(super) stopped: bool,
    /// A consumer that has to make room before anything more is read.
    pub(super) room: Option<Arc<Sink>>,
    pub(super) paused_until: Time,
    /// Until then it reads a few bytes at a time.
    pub(super) slow_until: Time,
    /// Everything the other side sent has been read, while lingering.
    pub(super) drained: bool,
    pub(super) batch: WriteBatch,
    /// The writer waits for the queue.
    pub(super) idle: bool,
    /// The writer is done.
    pub(super) written: bool,
    pub(super) progress: Time,
    pub(super) failure: Option<Failure>,
    /// When the operating system reports that the connection is broken.
    pub(super) broken: Option<Time>,
    /// Since when nobody is at the other end any more, without a word.
    pub(super) dead: Option<Time>,
    /// The next time its reader and writer are looked at.
    pub(super) read_at: Option<Time>,
    pub(super) write_at: Option<Time>,
    /// Bytes that were taken from the queue, and that were handled.
    pub(super) taken: u64,
    pub(super) handled: u64,
    /// Bytes that were read and wait to be handled, and that never will be.
    pub(super) waiting: u64,
    pub(super) unhandled: u64,
    /// Messages that its queue dropped.
    pub(super) dropped: u64,
    /// Whether somebody already looks whether a write gets on, and whether the other side lives.
    pub(super) watched: bool,
    pub(super) looked_at: bool,
}

impl End {
    pub(super) fn new(slot: usize, life: u64, dial: Option<DialId>) -> Self {
        Self {
            slot,
            life,
            dial,
            stage: Stage::Opening,
            conn: ConnectionId(0),
            reception: None,
            queue: None,
            stopped: false,
            room: None,
            paused_until: Time::ZERO,
            slow_until: Time::ZERO,
            drained: false,
            batch: WriteBatch::new(),
            idle: false,
            written: false,
            progress: Time::ZERO,
            failure: None,
            broken: None,
            dead: None,
            read_at: None,
            write_at: None,
            taken: 0,
            handled: 0,
            waiting: 0,
            unhandled: 0,
            dropped: 0,
            watched: false,
            looked_at: false,
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { slot, life, conn, stage, waiting, written, idle, broken, dead, .. } = self;
        write!(f, "n{slot}.{life} has {conn}, {stage:?}, {waiting} bytes not handled")?;
        write!(f, ", {} not sent, done {written}, idle {idle}", self.batch.remaining())?;
        write!(f, ", waits for room {}, broken {broken:?}, dead {dead:?}", self.room.is_some())
    }
}

impl End {
    /// Whether its handshake is done.
    pub(super) fn is_peered(&self) -> bool {
        self.reception.as_ref().is_some_and(Receiver::is_peered)
    }

    pub(super) fn shakes_hands(&self) -> bool {
        self.stage == Stage::Open && !self.is_peered()
    }

    /// Whether the beginning of a frame has arrived, and its end has not.
    pub(super) fn has_part_of_a_frame(&mut self) -> bool {
        let pending = self.reception.as_mut().map(|reception| reception.buffer().pending());
        pending.is_some_and(|pending| match frame_length(pending) {
            Some(length) => pending.len() < length,
            None => !pending.is_empty(),
        })
    }

    /// Nobody looks any more at what has been read.
    pub(super) fn forget_reception(&mut self) {
        self.reception = None;
        self.unhandled += std::mem::take(&mut self.waiting);
    }

    /// Its reader reads as it should from now on.
    pub(super) fn recover(&mut self, now: Time) {
        (self.paused_until, self.slow_until) = (now, now);
    }

    /// Lets go of everything.
    pub(super) fn let_go(&mut self) {
        self.stage = Stage::Gone;
        self.room = None;
        self.forget_reception();
        if let Some(queue) = self.queue.take() {
            self.dropped = queue.stats().dropped;
        }
    }
}

/// Bytes on their way, in order.
pub(super) struct Pipe {
    chunks: VecDeque<(Time, Vec<u8>)>,
    bytes: usize,
    capacity: usize,
    /// Nothing arrives before this time.
    floor: Time,
    fin: Option<Time>,
    /// Nobody reads any more.
    pub(super) closed: bool,
    pub(super) entered: u64,
    pub(super) left: u64,
    pub(super) lost: u64,
}

impl Pipe {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            chunks: VecDeque::new(),
            bytes: 0,
            capacity,
            floor: Time::ZERO,
            fin: None,
            closed: false,
            entered: 0,
            left: 0,
            lost: 0,
        }
    }

    pub(super) fn room(&self) -> usize {
        self.capacity - self.bytes
    }

    pub(super) fn in_flight(&self) -> u64 {
        self.bytes as u64
    }

    pub(super) fn push(&mut self, arrival: Time, bytes: &[u8]) {
        self.floor = self.floor.max(arrival);
        self.bytes += bytes.len();
        self.entered += bytes.len() as u64;
        self.chunks.push_back((self.floor, bytes.to_vec()));
    }

    /// Nothing comes after what is in the pipe.
    pub(super) fn finish(&mut self, arrival: Time) {
        self.floor = self.floor.max(arrival);
        self.fin.get_or_insert(self.floor);
    }

    /// Holds everything back until `until`.
    pub(super) fn hold(&mut self, until: Time) {
        self.floor = self.floor.max(until);
        for (arrival, _) in &mut self.chunks {
            *arrival = (*arrival).max(until);
        }
        self.fin = self.fin.map(|fin| fin.max(until));
    }

    /// What enters from now on never arrives.
    pub(super) fn sever(&mut self, never: Time) {
        self.floor = never;
    }

    /// Loses everything behind the first `keep` bytes.
    pub(super) fn cut(&mut self, keep: usize) {
        let mut kept = 0;
        for (_, chunk) in &mut self.chunks {
            chunk.truncate(keep - kept);
            kept += chunk.len();
        }
        self.chunks.retain(|(_, chunk)| !chunk.is_empty());
        self.lost += (self.bytes - kept) as u64;
        self.bytes = kept;
    }

    /// Takes what has arrived, up to `most` bytes.
    pub(super) fn take(&mut self, now: Time, most: usize) -> Vec<u8> {
        let mut taken = Vec::new();
        while let Some((arrival, chunk)) = self.chunks.front_mut() {
            if *arrival > now || taken.len() == most {
                break;
            }
            let count = chunk.len().min(most - taken.len());
            taken.extend(chunk.drain(..count));
            if chunk.is_empty() {
                self.chunks.pop_front();
            }
        }
        self.bytes -= taken.len();
        self.left += taken.len() as u64;
        taken
    }

    /// When there is something to read, or the end of it.
    pub(super) fn next_arrival(&self) -> Option<Time> {
        self.chunks.front().map(|(arrival, _)| *arrival).or(self.fin)
    }

    /// Whether the end has arrived.
    pub(super) fn is_finished(&self, now: Time) -> bool {
        self.chunks.is_empty() && self.fin.is_some_and(|fin| fin <= now)
    }
}
