use crate::Reason;
use crate::event::{LogEvent, LogId, Severity};
use broker_proto::peering::Time;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::Duration;

/// The time in which one more log event of a kind may be said once there have been too many.
const INTERVAL: Duration = Duration::from_secs(1);

/// What makes log events alike. All of it comes from the program text, so there are few kinds.
type Kind = (Severity, LogId, Option<Reason>);

/// What becomes of a log event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is said.
    Say,
    /// It is held back, so that [`Throttle::due`] has changed.
    HoldFirst,
    /// It is held back with others.
    Hold,
}

/// Holds back log events that come faster than anybody reads them, so that nobody can flood the log
/// from outside: of each kind a burst is said at once, and after that one in each [`INTERVAL`],
/// with the number of those that were not.
#[derive(Debug)]
pub(super) struct Throttle {
    burst: u32,
    kinds: Mutex<HashMap<Kind, Bucket>>,
}

#[derive(Debug)]
struct Bucket {
    /// How many may be said at once.
    tokens: u32,
    filled: Time,
    held: Option<Held>,
}

/// What has not been said.
#[derive(Debug)]
struct Held {
    last: LogEvent,
    count: u64,
    until: Time,
}

impl Bucket {
    fn refill(&mut self, burst: u32, now: Time) {
        let intervals = now.saturating_sub(self.filled).as_secs() / INTERVAL.as_secs();
        let intervals = u32::try_from(intervals).unwrap_or(u32::MAX);
        self.filled += INTERVAL * intervals;
        self.tokens = self.tokens.saturating_add(intervals).min(burst);
    }
}

impl Throttle {
    pub(super) fn new(burst: usize) -> Self {
        let burst = u32::try_from(burst).unwrap_or(u32::MAX);
        Self { burst, kinds: Mutex::default() }
    }

    /// Decides about a log event.
    pub(super) fn offer(&self, log: &LogEvent, now: Time) -> Verdict {
        let mut kinds = self.kinds.lock();
        let new = || Bucket { tokens: self.burst, filled: now, held: None };
        let bucket = kinds.entry((log.level, log.id, log.reason)).or_insert_with(new);
        if let Some(held) = &mut bucket.held {
            log.clone_into(&mut held.last);
            held.count += 1;
            return Verdict::Hold;
        }
        bucket.refill(self.burst, now);
        if let Some(left) = bucket.tokens.checked_sub(1) {
            bucket.tokens = left;
            return Verdict::Say;
        }
        bucket.held = Some(Held { last: log.clone(), count: 1, until: now + INTERVAL });
        Verdict::HoldFirst
    }

    /// When [`Self::release`] has something to say.
    pub(super) fn due(&self) -> Option<Time> {
        let kinds = self.kinds.lock();
        kinds.values().filter_map(|bucket| bucket.held.as_ref()).map(|held| held.until).min()
    }

    /// What is to be said for those that have been held back until now.
    pub(super) fn release(&self, now: Time) -> Vec<LogEvent> {
        let mut said = Vec::new();
        for bucket in self.kinds.lock().values_mut() {
            if let Some(held) = bucket.held.take_if(|held| held.until <= now) {
                bucket.refill(self.burst, now);
                bucket.tokens = bucket.tokens.saturating_sub(1);
                said.push(held.summary());
            }
        }
        said
    }
}

impl Held {
    fn summary(mut self) -> LogEvent {
        if self.count > 1 {
            let (description, others) = (&self.last.description, self.count - 1);
            self.last.description =
                format!("{description} (and {others} more of this kind before)");
        }
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn log(reason: Reason, number: u32) -> LogEvent {
        let description = format!("{number} failed");
        LogEvent {
            level: Severity::Warning,
            id: LogId::Other("x"),
            description,
            reason: Some(reason),
        }
    }

    fn offer(throttle: &Throttle, number: u32, now: Time) -> Verdict {
        throttle.offer(&log(Reason::Io, number), now)
    }

    #[test]
    fn a_burst_is_said_and_the_rest_becomes_one_event_each_second() {
        let throttle = Throttle::new(2);
        let start = SECOND * 100;
        let verdicts = [1, 2, 3, 4, 5].map(|number| offer(&throttle, number, start));
        use Verdict as V;
        assert_eq!(verdicts, [V::Say, V::Say, V::HoldFirst, V::Hold, V::Hold]);
        assert_eq!(throttle.due(), Some(start + SECOND));
        assert!(throttle.release(start + SECOND / 2).is_empty());
        let said = throttle.release(start + SECOND).pop().unwrap();
        assert_eq!(said.description, "5 failed (and 2 more of this kind before)");
        assert_eq!(offer(&throttle, 6, start + SECOND), V::HoldFirst);
        let said = throttle.release(start + 2 * SECOND).pop().unwrap();
        assert_eq!(said.description, "6 failed");
        assert_eq!(throttle.due(), None);
    }

    #[test]
    fn quiet_times_bring_the_burst_back() {
        let throttle = Throttle::new(2);
        for round in 1..4 {
            let now = SECOND * 10 * round;
            assert_eq!(offer(&throttle, 1, now), Verdict::Say);
            assert_eq!(offer(&throttle, 2, now), Verdict::Say);
        }
    }

    #[test]
    fn kinds_do_not_drown_each_other_and_nothing_is_lost_at_the_end() {
        let throttle = Throttle::new(1);
        for number in 0..1000 {
            offer(&throttle, number, SECOND);
        }
        assert_eq!(throttle.offer(&log(Reason::Reset, 1), SECOND), Verdict::Say);
        let rest = throttle.release(Time::MAX);
        assert_eq!(rest.len(), 1);
        assert_eq!(rest[0].description, "999 failed (and 998 more of this kind before)");
    }
}
