//! What the nodes of a cluster subscribe to.

use std::collections::BTreeSet;
use std::ops::Bound::{Included, Unbounded};

/// Bytes of topics that are remembered; with more, everything counts as wanted.
const LIMIT: usize = 16 * 1024 * 1024;

/// The subscriptions of others that were seen, so that nothing is sent that nobody takes.
#[derive(Debug, Default)]
pub(super) struct Interest {
    prefixes: BTreeSet<Vec<u8>>,
    bytes: usize,
    has_overflowed: bool,
}

impl Interest {
    pub(super) fn add(&mut self, prefix: &[u8]) {
        if self.bytes + prefix.len() > LIMIT {
            self.has_overflowed = true;
        } else if self.prefixes.insert(prefix.to_vec()) {
            self.bytes += prefix.len();
        }
    }

    pub(super) fn remove(&mut self, prefix: &[u8]) {
        if self.prefixes.remove(prefix) {
            self.bytes -= prefix.len();
        }
    }

    /// Whether somebody takes messages on this topic.
    pub(super) fn includes(&self, topic: &[u8]) -> bool {
        let mut rest = topic;
        loop {
            // The closest one in front; every prefix of the topic is there or before.
            let before = self.prefixes.range::<[u8], _>((Unbounded, Included(rest))).next_back();
            let Some(before) = before else { return self.has_overflowed };
            if rest.starts_with(before) {
                return true;
            }
            let common = rest.iter().zip(before).take_while(|(a, b)| a == b).count();
            rest = rest.get(..common).unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_wanted_if_one_of_its_prefixes_is() {
        let mut interest = Interest::default();
        assert!(!interest.includes(b"") && !interest.includes(b"a"));
        for prefix in ["zeek.cluster.worker", "/test/", "zeek/table/", "/test/a/b"] {
            interest.add(prefix.as_bytes());
        }
        for (topic, wanted) in [
            ("/test/x", true),
            ("/test/", true),
            ("/test", false),
            ("/test/a/bc", true),
            ("zeek.cluster.worker", true),
            ("zeek.cluster.work", false),
            ("zeek/table/x", true),
            ("zzz", false),
            ("", false),
        ] {
            assert_eq!(interest.includes(topic.as_bytes()), wanted, "{topic}");
        }
        interest.remove(b"/test/");
        assert!(!interest.includes(b"/test/x") && interest.includes(b"/test/a/b"));
        interest.add(b"");
        assert!(interest.includes(b"anything"));
    }

    #[test]
    fn with_too_many_to_remember_everything_is_wanted() {
        let mut interest = Interest::default();
        for number in 0..20_u8 {
            interest.add(&vec![number; LIMIT / 10]);
        }
        assert!(interest.includes(b"whatever"));
        assert!(interest.bytes <= LIMIT);
    }
}
