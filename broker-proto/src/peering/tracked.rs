use std::collections::btree_map;
use std::collections::{BTreeMap, BTreeSet};

/// A map that remembers which of its entries have changed, for those who keep a copy of it.
#[derive(Debug)]
pub(super) struct Tracked<K, V> {
    entries: BTreeMap<K, V>,
    changed: BTreeSet<K>,
}

impl<K, V> Default for Tracked<K, V> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), changed: BTreeSet::new() }
    }
}

impl<K: Copy + Ord, V> Tracked<K, V> {
    pub(super) fn get(&self, key: K) -> Option<&V> {
        self.entries.get(&key)
    }

    /// Whoever asks for this changes the entry.
    pub(super) fn get_mut(&mut self, key: K) -> Option<&mut V> {
        let entry = self.entries.get_mut(&key)?;
        self.changed.insert(key);
        Some(entry)
    }

    /// Inserts or replaces an entry.
    pub(super) fn insert(&mut self, key: K, value: V) {
        self.entries.insert(key, value);
        self.changed.insert(key);
    }

    pub(super) fn remove(&mut self, key: K) -> Option<V> {
        let removed = self.entries.remove(&key)?;
        self.changed.insert(key);
        Some(removed)
    }

    /// Every entry, by key.
    pub(super) fn iter(&self) -> btree_map::Iter<'_, K, V> {
        self.entries.iter()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The next key whose entry has changed since this was asked, and the entry, if it has one.
    pub(super) fn next_change(&mut self) -> Option<(K, Option<&V>)> {
        let key = self.changed.pop_first()?;
        Some((key, self.entries.get(&key)))
    }
}
