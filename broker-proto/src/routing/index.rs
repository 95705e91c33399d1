use bytes::Bytes;

/// Which destinations subscribed to a prefix of a topic.
///
/// A sorted list in which every entry knows the longest other entry that is a prefix of it. All
/// prefixes of a topic lie on one chain of these links, so looking one up costs a binary search
/// and the length of the chain, whatever the number of subscriptions that do not match.
#[derive(Debug, Default)]
pub struct PrefixIndex {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    prefix: Bytes,
    destinations: Vec<u32>,
    parent: Option<u32>,
}

impl PrefixIndex {
    /// An index over all pairs of a prefix and a destination, in any order.
    #[must_use]
    pub fn new(mut pairs: Vec<(Bytes, u32)>) -> Self {
        pairs.sort_unstable();
        let mut entries: Vec<Entry> = Vec::new();
        let mut chain: Vec<u32> = Vec::new();
        for (prefix, destination) in pairs {
            if let Some(last) = entries.last_mut().filter(|last| last.prefix == prefix) {
                last.destinations.push(destination);
                continue;
            }
            while chain.last().is_some_and(|at| !covers(&entries, *at, &prefix)) {
                chain.pop();
            }
            let parent = chain.last().copied();
            chain.push(entries.len() as u32);
            entries.push(Entry { prefix, destinations: vec![destination], parent });
        }
        Self { entries }
    }

    /// The destinations that want `topic`, in ascending order and each one once.
    #[must_use]
    pub fn lookup(&self, topic: &[u8]) -> Vec<u32> {
        let mut found = Vec::new();
        let after = self.entries.partition_point(|entry| entry.prefix.as_ref() <= topic);
        let mut at = after.checked_sub(1).map(|at| at as u32);
        while let Some(entry) = at.and_then(|at| self.entries.get(at as usize)) {
            if topic.starts_with(&entry.prefix) {
                found.extend_from_slice(&entry.destinations);
            }
            at = entry.parent;
        }
        found.sort_unstable();
        found.dedup();
        found
    }
}

fn covers(entries: &[Entry], at: u32, prefix: &[u8]) -> bool {
    entries.get(at as usize).is_some_and(|entry| prefix.starts_with(&entry.prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn matching_is_by_bytes_not_by_component() {
        let index = PrefixIndex::new(vec![
            (Bytes::from_static(b"/foo"), 1),
            (Bytes::from_static(b""), 2),
            (Bytes::from_static(b"/foo/"), 3),
        ]);
        assert_eq!(index.lookup(b"/foobar"), [1, 2]);
        assert_eq!(index.lookup(b"/foo/x"), [1, 2, 3]);
        assert_eq!(index.lookup(b""), [2]);
    }

    proptest! {
        #[test]
        fn the_index_finds_what_a_scan_finds(
            pairs in prop::collection::vec(("[ab/]{0,4}", 0_u32..8), 0..40),
            topics in prop::collection::vec("[ab/]{0,6}", 1..20),
        ) {
            let pairs: Vec<(Bytes, u32)> =
                pairs.into_iter().map(|(prefix, to)| (Bytes::from(prefix), to)).collect();
            let index = PrefixIndex::new(pairs.clone());
            for topic in topics {
                let mut expected: Vec<u32> = pairs
                    .iter()
                    .filter(|(prefix, _)| topic.as_bytes().starts_with(prefix))
                    .map(|(_, to)| *to)
                    .collect();
                expected.sort_unstable();
                expected.dedup();
                prop_assert_eq!(index.lookup(topic.as_bytes()), expected);
            }
        }
    }
}
