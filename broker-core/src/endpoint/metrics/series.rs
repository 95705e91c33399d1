use super::super::drops::refused_messages;
use super::super::table::{DropCauses, PeeringStats, peer_stats};
use super::kept::Kept;
use super::names;
use crate::OverflowPolicy;
use broker_proto::queue::{WAIT_CLASSES, Waits};
use broker_proto::routing::Peer;
use broker_proto::wire::envelope::EnvelopeType;
use metrics::{Counter, Gauge, SharedString, counter, gauge, histogram};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// What has been counted of one peering, and the time series that it is counted in. Their handles
/// are asked for once.
#[derive(Debug)]
pub(super) struct Series {
    /// The value of the label `peer`.
    pub(super) label: Arc<str>,
    counters: [(Counter, u64); COUNTERS],
    by_type: [u64; 6],
    waits: Waits,
}

const COUNTERS: usize = 16;

/// The gauges of the queues that share a label.
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
    pub(super) fn add(&mut self, other: Self) {
        self.queued += other.queued;
        self.queued_bytes += other.queued_bytes;
        self.high_water = self.high_water.max(other.high_water);
    }
}

impl Buffer {
    pub(super) fn new(peer: &Arc<str>) -> Self {
        let p = || SharedString::from(Arc::clone(peer));
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
    /// The series with this label.
    pub(super) fn new(label: Arc<str>, policy: OverflowPolicy) -> Self {
        let p = || SharedString::from(Arc::clone(&label));
        let plain = |name| counter!(name, "peer" => p());
        let directed =
            |name, direction: &'static str| counter!(name, "peer" => p(), "direction" => direction);
        let [full, displaced, discarded, late] = DropCauses::default().by_cause().map(|(cause, _)| {
            counter!(names::DROPPED, "peer" => p(), "policy" => policy.name(), "cause" => cause)
        });
        let counters = [
            full,
            displaced,
            discarded,
            late,
            plain(names::OFFERED),
            plain(names::DELIVERED),
            plain(names::OVERFLOWS),
            plain(names::REFUSED),
            plain(names::DUPLICATES),
            plain(names::LOOPED),
            plain(names::MISSED),
            directed(names::MESSAGES, "out"),
            directed(names::MESSAGES, "in"),
            directed(names::BYTES, "out"),
            directed(names::BYTES, "in"),
            // Counted as it happens. Here so that it is there before that.
            plain(names::BACKPRESSURE),
        ]
        .map(|counter| (counter, 0));
        Self { label, counters, by_type: [0; 6], waits: Waits::default() }
    }

    /// Hands what has changed to the recorder, and returns how full the queue is.
    pub(super) fn update(&mut self, peer: &Peer, kept: &Kept) -> Level {
        let stats = peer_stats(peer);
        self.update_counters(&stats);
        self.update_types(peer, kept);
        self.update_waits(peer.queue.waits());
        Level {
            queued: stats.num_queued,
            queued_bytes: stats.queued_bytes,
            high_water: stats.max_queued_recently,
        }
    }

    fn update_counters(&mut self, stats: &PeeringStats) {
        let [full, displaced, discarded, late] = stats.drops.by_cause().map(|(_, count)| count);
        let counts = [
            full,
            displaced,
            discarded,
            late,
            stats.offered,
            stats.delivered,
            stats.num_overflows,
            refused_messages(stats),
            stats.duplicates,
            stats.looped,
            stats.missed,
            stats.messages_out,
            stats.messages_in,
            stats.bytes_out,
            stats.bytes_in,
            0,
        ];
        // What has not changed is handed over as well: a recorder may forget what is not used.
        for ((counter, seen), now) in self.counters.iter_mut().zip(counts) {
            counter.increment(now.saturating_sub(std::mem::replace(seen, now)));
        }
    }

    fn update_types(&mut self, peer: &Peer, kept: &Kept) {
        for (at, (count, seen)) in
            peer.counters.messages_in.iter().zip(&mut self.by_type).enumerate()
        {
            let now = count.load(Relaxed);
            if let Some(kind) = EnvelopeType::from_number(at as u8 + 1) {
                kept.processed(kind, now.saturating_sub(std::mem::replace(seen, now)));
            }
        }
    }

    /// The mean of a class lies within its bounds, so recording it as often as the class has grown
    /// keeps both the buckets and the sum exact.
    fn update_waits(&mut self, now: Waits) {
        let seen = std::mem::replace(&mut self.waits, now);
        for (now, seen) in now.classes.iter().zip(seen.classes).take(WAIT_CLASSES) {
            let count = now.count.saturating_sub(seen.count);
            if count > 0 {
                // Not kept, as a recorder may forget it while nothing is sent.
                let label = SharedString::from(Arc::clone(&self.label));
                let queue_time = histogram!(names::QUEUE_TIME, "peer" => label);
                let total = now.total.saturating_sub(seen.total).as_secs_f64();
                queue_time.record_many(total / count as f64, count as usize);
            }
        }
    }
}
