use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counts of several tasks, added up by whoever wants to know.
#[derive(Debug, Clone, Default)]
pub(in crate::bench) struct Meter {
    counters: Vec<Arc<Padded>>,
}

/// On a cache line of its own, so that counting does not slow down the neighbour.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Padded(AtomicU64);

/// What one task has counted.
#[derive(Debug)]
pub(in crate::bench) struct Counter {
    shared: Arc<Padded>,
    count: u64,
}

impl Meter {
    /// A counter for one more task.
    pub(in crate::bench) fn counter(&mut self) -> Counter {
        let shared = Arc::new(Padded::default());
        self.counters.push(Arc::clone(&shared));
        Counter { shared, count: 0 }
    }

    pub(in crate::bench) fn count(&self) -> u64 {
        self.counters.iter().map(|counter| counter.0.load(Relaxed)).sum()
    }
}

impl Counter {
    /// Counts more, and returns how many it is now.
    pub(in crate::bench) fn add(&mut self, count: u64) -> u64 {
        self.count += count;
        self.shared.0.store(self.count, Relaxed);
        self.count
    }
}
