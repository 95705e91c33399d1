//! Errors and log events on standard error, for commands without `--events`.

use crate::output::diagnose;
use broker::Event;
use broker::event::{ErrorEvent, LogEvent, LogId, Severity};
use std::time::{Duration, Instant};

/// How long the same text is not said again.
const QUIET: Duration = Duration::from_secs(30);

/// How many texts are remembered.
const REMEMBERED: usize = 16;

/// Reports what an operator has to know, and the same text at most twice a minute.
pub(crate) struct Reporter {
    level: Severity,
    said: Vec<Said>,
}

struct Said {
    text: String,
    at: Instant,
    unsaid: u64,
}

impl Reporter {
    /// Reports errors, and log events up to this level.
    pub(crate) fn new(level: Severity) -> Self {
        Self { level, said: Vec::new() }
    }

    pub(crate) fn report(&mut self, event: &Event) {
        if let Some(text) = self.text(event)
            && let Some(text) = self.worth_saying(text, Instant::now())
        {
            diagnose(text);
        }
    }

    /// What to say about the event, if anything.
    fn text(&self, event: &Event) -> Option<String> {
        match event {
            // What the command itself waits for is reported by how it ends.
            Event::Log(LogEvent { id: LogId::ListenFailed, .. }) => None,
            Event::Error(ErrorEvent { endpoint: Some(endpoint), .. })
                if endpoint.network.as_ref().is_some_and(|network| network.retry.is_none()) =>
            {
                None
            }
            Event::Error(error) => {
                let retry = error.endpoint.as_ref().and_then(|endpoint| endpoint.network.as_ref());
                let retry =
                    retry.and_then(|network| network.retry).map_or(0.0, |t| t.as_secs_f64());
                Some(format!("error: {} (next attempt in {retry} s)", error.message))
            }
            Event::Log(log) if log.level <= self.level => {
                Some(format!("{}: {}: {}", log.level.name(), log.id, log.description))
            }
            _ => None,
        }
    }

    /// The text, with the number of times it was not said, or nothing if it was said just now.
    fn worth_saying(&mut self, text: String, now: Instant) -> Option<String> {
        if let Some(said) = self.said.iter_mut().find(|said| said.text == text) {
            if now < said.at + QUIET {
                said.unsaid += 1;
                return None;
            }
            said.at = now;
            return match std::mem::take(&mut said.unsaid) {
                0 => Some(text),
                count => Some(format!("{text} (and {count} times since this was said last)")),
            };
        }
        if self.said.len() == REMEMBERED {
            self.said.remove(0);
        }
        self.said.push(Said { text: text.clone(), at: now, unsaid: 0 });
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use broker::event::{EndpointInfo, NetworkInfo, Status, StatusCode};
    use broker::{EndpointId, ErrorCode};

    fn error(retry: Option<Duration>) -> Event {
        let network = NetworkInfo { url: "tcp://host:1".parse().unwrap(), retry };
        let endpoint = Some(EndpointInfo { id: EndpointId::NIL, network: Some(network) });
        Event::Error(ErrorEvent::new(ErrorCode::PeerUnavailable, endpoint, "unable to connect"))
    }

    fn log(level: Severity, id: &'static str) -> Event {
        Event::Log(LogEvent::new(level, id, "text"))
    }

    #[test]
    fn errors_and_grave_log_events_are_said_and_statuses_are_not() {
        let reporter = Reporter::new(Severity::Warning);
        let retried = reporter.text(&error(Some(Duration::from_millis(1500))));
        assert_eq!(retried.unwrap(), "error: unable to connect (next attempt in 1.5 s)");
        assert_eq!(reporter.text(&error(None)), None);
        let warning = reporter.text(&log(Severity::Warning, "handshake-failed"));
        assert_eq!(warning.unwrap(), "warning: handshake-failed: text");
        assert_eq!(reporter.text(&log(Severity::Info, "peer-lost")), None);
        assert_eq!(reporter.text(&log(Severity::Warning, "listen-failed")), None);
        let endpoint = EndpointInfo { id: EndpointId::NIL, network: None };
        let status = Event::Status(Status::new(StatusCode::PeerAdded, endpoint, ""));
        assert_eq!(reporter.text(&status), None);
    }

    #[test]
    fn the_same_text_is_not_said_again_for_a_while() {
        let mut reporter = Reporter::new(Severity::Warning);
        let start = Instant::now();
        let mut say = |text: &str, at| reporter.worth_saying(text.to_owned(), start + at);
        assert_eq!(say("a", Duration::ZERO).as_deref(), Some("a"));
        assert_eq!(say("b", Duration::ZERO).as_deref(), Some("b"));
        assert_eq!(say("a", QUIET / 3), None);
        assert_eq!(say("a", QUIET / 2), None);
        let again = say("a", QUIET).unwrap();
        assert_eq!(again, "a (and 2 times since this was said last)");
        assert_eq!(say("b", QUIET).as_deref(), Some("b"));
    }
}
