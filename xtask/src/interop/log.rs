use std::collections::VecDeque;
use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// The last lines that a log keeps.
const LINES: usize = 400;

/// What happens in a cell, with the time since it began.
#[derive(Clone)]
pub(super) struct Log {
    began: Instant,
    lines: Arc<Mutex<VecDeque<String>>>,
}

impl Log {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), lines: Arc::default() }
    }

    /// Notes what `who` did.
    pub(super) fn note(&self, who: &str, what: impl Display) {
        let seconds = self.began.elapsed().as_secs_f64();
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LINES {
            lines.pop_front();
        }
        let what: String = what.to_string().chars().take(300).collect();
        lines.push_back(format!("{seconds:8.3} {who}: {what}"));
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}
