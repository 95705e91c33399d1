use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The time that the waits of a queue are measured in; whoever makes the queue brings it.
pub type Clock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// Where one class of waits ends and the next begins.
pub const WAIT_BOUNDS: [Duration; WAIT_CLASSES - 1] = [
    Duration::from_micros(100),
    Duration::from_millis(1),
    Duration::from_millis(10),
    Duration::from_millis(100),
    Duration::from_secs(1),
    Duration::from_secs(10),
];

/// How many classes of waiting times are told apart.
pub const WAIT_CLASSES: usize = 7;

/// How long frames have waited, by classes of about a power of ten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waits {
    /// The classes, the shortest waits first.
    pub classes: [WaitClass; WAIT_CLASSES],
    /// The last wait that was measured.
    pub last: Option<Duration>,
    /// How long the frame has waited that is followed now, or the one before it had when it was
    /// dropped, whichever is longer: about the age of the oldest frame. Zero if nothing waits.
    pub waiting: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WaitClass {
    pub count: u64,
    /// All of them together.
    pub total: Duration,
}

impl Waits {
    fn add(&mut self, wait: Duration) {
        let at = WAIT_BOUNDS.iter().take_while(|bound| wait > **bound).count();
        if let Some(class) = self.classes.get_mut(at) {
            class.count += 1;
            class.total = class.total.saturating_add(wait);
        }
        self.last = Some(wait);
    }

    /// How many frames were followed.
    pub fn count(&self) -> u64 {
        self.classes.iter().map(|class| class.count).sum()
    }

    /// How long they have waited together.
    pub fn total(&self) -> Duration {
        self.classes.iter().fold(Duration::ZERO, |sum, class| sum.saturating_add(class.total))
    }
}

/// Measures how long frames wait in a queue by following one at a time, so that the clock is read
/// twice for each frame that is followed and never for the others. At one frame in the queue at a
/// time every frame is followed, under load about one for each time the consumer takes something.
#[derive(Default)]
pub(super) struct Stopwatch {
    clock: Option<Clock>,
    followed: Option<Followed>,
    waits: Waits,
    /// The age of the frame that was followed last, if it was dropped.
    age_when_dropped: Duration,
}

struct Followed {
    since: Duration,
    /// Frames that leave the queue before it.
    ahead: usize,
}

impl Stopwatch {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock: Some(clock), ..Self::default() }
    }

    pub(super) fn waits(&self) -> Waits {
        let age = self.followed.as_ref().map_or(Duration::ZERO, |followed| self.age(followed));
        Waits { waiting: age.max(self.age_when_dropped), ..self.waits }
    }

    fn age(&self, followed: &Followed) -> Duration {
        self.clock.as_ref().map_or(Duration::ZERO, |clock| clock().saturating_sub(followed.since))
    }

    /// A frame has come, behind `ahead` others.
    #[inline]
    pub(super) fn pushed(&mut self, ahead: usize) {
        if self.followed.is_none()
            && let Some(clock) = &self.clock
        {
            self.followed = Some(Followed { since: clock(), ahead });
        }
    }

    /// The consumer has taken the first `count` frames.
    #[inline]
    pub(super) fn taken(&mut self, count: usize) {
        let Some(followed) = &mut self.followed else { return };
        match followed.ahead.checked_sub(count) {
            Some(ahead) => followed.ahead = ahead,
            None => {
                let since = followed.since;
                self.followed = None;
                self.age_when_dropped = Duration::ZERO;
                if let Some(clock) = &self.clock {
                    self.waits.add(clock().saturating_sub(since));
                }
            }
        }
    }

    /// The first frame has been dropped. What never gets to the consumer has no time in the queue.
    #[inline]
    pub(super) fn dropped(&mut self) {
        let Some(followed) = &mut self.followed else { return };
        match followed.ahead.checked_sub(1) {
            Some(ahead) => followed.ahead = ahead,
            None => {
                if let Some(followed) = self.followed.take() {
                    self.age_when_dropped = self.age(&followed);
                }
            }
        }
    }

    /// Everything has been dropped.
    pub(super) fn cleared(&mut self) {
        self.age_when_dropped = Duration::ZERO;
        self.followed = None;
    }
}

impl fmt::Debug for Stopwatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stopwatch").field("waits", &self.waits).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    fn stopwatch() -> (Stopwatch, Arc<AtomicU64>) {
        let now = Arc::new(AtomicU64::new(0));
        let clock = Arc::clone(&now);
        (Stopwatch::new(Arc::new(move || Duration::from_millis(clock.load(Relaxed)))), now)
    }

    fn classes(stopwatch: &Stopwatch) -> [u64; WAIT_CLASSES] {
        stopwatch.waits.classes.map(|class| class.count)
    }

    #[test]
    fn one_frame_at_a_time_is_followed_to_the_consumer() {
        let (mut stopwatch, now) = stopwatch();
        stopwatch.pushed(0);
        now.store(5, Relaxed);
        stopwatch.pushed(1);
        stopwatch.taken(2);
        assert_eq!(classes(&stopwatch), [0, 0, 1, 0, 0, 0, 0]);
        stopwatch.pushed(0);
        now.store(2000, Relaxed);
        stopwatch.taken(1);
        assert_eq!(classes(&stopwatch), [0, 0, 1, 0, 0, 1, 0]);
        assert_eq!(stopwatch.waits.last, Some(Duration::from_millis(1995)));
        assert_eq!(stopwatch.waits.total(), Duration::from_millis(2000));
        assert_eq!(stopwatch.waits.count(), 2);
    }

    #[test]
    fn a_frame_behind_others_is_measured_when_its_turn_comes() {
        let (mut stopwatch, now) = stopwatch();
        stopwatch.pushed(3);
        stopwatch.taken(2);
        now.store(50, Relaxed);
        stopwatch.taken(1);
        assert_eq!(stopwatch.waits.count(), 0);
        stopwatch.taken(1);
        assert_eq!(stopwatch.waits.last, Some(Duration::from_millis(50)));
    }

    #[test]
    fn a_dropped_frame_is_not_measured_and_gives_the_next_one_its_place() {
        let (mut stopwatch, now) = stopwatch();
        stopwatch.pushed(1);
        stopwatch.dropped();
        stopwatch.dropped();
        now.store(50, Relaxed);
        stopwatch.pushed(0);
        stopwatch.taken(1);
        assert_eq!(stopwatch.waits.last, Some(Duration::ZERO));
        stopwatch.pushed(0);
        stopwatch.cleared();
        stopwatch.taken(1);
        assert_eq!(stopwatch.waits.count(), 1);
    }

    #[test]
    fn without_a_clock_nothing_is_measured() {
        let mut stopwatch = Stopwatch::default();
        stopwatch.pushed(0);
        stopwatch.taken(1);
        assert_eq!(stopwatch.waits, Waits::default());
    }

    #[test]
    fn the_age_of_what_waits_is_told_although_all_of_it_is_dropped() {
        let (mut watch, now) = stopwatch();
        watch.pushed(0);
        now.store(500, Relaxed);
        assert_eq!(watch.waits().waiting.as_millis(), 500);
        watch.dropped();
        watch.pushed(7);
        now.store(600, Relaxed);
        assert_eq!(watch.waits().waiting.as_millis(), 500, "the others have come soon after");
        watch.taken(8);
        assert_eq!(watch.waits().waiting.as_millis(), 0);
    }
}
