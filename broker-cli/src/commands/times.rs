//! What many measured times come to.

use serde::Serialize;
use std::fmt;
use std::time::Duration;

/// So many of the times in a [`Sample`] are kept at least, once there were as many, and at most
/// twice as many.
const KEPT: usize = 1 << 18;

/// The least, the greatest and percentiles of times. Percentiles are values that occurred: the
/// smallest one that at least so many percent of all do not exceed.
#[derive(Serialize, Debug, Clone, PartialEq, Eq)]
pub(super) struct Times {
    min_ns: u64,
    p50_ns: u64,
    p90_ns: u64,
    p99_ns: u64,
    max_ns: u64,
}

impl Times {
    /// Of times in ascending order.
    pub(super) fn of(times: &[Duration]) -> Option<Self> {
        let percentile = |percent: usize| {
            let rank = (times.len() * percent).div_ceil(100).max(1);
            times.get(rank - 1).map(nanoseconds)
        };
        Some(Self {
            min_ns: percentile(0)?,
            p50_ns: percentile(50)?,
            p90_ns: percentile(90)?,
            p99_ns: percentile(99)?,
            max_ns: percentile(100)?,
        })
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = Duration::from_nanos;
        let Self { min_ns, p50_ns, p90_ns, p99_ns, max_ns } = *self;
        write!(
            f,
            "min {:?}, p50 {:?}, p90 {:?}, p99 {:?}, max {:?}",
            time(min_ns),
            time(p50_ns),
            time(p90_ns),
            time(p99_ns),
            time(max_ns)
        )
    }
}

pub(super) fn nanoseconds(time: &Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Any number of times in bounded memory: all of them, or every second one, every fourth and so
/// on, and the extremes.
#[derive(Debug)]
pub(super) struct Sample {
    kept: Vec<Duration>,
    /// Every so many times one is kept.
    step: u64,
    seen: u64,
    least: Duration,
    greatest: Duration,
}

impl Default for Sample {
    fn default() -> Self {
        Self { kept: Vec::new(), step: 1, seen: 0, least: Duration::MAX, greatest: Duration::ZERO }
    }
}

impl Sample {
    pub(super) fn add(&mut self, time: Duration) {
        self.least = self.least.min(time);
        self.greatest = self.greatest.max(time);
        if self.seen.is_multiple_of(self.step) {
            if self.kept.len() == 2 * KEPT {
                let mut is_odd = true;
                self.kept.retain(|_| {
                    is_odd = !is_odd;
                    !is_odd
                });
                self.step *= 2;
            }
            if self.seen.is_multiple_of(self.step) {
                self.kept.push(time);
            }
        }
        self.seen += 1;
    }

    /// `None` of no times.
    pub(super) fn times(mut self) -> Option<Times> {
        self.kept.sort_unstable();
        let times = Times::of(&self.kept)?;
        Some(Times {
            min_ns: nanoseconds(&self.least),
            max_ns: nanoseconds(&self.greatest),
            ..times
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(count: u64) -> Option<Times> {
        let times: Vec<Duration> = (1..=count).map(Duration::from_nanos).collect();
        Times::of(&times)
    }

    #[test]
    fn percentiles_are_times_that_were_measured() {
        let expected = |[min_ns, p50_ns, p90_ns, p99_ns, max_ns]: [u64; 5]| {
            Some(Times { min_ns, p50_ns, p90_ns, p99_ns, max_ns })
        };
        assert_eq!(times(0), None);
        assert_eq!(times(1), expected([1, 1, 1, 1, 1]));
        assert_eq!(times(10), expected([1, 5, 9, 10, 10]));
        assert_eq!(times(200), expected([1, 100, 180, 198, 200]));
    }

    #[test]
    fn a_sample_of_many_times_keeps_their_shape_and_the_extremes() {
        let mut sample = Sample::default();
        let count = 5 * KEPT as u64;
        (1..=count).for_each(|time| sample.add(Duration::from_nanos(time)));
        assert!((KEPT..=2 * KEPT).contains(&sample.kept.len()), "{}", sample.kept.len());
        let times = sample.times().unwrap();
        assert_eq!((times.min_ns, times.max_ns), (1, count));
        assert!(times.p50_ns.abs_diff(count / 2) <= 8, "{times:?}");
        assert!(times.p99_ns.abs_diff(count / 100 * 99) <= 108, "{times:?}");
        assert_eq!(Sample::default().times(), None);
    }
}
