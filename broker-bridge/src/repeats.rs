use std::hash::{BuildHasher, RandomState};
use std::time::Duration;
use tokio::time::Instant;

/// How long messages are remembered.
pub(crate) const WINDOW: Duration = Duration::from_secs(10);

/// Counters of a row: with a million different messages in a window each counts four.
const ROW: usize = 1 << 18;

/// Bounds how often one message, by topic and content, is carried within a [`WINDOW`].
///
/// It counts in two rows of counters, where a message has one in each: the smaller of the two is
/// never below the true number, and above it only if other messages share both. So what goes in
/// circles is bounded for sure, in a fixed amount of memory, which is allocated with the first
/// message.
pub(crate) struct Repeats {
    limit: u32,
    hashers: [RandomState; 2],
    rows: [Vec<u32>; 2],
    since: Instant,
}

impl Repeats {
    /// A `limit` of zero is none.
    pub(crate) fn new(limit: u32) -> Self {
        let hashers = [RandomState::new(), RandomState::new()];
        Self { limit, hashers, rows: Default::default(), since: Instant::now() }
    }

    /// Counts a message. Returns whether it may be carried.
    pub(crate) fn allow(&mut self, topic: &[u8], payload: &[u8]) -> bool {
        if self.limit == 0 {
            return true;
        }
        self.forget(Instant::now());
        let mut least = u32::MAX;
        for (row, hasher) in self.rows.iter_mut().zip(&self.hashers) {
            row.resize(ROW, 0);
            let at = hasher.hash_one((topic, payload)) as usize % ROW;
            if let Some(count) = row.get_mut(at) {
                *count = count.saturating_add(1);
                least = least.min(*count);
            }
        }
        least <= self.limit
    }

    fn forget(&mut self, now: Instant) {
        if now >= self.since + WINDOW {
            self.since = now;
            self.rows.iter_mut().for_each(|row| row.fill(0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_message_is_carried_so_often_and_then_again_in_the_next_window() {
        let mut repeats = Repeats::new(3);
        let mut allowed = || (0..10).filter(|_| repeats.allow(b"/t", b"m")).count();
        assert_eq!(allowed(), 3);
        assert_eq!(allowed(), 0);
        tokio::time::advance(WINDOW).await;
        assert_eq!(allowed(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn other_topics_and_other_contents_are_other_messages() {
        let mut repeats = Repeats::new(1);
        assert!(repeats.allow(b"/t", b"m") && repeats.allow(b"/u", b"m"));
        assert!(repeats.allow(b"/t", b"n") && repeats.allow(b"/", b"tm"));
        assert!(!repeats.allow(b"/t", b"m"));
    }

    #[tokio::test(start_paused = true)]
    async fn many_different_messages_do_not_count_as_one() {
        let mut repeats = Repeats::new(100);
        assert!((0..500_000_u32).all(|number| repeats.allow(b"/t", &number.to_be_bytes())));
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_nothing_is_counted() {
        let mut repeats = Repeats::new(0);
        assert!((0..1000).all(|_| repeats.allow(b"/t", b"m")));
        assert!(repeats.rows.iter().all(Vec::is_empty));
    }
}
