use bytes::Bytes;
use std::collections::BTreeMap;

/// Topics below this prefix never leave their endpoint.
pub(super) const INTERNAL_PREFIX: &[u8] = b"<$>/local/";

/// Whether a topic is internal to an endpoint: messages on it are none of anybody else's business.
#[must_use]
pub fn is_internal(topic: &[u8]) -> bool {
    topic.starts_with(INTERNAL_PREFIX)
}

/// What this endpoint wants from its peers: the subscriptions of all its consumers, merged.
///
/// The announced filter is sorted and has no entry that another one covers. Other than in the
/// C++ Broker it shrinks again when the last consumer of an entry goes.
#[derive(Debug, Default)]
pub(super) struct LocalFilter {
    subscriptions: BTreeMap<Bytes, usize>,
    announced: Vec<Bytes>,
    generation: u64,
}

impl LocalFilter {
    /// What peers are told.
    pub(super) fn announced(&self) -> &[Bytes] {
        &self.announced
    }

    /// Changes whenever the announced filter does.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Adds one subscription for each topic. Internal topics are not announced.
    ///
    /// Returns whether the announced filter has changed.
    pub(super) fn add<'a>(&mut self, topics: impl IntoIterator<Item = &'a Bytes>) -> bool {
        for topic in topics {
            if !is_internal(topic) {
                *self.subscriptions.entry(topic.clone()).or_default() += 1;
            }
        }
        self.update()
    }

    /// Takes one subscription for each topic back.
    pub(super) fn remove<'a>(&mut self, topics: impl IntoIterator<Item = &'a Bytes>) -> bool {
        for topic in topics {
            if let Some(count) = self.subscriptions.get_mut(topic) {
                *count -= 1;
                if *count == 0 {
                    self.subscriptions.remove(topic);
                }
            }
        }
        self.update()
    }

    fn update(&mut self) -> bool {
        // In ascending order a prefix comes directly before everything that it covers.
        let mut merged: Vec<Bytes> = Vec::new();
        for topic in self.subscriptions.keys() {
            if !merged.last().is_some_and(|last| topic.starts_with(last)) {
                merged.push(topic.clone());
            }
        }
        let changed = merged != self.announced;
        if changed {
            self.announced = merged;
            self.generation += 1;
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topics(list: &[&'static str]) -> Vec<Bytes> {
        list.iter().map(|topic| Bytes::from_static(topic.as_bytes())).collect()
    }

    #[test]
    fn covered_topics_change_nothing_and_covering_ones_replace() {
        let mut filter = LocalFilter::default();
        assert!(filter.add(&topics(&["/a/b"])));
        assert!(!filter.add(&topics(&["/a/b/c", "/a/b"])));
        assert!(filter.add(&topics(&["/c"])));
        assert_eq!(filter.announced(), topics(&["/a/b", "/c"]));
        assert!(filter.add(&topics(&["/a"])));
        assert_eq!(filter.announced(), topics(&["/a", "/c"]));
        assert!(filter.add(&topics(&[""])));
        assert_eq!(filter.announced(), topics(&[""]));
    }

    #[test]
    fn the_filter_shrinks_when_the_last_consumer_of_an_entry_goes() {
        let mut filter = LocalFilter::default();
        filter.add(&topics(&["/a", "/a/b", "/a"]));
        assert!(!filter.remove(&topics(&["/a"])));
        assert!(filter.remove(&topics(&["/a"])));
        assert_eq!(filter.announced(), topics(&["/a/b"]));
        assert!(!filter.remove(&topics(&["/never"])));
    }

    #[test]
    fn internal_topics_are_not_announced_and_their_neighbours_are() {
        let mut filter = LocalFilter::default();
        assert!(!filter.add(&topics(&["<$>/local/data/errors"])));
        assert!(filter.add(&topics(&["<$>/local", "<$>/foo"])));
        assert_eq!(filter.announced(), topics(&["<$>/foo", "<$>/local"]));
    }
}
