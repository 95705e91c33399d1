use super::super::table::{PeeringStats, peer_stats};
use super::{OTHER, names, processed};
use crate::OverflowPolicy;
use broker_proto::queue::{WAIT_CLASSES, Waits};
use broker_proto::routing::Peer;
use broker_proto::wire::envelope::EnvelopeType;
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use std::sync::atomic::Ordering::Relaxed;

/// The time series of one peer. Its handles are asked for once.
#[derive(Debug)]
pub(super) struct Series {
    /// What is in the queue of a peer; those that share a label are added up elsewhere.
    pub(super) buffer: Option<Buffer>,
    overflows: Counter,
    dropped: Counter,
    messages_out: Counter,
    messages_in: Counter,
    bytes_out: Counter,
    bytes_in: Counter,
    refused: Counter,
    queue_time: Histogram,
    seen: Seen,
}

/// What the recorder knows of one peering.
#[derive(Debug, Default)]
struct Seen {
    counters: [u64; COUNTERS],
    by_type: [u64; 5],
    waits: Waits,
}

const COUNTERS: usize = 7;

/// The gauges of a queue.
#[derive(Debug)]
pub(super) struct Buffer {
    queued: Gauge,
    queued_bytes: Gauge,
    high_water: Gauge,
}

/// How full a queue is, or several of them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Level {
    queued: u64,
    queued_bytes: u64,
    high_water: u64,
}

impl Level {
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            queued: self.queued + other.queued,
            queued_bytes: self.queued_bytes + other.queued_bytes,
            high_water: self.high_water.max(other.high_water),
        }
    }
}

impl Buffer {
    pub(super) fn new(peer: &str) -> Self {
        let p = || peer.to_owned();
        Self {
            queued: gauge!(names::BUFFER_MESSAGES, "peer" => p()),
            queued_bytes: gauge!(names::QUEUED_BYTES, "peer" => p()),
            high_water: gauge!(names::BUFFER_MAX, "peer" => p()),
        }
    }

    pub(super) fn set(&self, level: Level) {
        self.queued.set(level.queued as f64);
        self.queued_bytes.set(level.queued_bytes as f64);
        self.high_water.set(level.high_water as f64);
    }
}

impl Series {
    /// The series of a peer with this label, or with the one that it shares with others.
    pub(super) fn new(label: Option<String>, policy: OverflowPolicy) -> Self {
        let buffer = label.as_deref().map(Buffer::new);
        let peer = label.unwrap_or_else(|| OTHER.to_owned());
        let p = || peer.clone();
        let directed =
            |name, direction: &'static str| counter!(name, "peer" => p(), "direction" => direction);
        Self {
            buffer,
            overflows: counter!(names::OVERFLOWS, "peer" => p()),
            dropped: counter!(names::DROPPED, "peer" => p(), "policy" => policy.name()),
            messages_out: directed(names::MESSAGES, "out"),
            messages_in: directed(names::MESSAGES, "in"),
            bytes_out: directed(names::BYTES, "out"),
            bytes_in: directed(names::BYTES, "in"),
            refused: counter!(names::REFUSED, "peer" => p()),
            queue_time: histogram!(names::QUEUE_TIME, "peer" => p()),
            seen: Seen::default(),
        }
    }

    /// Hands what has changed to the recorder, and returns how full the queue is.
    pub(super) fn update(&mut self, peer: &Peer) -> Level {
        let stats = peer_stats(peer);
        let level = Level {
            queued: stats.num_queued,
            queued_bytes: stats.queued_bytes,
            high_water: stats.max_queued_recently,
        };
        if let Some(buffer) = &self.buffer {
            buffer.set(level);
        }
        self.update_counters(&stats);
        self.update_types(peer);
        self.update_waits(peer.queue.waits());
        level
    }

    fn update_counters(&mut self, stats: &PeeringStats) {
        let counters: [(&Counter, u64); COUNTERS] = [
            (&self.overflows, stats.num_overflows),
            (&self.dropped, stats.dropped),
            (&self.messages_out, stats.messages_out),
            (&self.messages_in, stats.messages_in),
            (&self.bytes_out, stats.bytes_out),
            (&self.bytes_in, stats.bytes_in),
            (&self.refused, stats.malformed + stats.forged + stats.internal + stats.expired),
        ];
        for ((counter, now), seen) in counters.into_iter().zip(&mut self.seen.counters) {
            counter.increment(now.saturating_sub(std::mem::replace(seen, now)));
        }
    }

    fn update_types(&mut self, peer: &Peer) {
        for (at, (count, seen)) in
            peer.counters.messages_in.iter().zip(&mut self.seen.by_type).enumerate()
        {
            let now = count.load(Relaxed);
            if let Some(kind) = EnvelopeType::from_number(at as u8 + 1) {
                processed(kind, now.saturating_sub(std::mem::replace(seen, now)));
            }
        }
    }

    /// The mean of a class lies within its bounds, so recording it as often as the class has grown
    /// keeps both the buckets and the sum exact.
    fn update_waits(&mut self, now: Waits) {
        let seen = std::mem::replace(&mut self.seen.waits, now);
        for (now, seen) in now.classes.iter().zip(seen.classes).take(WAIT_CLASSES) {
            let count = now.count.saturating_sub(seen.count);
            if count > 0 {
                let total = now.total.saturating_sub(seen.total).as_secs_f64();
                self.queue_time.record_many(total / count as f64, count as usize);
            }
        }
    }
}
