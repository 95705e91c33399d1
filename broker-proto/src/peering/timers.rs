use super::Time;
use std::collections::BTreeSet;

/// What has to happen when, in order of time.
#[derive(Debug)]
pub(super) struct Timers<K> {
    due: BTreeSet<(Time, K)>,
}

impl<K> Default for Timers<K> {
    fn default() -> Self {
        Self { due: BTreeSet::new() }
    }
}

impl<K: Ord + Copy> Timers<K> {
    pub(super) fn set(&mut self, at: Time, key: K) {
        self.due.insert((at, key));
    }

    pub(super) fn cancel(&mut self, at: Time, key: K) {
        self.due.remove(&(at, key));
    }

    /// All of them, in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Time, K)> + Clone {
        self.due.iter().copied()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.due.len()
    }

    /// When the next one is due.
    pub(super) fn next(&self) -> Option<Time> {
        self.due.first().map(|(at, _)| *at)
    }

    /// Takes the next one that is due at `now`.
    pub(super) fn pop(&mut self, now: Time) -> Option<K> {
        self.due.first().filter(|(at, _)| *at <= now)?;
        self.due.pop_first().map(|(_, key)| key)
    }
}
