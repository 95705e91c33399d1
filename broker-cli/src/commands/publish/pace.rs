//! When the next message is published.

use broker::data::Timestamp;
use serde::Deserialize;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// How fast messages are published.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Pace {
    /// As fast as the peers read.
    Unlimited,
    /// One each such time.
    Every(Duration),
    /// With the times between them that the lines have, divided by this number.
    Recorded(f64),
}

/// Waits until it is time for the next message. What came late is made up for.
#[derive(Debug)]
pub(super) struct Pacer {
    pace: Pace,
    published: u32,
    /// When the first message was published, and the time it was recorded at.
    first: Option<(Instant, Option<Timestamp>)>,
}

impl Pacer {
    pub(super) fn new(pace: Pace) -> Self {
        Self { pace, published: 0, first: None }
    }

    /// Whether the times of the lines matter.
    pub(super) fn needs_times(&self) -> bool {
        matches!(self.pace, Pace::Recorded(_))
    }

    /// Waits until a message with this time, if it has one, is due. Cancel safe: nothing counts
    /// before it is over.
    pub(super) async fn wait(&mut self, recorded: Option<Timestamp>) {
        let Some((start, begin)) = self.first else {
            self.first = Some((Instant::now(), recorded));
            self.published = 1;
            return;
        };
        let after = match (self.pace, recorded, begin) {
            (Pace::Unlimited, ..) => return,
            (Pace::Every(time), ..) => time.saturating_mul(self.published),
            (Pace::Recorded(speed), Some(now), Some(begin)) => {
                let nanos = now.0.saturating_sub(begin.0).max(0) as f64 / speed;
                Duration::try_from_secs_f64(nanos / 1e9).unwrap_or_default()
            }
            // A line without a time comes right after the one before.
            (Pace::Recorded(_), ..) => Duration::ZERO,
        };
        if let Some(due) = start.checked_add(after) {
            sleep_until(due).await;
        }
        self.published = self.published.saturating_add(1);
        if self.first.is_some_and(|(_, begin)| begin.is_none()) {
            self.first = Some((start, recorded));
        }
    }
}

/// The time that a line says it was recorded at.
pub(super) fn recorded(line: &[u8]) -> Option<Timestamp> {
    #[derive(Deserialize)]
    struct Recorded {
        ts: Option<String>,
    }
    let recorded: Recorded = serde_json::from_slice(line).ok()?;
    recorded.ts?.parse().ok()
}

/// Reads the factor of `--speed`, as in `1x` or `0.5`.
pub(super) fn speed(text: &str) -> Result<f64, String> {
    let factor: f64 = text
        .strip_suffix(['x', 'X'])
        .unwrap_or(text)
        .parse()
        .map_err(|_| "a factor, as in 1x or 0.5x".to_owned())?;
    match factor.is_finite() && factor > 0.0 {
        true => Ok(factor),
        false => Err("a factor is above zero, and finite".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn lines_keep_the_times_between_them() {
        let mut pacer = Pacer::new(Pace::Recorded(2.0));
        let start = Instant::now();
        for (line, due) in [
            (r#"{"ts":"2026-01-01T00:00:00Z"}"#, 0),
            (r#"{"ts":"2026-01-01T00:00:10Z"}"#, 5),
            (r#"{"x":1}"#, 5),
            (r#"{"ts":"2026-01-01T00:00:20Z"}"#, 10),
        ] {
            pacer.wait(recorded(line.as_bytes())).await;
            assert_eq!(start.elapsed().as_secs(), due, "{line}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_came_late_is_made_up_for() {
        let mut pacer = Pacer::new(Pace::Every(Duration::from_secs(1)));
        let start = Instant::now();
        pacer.wait(None).await;
        pacer.wait(None).await;
        assert_eq!(start.elapsed().as_secs(), 1);
        tokio::time::sleep(Duration::from_secs(3)).await;
        pacer.wait(None).await;
        pacer.wait(None).await;
        assert_eq!(start.elapsed().as_secs(), 4);
        pacer.wait(None).await;
        pacer.wait(None).await;
        assert_eq!(start.elapsed().as_secs(), 5);
    }
}
