use crate::bench::messages::Latency;
use hdrhistogram::Histogram;
use std::time::Duration;

/// Collects durations with three significant digits.
pub(in crate::bench) struct Recorder(Histogram<u64>);

impl Default for Recorder {
    fn default() -> Self {
        // Three digits are within what the histogram allows; so this never fails.
        Self(Histogram::new(3).unwrap_or_else(|error| super::give_up(&error.to_string())))
    }
}

impl Recorder {
    pub(in crate::bench) fn record(&mut self, time: Duration) {
        // Grows as needed; only what is longer than three days is refused.
        let _ = self.0.record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    pub(in crate::bench) fn latency(&self) -> Latency {
        let at = |quantile| self.0.value_at_quantile(quantile) as f64 / 1000.0;
        Latency {
            count: self.0.len(),
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            max: self.0.max() as f64 / 1000.0,
            cpu_seconds: 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_in_microseconds() {
        let mut recorder = Recorder::default();
        (1..=1000).for_each(|micros| recorder.record(Duration::from_micros(micros)));
        let latency = recorder.latency();
        assert_eq!(latency.count, 1000);
        assert!((latency.p50 / 500.0 - 1.0).abs() < 0.01, "{latency:?}");
        assert!((latency.p99 / 990.0 - 1.0).abs() < 0.01, "{latency:?}");
    }
}
