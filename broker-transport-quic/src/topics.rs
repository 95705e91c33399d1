use crate::wire::{CONTROL, TOPIC_STREAMS};
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;

/// Topics that are remembered; those beyond are spread by their hash.
const REMEMBERED: usize = 1024;

/// The longest topic that is remembered.
const LONGEST: usize = 256;

/// Which stream the messages of a topic take. The answer for a topic never changes, and the first
/// topics get a stream each.
#[derive(Debug, Default)]
pub(crate) struct Topics {
    known: HashMap<Box<[u8]>, usize>,
    hasher: RandomState,
    /// The last one that was asked for: messages come in runs.
    last: (Vec<u8>, usize),
}

impl Topics {
    pub(crate) fn stream(&mut self, topic: &[u8]) -> usize {
        let (last, stream) = &mut self.last;
        if last.as_slice() != topic || *stream == CONTROL {
            *stream = find(&mut self.known, &self.hasher, topic);
            last.clear();
            last.extend_from_slice(topic);
        }
        *stream
    }
}

fn find(known: &mut HashMap<Box<[u8]>, usize>, hasher: &RandomState, topic: &[u8]) -> usize {
    if let Some(stream) = known.get(topic) {
        return *stream;
    }
    let count = known.len();
    if count < REMEMBERED && topic.len() <= LONGEST {
        let stream = 1 + count % TOPIC_STREAMS;
        known.insert(topic.into(), stream);
        return stream;
    }
    1 + (hasher.hash_one(topic) % TOPIC_STREAMS as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_first_topics_get_a_lane_each_and_no_topic_ever_changes_its_lane() {
        let mut topics = Topics::default();
        let names: Vec<_> = (0..3000).map(|number| format!("/topic/{number}").repeat(3)).collect();
        let topic_streams: Vec<_> =
            names.iter().map(|name| topics.stream(name.as_bytes())).collect();
        let first: HashSet<_> = topic_streams[..TOPIC_STREAMS].iter().collect();
        assert_eq!(first.len(), TOPIC_STREAMS);
        assert!(topic_streams.iter().all(|stream| (1..=TOPIC_STREAMS).contains(stream)));
        let again: Vec<_> = names.iter().map(|name| topics.stream(name.as_bytes())).collect();
        assert_eq!(topic_streams, again);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut topics = Topics::default();
        for number in 0..5000 {
            topics.stream(format!("{number}{}", "x".repeat(number)).as_bytes());
        }
        assert!(topics.known.len() <= REMEMBERED);
        assert!(topics.known.keys().all(|topic| topic.len() <= LONGEST));
    }
}
