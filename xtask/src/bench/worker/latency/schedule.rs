use std::num::NonZeroU64;
use std::thread;
use std::time::{Duration, Instant};

/// Sleeping is imprecise by a few dozen microseconds; the last bit is spent looking at the clock.
const LOOKING: Duration = Duration::from_micros(60);

/// Fixed points in time, which do not move when something takes longer than it should.
pub(in crate::bench) struct Schedule {
    start: Instant,
    interval: Duration,
    count: u64,
}

impl Schedule {
    /// So many points a second, for a while, beginning shortly.
    pub(in crate::bench) fn new(rate: f64, time: Duration) -> Self {
        let start = Instant::now() + Duration::from_millis(5);
        let interval = Duration::from_secs_f64(1.0 / rate);
        Self { start, interval, count: (time.as_secs_f64() * rate) as u64 }
    }

    pub(in crate::bench) fn start(&self) -> Instant {
        self.start
    }

    pub(in crate::bench) fn count(&self) -> u64 {
        self.count
    }

    /// Calls `act` at each point, or as soon as it can, with the nanoseconds between the start and
    /// the moment at which the point was due. Occupies the thread.
    pub(in crate::bench) fn run(&self, mut act: impl FnMut(u64)) {
        // Only a matter of precision.
        let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1));
        let mut due = Duration::ZERO;
        for _ in 0..self.count {
            let at = self.start + due;
            if let Some(sleep) = (at - LOOKING).checked_duration_since(Instant::now()) {
                thread::sleep(sleep);
            }
            while Instant::now() < at {
                std::hint::spin_loop();
            }
            act(u64::try_from(due.as_nanos()).unwrap_or(u64::MAX));
            due += self.interval;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_act_does_not_move_the_points_after_it() {
        let schedule = Schedule::new(10_000.0, Duration::from_millis(1));
        let mut due = Vec::new();
        schedule.run(|at| {
            if due.is_empty() {
                thread::sleep(Duration::from_millis(1));
            }
            due.push(at);
        });
        assert_eq!(due, (0..10).map(|n| n * 100_000).collect::<Vec<u64>>());
    }
}
