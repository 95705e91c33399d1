use super::Time;
use std::time::Duration;

/// What a change costs, as time of which there is a second in every second.
const COST: Duration = Duration::from_millis(100);

/// What each entry adds to that: many times what it takes to write, read and index it, so that
/// whoever changes large filters all the time takes up no more than a small part of a processor.
const COST_OF_ENTRY: Duration = Duration::from_micros(50);

/// How far one may be ahead: ten changes of small filters take effect at once, whatever they follow
/// each other by, because a program that subscribes and then asks for something expects the answer.
const AHEAD: Duration = Duration::from_secs(1);

/// The same for what a peer announces: twice as far, so that a peer that keeps to its own pace is
/// never held up, and what it flushes has taken effect.
const AHEAD_OF_PEER: Duration = Duration::from_secs(2);

/// How often a filter may change. Changes take effect at once, unless there have been too many in
/// a short time: then those that follow wait and take effect as one.
#[derive(Debug)]
pub(super) struct Pace {
    /// How far one may be ahead.
    ahead: Duration,
    /// Until when the changes so far have used up the time.
    used: Time,
    /// Whether changes wait.
    waiting: bool,
}

/// What is to be done about a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    Now,
    /// Later; the timer has to be set.
    At(Time),
    /// Later, together with one that waits already.
    WithAnother,
}

impl Pace {
    /// For the filter of this endpoint.
    pub(super) fn own() -> Self {
        Self { ahead: AHEAD, used: Time::ZERO, waiting: false }
    }

    /// For the filter of a peer.
    pub(super) fn of_peer() -> Self {
        Self { ahead: AHEAD_OF_PEER, ..Self::own() }
    }

    /// Decides about a change.
    pub(super) fn turn(&mut self, now: Time) -> Turn {
        if self.waiting {
            return Turn::WithAnother;
        }
        self.waiting = self.used > now + self.ahead;
        if self.waiting { Turn::At(self.used - self.ahead) } else { Turn::Now }
    }

    /// A filter of so many entries takes effect.
    pub(super) fn go(&mut self, now: Time, entries: usize) {
        let entries = u32::try_from(entries).unwrap_or(u32::MAX);
        self.used = self.used.max(now) + COST + COST_OF_ENTRY.saturating_mul(entries);
        self.waiting = false;
    }

    /// When the changes that wait are due, if there are any.
    pub(super) fn due(&self) -> Option<Time> {
        self.waiting.then(|| self.used.saturating_sub(self.ahead))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_changes_take_effect_at_once_and_those_that_follow_as_one() {
        let (mut pace, at) = (Pace::own(), Duration::from_millis);
        for _ in 0..11 {
            assert_eq!(pace.turn(at(5000)), Turn::Now);
            pace.go(at(5000), 0);
        }
        assert_eq!((pace.turn(at(5000)), pace.due()), (Turn::At(at(5100)), Some(at(5100))));
        assert_eq!(pace.turn(at(5050)), Turn::WithAnother);
        pace.go(at(5100), 200);
        assert_eq!((pace.turn(at(5100)), pace.due()), (Turn::At(at(5210)), Some(at(5210))));
        pace.go(at(5210), 0);
        assert_eq!(pace.due(), None);
        assert_eq!(pace.turn(at(9000)), Turn::Now, "after a quiet time");
    }
}
