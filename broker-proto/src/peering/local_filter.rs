use crate::limits::FilterLimits;
use crate::wire::routing_update;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::ops::Bound;

/// Topics below this prefix never leave their endpoint.
pub(super) const INTERNAL_PREFIX: &[u8] = b"<$>/local/";

/// Whether a topic is internal to an endpoint: messages on it are none of anybody else's business.
#[must_use]
pub fn is_internal(topic: &[u8]) -> bool {
    topic.starts_with(INTERNAL_PREFIX)
}

/// Why a subscription is refused: peers would not accept the filter that it makes. Nothing has
/// changed then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// A topic is longer than an entry of a filter may be.
    #[error("a topic of {bytes} bytes cannot be subscribed to, the limit filter-entry is {limit}")]
    TopicTooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The filter would have too many entries.
    #[error("{entries} subscriptions cannot be announced, the limit filter-entries is {limit}")]
    TooManyEntries {
        /// The entries that it would have.
        entries: usize,
        /// The limit.
        limit: usize,
    },
    /// The entries of the filter would be too long together.
    #[error(
        "subscriptions of {bytes} bytes cannot be announced, the limit filter-bytes is {limit}"
    )]
    TooManyBytes {
        /// The bytes that they would have.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
}

/// What this endpoint wants from its peers: the subscriptions of all its consumers, merged.
///
/// The announced filter is sorted, has no entry that another one covers, and is never larger than
/// peers accept. Other than in the C++ Broker it shrinks again when the last consumer of an entry
/// goes; unless what that entry covered would be too much to announce, then it stays until there
/// is less of it. Changes cost what changes, not what is there.
#[derive(Debug)]
pub(super) struct LocalFilter {
    limits: FilterLimits,
    /// How many consumers want each topic.
    subscriptions: BTreeMap<Bytes, usize>,
    announced: BTreeSet<Bytes>,
    /// Those of all announced entries together.
    bytes: usize,
    /// Announced entries that nobody wants any more, as far as they are not withdrawn yet.
    ownerless: BTreeSet<Bytes>,
    generation: u64,
    /// The announced filter as peers are told, once they have been.
    payload: Option<Bytes>,
    /// What has been done to it since somebody asked.
    steps: Vec<Step>,
}

/// What has been done to the announced filter.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Added(Bytes),
    Removed(Bytes),
}

impl LocalFilter {
    pub(super) fn new(limits: FilterLimits) -> Self {
        Self {
            limits,
            subscriptions: BTreeMap::new(),
            announced: BTreeSet::new(),
            bytes: 0,
            ownerless: BTreeSet::new(),
            generation: 0,
            payload: None,
            steps: Vec::new(),
        }
    }

    /// What has been done to the announced filter since this was asked.
    pub(super) fn take_steps(&mut self) -> Vec<Step> {
        mem::take(&mut self.steps)
    }

    /// What peers are told.
    pub(super) fn announced(&self) -> Vec<Bytes> {
        self.announced.iter().cloned().collect()
    }

    /// How many entries that has.
    pub(super) fn entries(&self) -> usize {
        self.announced.len()
    }

    /// The same as the payload of a routing update, which all peers share.
    pub(super) fn payload(&mut self) -> Bytes {
        let announced = &self.announced;
        let encode = || {
            let mut payload = Vec::new();
            routing_update::encode(&mut payload, announced);
            payload.into()
        };
        self.payload.get_or_insert_with(encode).clone()
    }

    /// Changes whenever the announced filter does.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Adds one subscription for each topic. Internal topics are not announced.
    ///
    /// Returns whether the announced filter has changed.
    pub(super) fn add(&mut self, topics: &[Bytes]) -> Result<bool, SubscribeError> {
        let topics = || topics.iter().filter(|topic| !is_internal(topic));
        let limit = self.limits.entry;
        if let Some(topic) = topics().find(|topic| topic.len() > limit) {
            return Err(SubscribeError::TopicTooLong { bytes: topic.len(), limit });
        }
        let mut steps = Vec::new();
        for topic in topics() {
            let count = self.subscriptions.entry(topic.clone()).or_default();
            *count += 1;
            if *count == 1 {
                self.announce(topic, &mut steps);
            }
        }
        if let Err(error) = self.check() {
            self.undo(steps);
            self.steps.clear();
            topics().for_each(|topic| {
                self.forget(topic);
            });
            return Err(error);
        }
        Ok(self.note(!steps.is_empty()))
    }

    /// Takes one subscription for each topic back.
    pub(super) fn remove(&mut self, topics: &[Bytes]) -> bool {
        for topic in topics.iter().filter(|topic| !is_internal(topic)) {
            if self.forget(topic)
                && let Some(cover) = self.cover(topic)
                && !self.subscriptions.contains_key(cover)
            {
                self.ownerless.insert(cover.clone());
            }
        }
        let mut changed = false;
        // What one gives up may be what another one needs.
        for _ in 0..2 {
            let mut ownerless = mem::take(&mut self.ownerless);
            ownerless.retain(|entry| {
                let is = self.announced.contains(entry) && !self.subscriptions.contains_key(entry);
                let withdrawn = is && self.withdraw(entry);
                changed |= withdrawn;
                is && !withdrawn
            });
            self.ownerless = ownerless;
        }
        self.note(changed)
    }

    fn note(&mut self, changed: bool) -> bool {
        if changed {
            self.generation += 1;
            self.payload = None;
        }
        changed
    }

    fn check(&self) -> Result<(), SubscribeError> {
        let (entries, bytes) = (self.announced.len(), self.bytes);
        let limits = &self.limits;
        if entries > limits.entries {
            return Err(SubscribeError::TooManyEntries { entries, limit: limits.entries });
        }
        if bytes > limits.bytes {
            return Err(SubscribeError::TooManyBytes { bytes, limit: limits.bytes });
        }
        Ok(())
    }

    /// Takes one subscription back, and returns whether it was the last one to its topic.
    fn forget(&mut self, topic: &Bytes) -> bool {
        let Some(count) = self.subscriptions.get_mut(topic) else { return false };
        *count -= 1;
        let last = *count == 0;
        if last {
            self.subscriptions.remove(topic);
        }
        last
    }

    /// The announced entry that covers a topic. No two entries do, and in ascending order nothing
    /// lies between the topic and the one that does.
    fn cover(&self, topic: &[u8]) -> Option<&Bytes> {
        let up_to = (Bound::Unbounded, Bound::Included(topic));
        self.announced.range::<[u8], _>(up_to).next_back().filter(|last| topic.starts_with(last))
    }

    /// Announces a topic unless it is covered, and no longer what it covers.
    fn announce(&mut self, topic: &Bytes, steps: &mut Vec<Step>) {
        if self.cover(topic).is_some() {
            return;
        }
        let from = (Bound::Included(&topic[..]), Bound::Unbounded);
        while let Some(next) = self.announced.range::<[u8], _>(from).next()
            && next.starts_with(topic)
        {
            self.step(Step::Removed(next.clone()), steps);
        }
        self.step(Step::Added(topic.clone()), steps);
    }

    /// Announces instead of an entry what is still wanted of what it covers, if that is not too
    /// much. Returns whether it was.
    fn withdraw(&mut self, entry: &Bytes) -> bool {
        let (entries, bytes) = (self.announced.len() - 1, self.bytes - entry.len());
        let mut wanted: Vec<Bytes> = Vec::new();
        let mut length = 0;
        let from = (Bound::Included(&entry[..]), Bound::Unbounded);
        let topics = self.subscriptions.range::<[u8], _>(from).map(|(topic, _)| topic);
        for topic in topics.take_while(|topic| topic.starts_with(entry)) {
            if wanted.last().is_some_and(|last| topic.starts_with(last)) {
                continue;
            }
            length += topic.len();
            wanted.push(topic.clone());
            if entries + wanted.len() > self.limits.entries || bytes + length > self.limits.bytes {
                return false;
            }
        }
        let steps = &mut Vec::new();
        self.step(Step::Removed(entry.clone()), steps);
        wanted.into_iter().for_each(|topic| self.step(Step::Added(topic), steps));
        true
    }

    fn step(&mut self, step: Step, steps: &mut Vec<Step>) {
        self.steps.push(step.clone());
        match &step {
            Step::Added(topic) => {
                self.bytes += topic.len();
                self.announced.insert(topic.clone());
            }
            Step::Removed(topic) => {
                self.bytes -= topic.len();
                self.announced.remove(topic);
            }
        }
        steps.push(step);
    }

    fn undo(&mut self, steps: Vec<Step>) {
        for step in steps.into_iter().rev() {
            let back = match step {
                Step::Added(topic) => Step::Removed(topic),
                Step::Removed(topic) => Step::Added(topic),
            };
            self.step(back, &mut Vec::new());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: FilterLimits = FilterLimits { entries: 3, entry: 50, bytes: 60 };

    fn topics(list: &[&'static str]) -> Vec<Bytes> {
        list.iter().map(|topic| Bytes::from_static(topic.as_bytes())).collect()
    }

    fn filter() -> LocalFilter {
        LocalFilter::new(LIMITS)
    }

    fn add(filter: &mut LocalFilter, list: &[&'static str]) -> bool {
        filter.add(&topics(list)).unwrap()
    }

    #[test]
    fn covered_topics_change_nothing_and_covering_ones_replace() {
        let mut filter = filter();
        assert!(add(&mut filter, &["/a/b"]));
        assert!(!add(&mut filter, &["/a/b/c", "/a/b"]));
        assert!(add(&mut filter, &["/c"]));
        assert_eq!(filter.announced(), topics(&["/a/b", "/c"]));
        assert!(add(&mut filter, &["/a"]));
        assert_eq!(filter.announced(), topics(&["/a", "/c"]));
        assert!(add(&mut filter, &[""]));
        assert_eq!(filter.announced(), topics(&[""]));
    }

    #[test]
    fn the_filter_shrinks_when_the_last_consumer_of_an_entry_goes() {
        let mut filter = filter();
        add(&mut filter, &["/a", "/a/b", "/a"]);
        assert!(!filter.remove(&topics(&["/a"])));
        assert!(filter.remove(&topics(&["/a"])));
        assert_eq!(filter.announced(), topics(&["/a/b"]));
        assert!(!filter.remove(&topics(&["/never"])));
    }

    #[test]
    fn internal_topics_are_not_announced_and_their_neighbours_are() {
        let mut filter = filter();
        assert!(!add(&mut filter, &["<$>/local/data/errors"]));
        assert!(add(&mut filter, &["<$>/local", "<$>/foo"]));
        assert_eq!(filter.announced(), topics(&["<$>/foo", "<$>/local"]));
    }

    #[test]
    fn what_peers_would_not_accept_is_refused_and_changes_nothing() {
        let mut filter = filter();
        add(&mut filter, &["/a/x", "/b", "/c"]);
        let (before, generation) = (filter.announced(), filter.generation());
        let error = filter.add(&topics(&["/a", "/d"])).unwrap_err();
        assert_eq!(error, SubscribeError::TooManyEntries { entries: 4, limit: 3 });
        let error = filter.add(&[vec![b'x'; 51].into()]).unwrap_err();
        assert_eq!(error, SubscribeError::TopicTooLong { bytes: 51, limit: 50 });
        assert!(filter.remove(&topics(&["/c"])));
        let error = filter.add(&[vec![b'x'; 50].into(), vec![b'y'; 10].into()]).unwrap_err();
        assert_eq!(error, SubscribeError::TooManyEntries { entries: 4, limit: 3 });
        assert!(filter.remove(&topics(&["/b"])));
        let error = filter.add(&[vec![b'x'; 50].into(), vec![b'y'; 7].into()]).unwrap_err();
        assert_eq!(error, SubscribeError::TooManyBytes { bytes: 61, limit: 60 });
        assert!(add(&mut filter, &["/b", "/c"]));
        assert_eq!((filter.announced(), filter.generation()), (before, generation + 3));
        assert!(!add(&mut filter, &["/b/1", "/b/2", "/b/3", "/b/4"]), "these are covered");
    }

    #[test]
    fn an_entry_stays_as_long_as_what_it_covers_would_be_too_much() {
        let mut filter = filter();
        add(&mut filter, &["/a", "/a/1", "/a/2", "/a/3", "/b"]);
        assert!(!filter.remove(&topics(&["/a"])));
        assert_eq!(filter.announced(), topics(&["/a", "/b"]));
        assert!(filter.remove(&topics(&["/a/3"])));
        assert_eq!(filter.announced(), topics(&["/a/1", "/a/2", "/b"]));
        add(&mut filter, &["/a", "/a/3"]);
        assert!(!filter.remove(&topics(&["/a"])));
        assert!(filter.remove(&topics(&["/b"])), "there is room for it now");
        assert_eq!(filter.announced(), topics(&["/a/1", "/a/2", "/a/3"]));
    }

    proptest! {
        #[test]
        fn the_filter_is_what_merging_everything_anew_would_make(
            changes in prop::collection::vec(
                (any::<bool>(), prop::collection::vec("[ab]{0,4}", 1..4)), 0..30),
        ) {
            let limits = FilterLimits { entries: 6, entry: 3, bytes: 20 };
            let (mut filter, mut wanted) = (LocalFilter::new(limits), Vec::<Bytes>::new());
            for (add, list) in changes {
                let list: Vec<Bytes> = list.into_iter().map(Bytes::from).collect();
                let (before, generation) = (filter.announced(), filter.generation());
                let changed = if add {
                    let changed = filter.add(&list);
                    if changed.is_ok() {
                        wanted.extend(list);
                    }
                    changed.unwrap_or_default()
                } else {
                    wanted.retain(|topic| !list.contains(topic));
                    let subscribed = filter.subscriptions.iter();
                    let held = subscribed.filter(|(topic, _)| list.contains(topic));
                    let all: Vec<Bytes> =
                        held.flat_map(|(topic, n)| vec![topic.clone(); *n]).collect();
                    filter.remove(&all)
                };
                let announced = filter.announced();
                prop_assert_eq!(changed, announced != before);
                prop_assert_eq!(changed, filter.generation() != generation);
                let expected = routing_update::merged(wanted.clone());
                let size = |list: &[Bytes]| list.iter().map(Bytes::len).sum::<usize>();
                prop_assert!(announced.len() <= 6 && size(&announced) <= 20);
                if filter.ownerless.is_empty() {
                    prop_assert_eq!(&announced, &expected);
                }
                prop_assert_eq!(&routing_update::merged(announced.clone()), &announced);
                prop_assert!(wanted.iter().all(|topic| filter.cover(topic).is_some()));
                prop_assert_eq!(filter.bytes, size(&announced));
            }
        }
    }
}
