//! What the connections and local consumers of one endpoint hold in all. Each of them has bounds of
//! its own; here is the bound of their sum.

use parking_lot::Mutex;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Weak};

/// By how many bytes a part has to change before the sum is changed, so that messages do not touch
/// what all threads share. So much of each part may be missing in the sum.
const STEP: usize = crate::limits::SEGMENT;

/// A bound on the memory of many holders together. When they exceed it the one that holds most has
/// to give way, then the next.
pub struct MemoryBudget {
    limit: usize,
    used: AtomicUsize,
    /// The sum that makes holders give way: the limit, or more as long as nobody can.
    threshold: AtomicUsize,
    holders: Mutex<Holders>,
}

#[derive(Default)]
struct Holders {
    last: u64,
    all: BTreeMap<u64, Weak<dyn Holder>>,
}

/// Something that holds memory within a budget.
pub trait Holder: Send + Sync {
    /// How much it holds at present, in bytes.
    fn held(&self) -> usize;

    /// Gives back up to `excess` bytes, or sees to it that it soon will. Returns how many.
    ///
    /// It must not add to the budget.
    fn give_way(&self, excess: usize) -> usize;
}

impl fmt::Debug for MemoryBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, used, .. } = self;
        f.debug_struct("MemoryBudget").field("limit", limit).field("used", used).finish()
    }
}

impl MemoryBudget {
    /// A budget of `limit` bytes; 0 is no bound.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        let limit = if limit == 0 { usize::MAX } else { limit };
        let (used, threshold) = (AtomicUsize::new(0), AtomicUsize::new(limit));
        Self { limit, used, threshold, holders: Mutex::default() }
    }

    /// The most that holders may have together, in bytes.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// How much they have, in bytes; each part may be 64 KiB larger or smaller.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Relaxed)
    }

    /// Makes a holder known, so that it can be asked to give way, until the result is dropped.
    pub fn register(self: &Arc<Self>, holder: Weak<dyn Holder>) -> Registration {
        let mut holders = self.holders.lock();
        holders.last += 1;
        let number = holders.last;
        holders.all.insert(number, holder);
        Registration { budget: Arc::clone(self), number }
    }

    /// Lets the largest holders give way until the sum is within the limit, or nobody can.
    #[cold]
    fn relieve(&self) {
        // If somebody is at it, that is enough.
        let Some(holders) = self.holders.try_lock() else { return };
        // Somewhat more than needed, so that this is rare.
        let slack = self.limit / 16;
        let mut excess = self.used().saturating_sub(self.limit - slack);
        let mut largest: Vec<(usize, Arc<dyn Holder>)> = holders
            .all
            .values()
            .filter_map(Weak::upgrade)
            .map(|holder| (holder.held(), holder))
            .filter(|(held, _)| *held > 0)
            .collect();
        largest.sort_unstable_by_key(|(held, _)| Reverse(*held));
        for (_, holder) in &largest {
            if excess == 0 {
                break;
            }
            excess = excess.saturating_sub(holder.give_way(excess));
        }
        // What cannot be had now need not be looked for at every step.
        let used = self.used();
        let threshold = if used <= self.limit { self.limit } else { used.saturating_add(slack) };
        self.threshold.store(threshold, Relaxed);
    }
}

/// See [`MemoryBudget::register`].
#[derive(Debug)]
#[must_use = "the holder is forgotten when this is dropped"]
pub struct Registration {
    budget: Arc<MemoryBudget>,
    number: u64,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.budget.holders.lock().all.remove(&self.number);
    }
}

/// The part of one holder in a budget, or in none. Given back when dropped.
#[derive(Debug, Default)]
pub struct Share {
    budget: Option<Arc<MemoryBudget>>,
    bytes: AtomicUsize,
}

impl Share {
    /// A part of nothing yet.
    #[must_use]
    pub fn of(budget: &Arc<MemoryBudget>) -> Self {
        let bounded = budget.limit < usize::MAX;
        Self { budget: bounded.then(|| Arc::clone(budget)), bytes: AtomicUsize::new(0) }
    }

    /// The bytes that have been counted.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.load(Relaxed)
    }

    /// Takes note of what the holder holds now.
    ///
    /// Returns whether [`Self::relieve`] has to be called, without any lock that a holder needs.
    #[inline]
    #[must_use]
    pub fn set(&self, bytes: usize) -> bool {
        match &self.budget {
            Some(budget) => {
                let counted = self.bytes();
                let far = bytes.abs_diff(counted) >= STEP || (bytes == 0 && counted > 0);
                far && self.change(budget, bytes)
            }
            None => false,
        }
    }

    fn change(&self, budget: &MemoryBudget, to: usize) -> bool {
        let from = self.bytes.swap(to, Relaxed);
        if to < from {
            let less = from - to;
            let used = budget.used.fetch_sub(less, Relaxed) - less;
            if used <= budget.limit && budget.threshold.load(Relaxed) != budget.limit {
                budget.threshold.store(budget.limit, Relaxed);
            }
            return false;
        }
        let more = to - from;
        budget.used.fetch_add(more, Relaxed) + more > budget.threshold.load(Relaxed)
    }

    /// Lets whoever holds most give way.
    pub fn relieve(&self) {
        if let Some(budget) = &self.budget {
            budget.relieve();
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let _ = self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OverflowPolicy;
    use crate::queue::{BoundedQueue, Bounds, Push};
    use bytes::Bytes;

    const FRAME: usize = 100_000;

    fn queue(budget: &Arc<MemoryBudget>, policy: OverflowPolicy) -> Arc<BoundedQueue> {
        let bounds = Bounds { messages: 1000, memory: 100 * FRAME, control: 1000, policy };
        Arc::new(BoundedQueue::new(bounds).within(budget))
    }

    fn register(budget: &Arc<MemoryBudget>, queue: &Arc<BoundedQueue>) -> Registration {
        let queue: Arc<dyn Holder> = queue.clone();
        budget.register(Arc::downgrade(&queue))
    }

    fn fill(queue: &BoundedQueue, count: usize) -> Vec<Push> {
        let frame = Bytes::from(vec![0; FRAME]);
        (0..count).map(|_| queue.push_shared(&frame, true)).collect()
    }

    #[test]
    fn whoever_holds_most_drops_its_oldest_and_the_others_lose_nothing() {
        let budget = Arc::new(MemoryBudget::new(20 * FRAME));
        let [slow, honest] = [(); 2].map(|()| queue(&budget, OverflowPolicy::DropOldest));
        let _held = [register(&budget, &slow), register(&budget, &honest)];
        fill(&slow, 18);
        fill(&honest, 8);
        assert_eq!(honest.stats().dropped, 0);
        assert_eq!((slow.stats().dropped, slow.stats().queued), (6, 12));
        assert!(budget.used() <= budget.limit(), "{}", budget.used());
        // What was given up was counted, and all is given back at the end.
        assert_eq!(slow.stats().pushed, 18);
        drop((slow, honest));
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn a_queue_that_drops_nothing_it_has_takes_nothing_more_until_it_has_room() {
        for policy in [OverflowPolicy::DropNewest, OverflowPolicy::Disconnect] {
            let budget = Arc::new(MemoryBudget::new(20 * FRAME));
            let slow = queue(&budget, policy);
            let other = queue(&budget, OverflowPolicy::DropNewest);
            let _held = [register(&budget, &slow), register(&budget, &other)];
            fill(&slow, 15);
            fill(&other, 6);
            assert_eq!((slow.stats().queued, other.stats().queued), (15, 6));
            let expected = match policy {
                OverflowPolicy::Disconnect => Push::Overflow,
                _ => Push::Done,
            };
            assert_eq!(fill(&slow, 1), [expected]);
            assert_eq!(slow.stats().refused, 1);
            assert_eq!(other.stats().refused, 0);
        }
    }

    #[test]
    fn producers_that_may_wait_do_so_until_the_largest_queue_has_been_emptied() {
        let budget = Arc::new(MemoryBudget::new(20 * FRAME));
        let [slow, other] = [(); 2].map(|()| queue(&budget, OverflowPolicy::Wait));
        let _held = [register(&budget, &slow), register(&budget, &other)];
        fill(&slow, 15);
        assert!(!slow.is_full());
        fill(&other, 6);
        assert!(slow.is_full() && !other.is_full());
        while slow.take_piece().is_ok() {}
        assert!(!slow.is_full());
        assert_eq!((slow.stats().dropped, other.stats().dropped), (0, 0));
    }

    #[test]
    fn what_a_writer_has_in_hand_counts_until_it_comes_for_more() {
        let budget = Arc::new(MemoryBudget::new(20 * FRAME));
        let slow = queue(&budget, OverflowPolicy::DropOldest);
        fill(&slow, 1);
        let mut batch = crate::WriteBatch::new();
        slow.take(&mut batch);
        assert!(budget.used() >= FRAME);
        batch.advance(batch.remaining());
        slow.take(&mut batch);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn without_a_limit_nothing_is_counted() {
        let budget = Arc::new(MemoryBudget::new(0));
        let queue = queue(&budget, OverflowPolicy::DropOldest);
        fill(&queue, 50);
        assert_eq!((budget.used(), queue.stats().dropped), (0, 0));
    }
}
