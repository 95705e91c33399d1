use super::Time;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// When a peer was last heard of. Its connection writes it, the machine reads it.
#[derive(Debug)]
pub struct LastActivity {
    nanoseconds: AtomicU64,
}

/// Nobody is listening.
const SUSPENDED: u64 = u64::MAX;

impl LastActivity {
    /// A peer that was heard of at `now`.
    pub fn new(now: Time) -> Self {
        Self { nanoseconds: AtomicU64::new(nanoseconds(now)) }
    }

    /// Something has arrived.
    pub fn note(&self, now: Time) {
        self.nanoseconds.store(nanoseconds(now), Relaxed);
    }

    /// Nothing is read until the next [`Self::note`], so that silence means nothing.
    pub fn suspend(&self) {
        self.nanoseconds.store(SUSPENDED, Relaxed);
    }

    /// Whether something arrived after `since`, or would not have been noticed.
    pub fn since(&self, since: Time) -> bool {
        self.nanoseconds.load(Relaxed) > nanoseconds(since)
    }

    /// When something arrived last, for those who handle it.
    pub fn last(&self) -> Time {
        Time::from_nanos(self.nanoseconds.load(Relaxed))
    }

    /// For how long nothing has arrived.
    pub fn silence(&self, now: Time) -> Duration {
        match self.nanoseconds.load(Relaxed) {
            SUSPENDED => Duration::ZERO,
            last => now.saturating_sub(Duration::from_nanos(last)),
        }
    }
}

fn nanoseconds(time: Time) -> u64 {
    // Enough for 584 years.
    u64::try_from(time.as_nanos()).unwrap_or(SUSPENDED - 1)
}
