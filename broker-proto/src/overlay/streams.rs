use crate::EndpointId;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::mem;
use std::sync::Arc;

/// How far behind the latest message of a stream one may come and still be told apart from one that
/// has been here: as many messages as wait for a peer by default, because that many can be on a
/// path that has just been replaced by another one.
const WINDOW: u64 = 8192;

const WORDS: usize = WINDOW as usize / 64;

/// Which messages of a stream have been here: a window of numbers that moves with the latest one.
#[derive(Debug)]
pub struct Stream(Mutex<Window>);

#[derive(Debug)]
struct Window {
    /// The latest number.
    last: u64,
    /// One bit for each number from `last - WINDOW + 1` to `last`, at its remainder.
    seen: Box<[u64; WORDS]>,
}

impl Default for Stream {
    fn default() -> Self {
        Self(Mutex::new(Window { last: 0, seen: Box::new([0; WORDS]) }))
    }
}

impl Stream {
    /// Lets messages with ascending numbers pass as long as none of them has been here before and
    /// `next` has another one, and returns how many did.
    pub fn pass(&self, first: u64, mut next: impl FnMut() -> Option<u64>) -> usize {
        let mut window = self.0.lock();
        let (mut number, mut passed) = (first, 0);
        while window.pass(number) {
            passed += 1;
            match next() {
                Some(following) => number = following,
                None => break,
            }
        }
        passed
    }
}

impl Window {
    fn pass(&mut self, number: u64) -> bool {
        let (word, bit) = ((number % WINDOW / 64) as usize, 1 << (number % 64));
        if number > self.last {
            self.advance(number);
        } else if self.last - number >= WINDOW {
            return false;
        }
        let Some(word) = self.seen.get_mut(word) else { return false };
        let fresh = *word & bit == 0;
        *word |= bit;
        fresh
    }

    /// Makes a number the latest one; those in between have not been here.
    fn advance(&mut self, number: u64) {
        let steps = number - self.last;
        if steps >= WINDOW {
            self.seen.fill(0);
        } else {
            for between in self.last + 1..=number {
                if let Some(word) = self.seen.get_mut((between % WINDOW / 64) as usize) {
                    *word &= !(1 << (between % 64));
                }
            }
        }
        self.last = number;
    }
}

/// The streams that messages have come from lately.
///
/// A stream that nothing has come from since as many others as half the limit were heard of is
/// forgotten: the loss of its window does harm only if one of its messages comes again then.
#[derive(Debug)]
pub struct Streams {
    limit: usize,
    known: Mutex<Known>,
}

type ByName = HashMap<(EndpointId, u32), Arc<Stream>>;

#[derive(Debug, Default)]
struct Known {
    recent: ByName,
    older: ByName,
}

impl Streams {
    /// Remembers up to so many streams, and at least two.
    pub fn new(limit: usize) -> Self {
        Self { limit, known: Mutex::default() }
    }

    /// The stream with this number of a publisher.
    pub fn get(&self, publisher: EndpointId, stream: u32) -> Arc<Stream> {
        let mut known = self.known.lock();
        let name = (publisher, stream);
        if let Some(found) = known.recent.get(&name) {
            return Arc::clone(found);
        }
        let found = known.older.remove(&name).unwrap_or_default();
        if known.recent.len() >= (self.limit / 2).max(1) {
            known.older = mem::take(&mut known.recent);
        }
        known.recent.insert(name, Arc::clone(&found));
        found
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        let known = self.known.lock();
        known.recent.len() + known.older.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn passes(stream: &Stream, number: u64) -> bool {
        stream.pass(number, || None) == 1
    }

    #[test]
    fn each_number_passes_once_in_any_order_within_the_window() {
        let stream = Stream::default();
        for number in [5, 3, WINDOW, 4, WINDOW + 2] {
            assert!(passes(&stream, number) && !passes(&stream, number), "{number}");
        }
        assert!(!passes(&stream, 2), "too old to be told");
        assert!(passes(&stream, 6), "the oldest in the window");
        assert!(passes(&stream, 9 * WINDOW) && passes(&stream, 8 * WINDOW + 1));
    }

    #[test]
    fn a_run_ends_at_the_first_number_that_has_been_here() {
        let stream = Stream::default();
        assert!(passes(&stream, 12));
        let mut following = 11..20;
        assert_eq!(stream.pass(10, || following.next()), 2);
        assert!(!passes(&stream, 11) && passes(&stream, 13));
    }

    #[test]
    fn as_many_streams_are_remembered_as_are_allowed_and_the_busy_ones_stay() {
        let streams = Streams::new(8);
        let busy = streams.get(EndpointId::NIL, 0);
        assert!(passes(&busy, 1));
        for number in 1..1000 {
            streams.get(EndpointId::NIL, number);
            assert!(!passes(&streams.get(EndpointId::NIL, 0), 1));
            assert!(streams.len() <= 8);
        }
    }

    proptest! {
        #[test]
        fn a_window_agrees_with_a_set(
            steps in prop::collection::vec((any::<bool>(), 0..2 * WINDOW), 1..200),
        ) {
            let (stream, mut seen, mut last) = (Stream::default(), BTreeSet::new(), 0_u64);
            for (ahead, step) in steps {
                let number = if ahead { last + step % 100 } else { last.saturating_sub(step) };
                last = last.max(number);
                let expected = number + WINDOW > last && seen.insert(number);
                prop_assert_eq!(passes(&stream, number), expected, "{} of {}", number, last);
            }
        }
    }
}
