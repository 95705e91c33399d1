use std::collections::VecDeque;
use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// The last lines that a log keeps.
const LINES: usize = 400;

/// The characters of a line that are kept.
const WIDTH: usize = 300;

/// What happens in a cell, with the time since it began.
#[derive(Clone)]
pub(super) struct Log {
    began: Instant,
    lines: Arc<Mutex<VecDeque<Line>>>,
}

struct Line {
    seconds: f64,
    text: String,
    /// How often it came in a row.
    times: usize,
}

impl Log {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), lines: Arc::default() }
    }

    /// Notes what `who` did.
    pub(super) fn note(&self, who: &str, what: impl Display) {
        let seconds = self.began.elapsed().as_secs_f64();
        let text: String = format!("{who}: {what}").chars().take(WIDTH).collect();
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = lines.back_mut().filter(|last| last.text == text) {
            last.times += 1;
            return;
        }
        if lines.len() == LINES {
            lines.pop_front();
        }
        lines.push_back(Line { seconds, text, times: 1 });
    }

    pub(super) fn lines(&self) -> Vec<String> {
        let show = |Line { seconds, text, times }: &Line| match times {
            1 => format!("{seconds:8.3} {text}"),
            times => format!("{seconds:8.3} {text} ({times} times)"),
        };
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).iter().map(show).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_repeats_is_said_once() {
        let log = Log::new();
        ["a", "b", "b", "b", "a"].iter().for_each(|what| log.note("x", what));
        let texts: Vec<String> = log.lines().iter().map(|line| line[9..].to_owned()).collect();
        assert_eq!(texts, ["x: a", "x: b (3 times)", "x: a"]);
    }
}
