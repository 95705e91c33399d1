//! The log of a command: errors, log events and what happens to peers, on standard error.

use crate::names::{Names, protection_text};
use crate::output::{complain, diagnose};
use crate::zeek::instant;
use broker::data::Timestamp;
use broker::event::{EndpointInfo, ErrorEvent, LogEvent, LogId, Severity, Status, StatusCode};
use broker::{Address, EndpointId, Event};
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::time::{Duration, Instant, SystemTime};

/// How long the same text is not said again.
const QUIET: Duration = Duration::from_secs(30);

/// How many texts are remembered.
const REMEMBERED: usize = 16;

/// The most peers whose beginning is remembered.
const PEERS: usize = 4096;

/// The forms of the log of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// Text with the time.
    #[default]
    Text,
    /// JSON Lines.
    Json,
}

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// As a command says something to who has started it.
    Command,
    /// As a service keeps a log; with priorities where the journal of systemd takes it.
    Service { format: LogFormat, has_journal: bool },
}

impl Style {
    /// That of a service, as its environment says.
    pub(crate) fn service(format: LogFormat) -> Self {
        Self::Service { format, has_journal: std::env::var_os("JOURNAL_STREAM").is_some() }
    }
}

/// Reports what an operator has to know, and the same text at most twice a minute.
pub(crate) struct Reporter {
    level: Severity,
    style: Style,
    names: Names,
    repeats: Repeats,
    peers: HashMap<EndpointId, Since>,
    hides_renewal: bool,
}

/// What is known of a peer while it is there and right after it.
struct Since {
    url: Option<Address>,
    begun: Instant,
    is_over: bool,
}

/// The texts that were said last.
#[derive(Default)]
pub(crate) struct Repeats(Vec<Said>);

struct Said {
    text: String,
    at: Instant,
    unsaid: u64,
}

/// An entry of the log.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    level: Severity,
    id: &'static str,
    text: String,
    peer: Option<EndpointId>,
}

impl Reporter {
    /// Reports errors, and log events up to this level.
    pub(crate) fn new(level: Severity, style: Style, names: Names) -> Self {
        Self {
            level,
            style,
            names,
            repeats: Repeats::default(),
            peers: HashMap::new(),
            hides_renewal: false,
        }
    }

    /// Whether it is said elsewhere that certificates have been read again.
    pub(crate) fn hide_renewal(&mut self, is_hidden: bool) {
        self.hides_renewal = is_hidden;
    }

    /// Changes the least grave level that is reported.
    pub(crate) fn set_level(&mut self, level: Severity) {
        self.level = level;
    }

    /// Reports an event. `comes_back` is whether lost peers are tried again.
    pub(crate) fn report(&mut self, event: &Event, comes_back: bool) {
        let entry = self.entry(event, comes_back);
        self.note(event);
        let Some(entry) = entry else { return };
        let Some(text) = self.repeats.worth_saying(entry.text.clone(), Instant::now()) else {
            return;
        };
        self.write(&Entry { text, ..entry });
    }

    fn write(&self, entry: &Entry) {
        match self.style {
            Style::Command => diagnose(&entry.text),
            Style::Service { format, has_journal } => {
                let time = instant(Timestamp::from(SystemTime::now()));
                let line = match format {
                    LogFormat::Text => text_line(entry, &time),
                    LogFormat::Json => self.json_line(entry, &time),
                };
                complain(if has_journal { priority(entry.level) } else { "" }, &line);
            }
        }
    }

    fn json_line(&self, entry: &Entry, time: &str) -> String {
        #[derive(Serialize)]
        struct Line<'a> {
            ts: &'a str,
            level: &'static str,
            module: &'static str,
            id: &'static str,
            message: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            peer: Option<String>,
            #[serde(skip_serializing_if = "Option::is_none")]
            name: Option<String>,
            #[serde(skip_serializing_if = "Option::is_none")]
            address: Option<String>,
        }
        let url = entry.peer.and_then(|id| self.url_of(id));
        let line = Line {
            ts: time,
            level: entry.level.name(),
            module: module(entry.id),
            id: entry.id,
            message: &entry.text,
            peer: entry.peer.map(|id| id.to_string()),
            name: entry.peer.and_then(|id| self.names.of(Some(id), url)),
            address: url.map(ToString::to_string),
        };
        serde_json::to_string(&line).unwrap_or_default()
    }

    fn url_of(&self, id: EndpointId) -> Option<&Address> {
        self.peers.get(&id).and_then(|peer| peer.url.as_ref())
    }

    /// Remembers who has come and gone.
    fn note(&mut self, event: &Event) {
        let Event::Status(Status { code, endpoint, .. }) = event else { return };
        match code {
            StatusCode::PeerAdded => {
                if self.peers.len() >= PEERS {
                    self.peers.retain(|_, peer| !peer.is_over);
                }
                if self.peers.len() < PEERS {
                    let url = endpoint.network.as_ref().map(|network| network.url.clone());
                    let since = Since { url, begun: Instant::now(), is_over: false };
                    self.peers.insert(endpoint.id, since);
                }
            }
            StatusCode::PeerLost | StatusCode::PeerRemoved => {
                if let Some(peer) = self.peers.get_mut(&endpoint.id) {
                    peer.is_over = true;
                }
            }
            _ => {}
        }
    }

    /// What to say about the event, if anything.
    fn entry(&self, event: &Event, comes_back: bool) -> Option<Entry> {
        match event {
            // What the command itself waits for is reported by how it ends.
            Event::Log(LogEvent { id: LogId::ListenFailed, .. }) => None,
            Event::Log(LogEvent { id: LogId::CertificatesRead, .. }) if self.hides_renewal => None,
            // They repeat an error or a status.
            Event::Log(LogEvent {
                id: LogId::DialFailed | LogId::UnpeerFailed | LogId::Error,
                ..
            }) => None,
            Event::Error(ErrorEvent { endpoint: Some(endpoint), .. })
                if endpoint.network.as_ref().is_some_and(|network| network.retry.is_none()) =>
            {
                None
            }
            Event::Error(error) => {
                let network =
                    error.endpoint.as_ref().and_then(|endpoint| endpoint.network.as_ref());
                let retry = network.and_then(|network| network.retry);
                let retry = retry.map_or(0.0, |time| time.as_secs_f64());
                let name = network.and_then(|network| self.names.of(None, Some(&network.url)));
                let name = name.map(|name| format!("{name}: ")).unwrap_or_default();
                let text = format!("{name}{} (next attempt in {retry} s)", error.message);
                Some(self.made(Severity::Error, "dial-failed", text, None))
            }
            Event::Log(log) if log.level <= self.level => {
                let (text, peer) = self.named(&log.description, log.id == LogId::PeerLost);
                Some(self.made(log.level, log.id.name(), text, peer))
            }
            Event::Status(status) => self.status(status, comes_back),
            _ => None,
        }
    }

    fn made(
        &self,
        level: Severity,
        id: &'static str,
        text: String,
        peer: Option<EndpointId>,
    ) -> Entry {
        let text = match (self.style, level, id) {
            (Style::Service { .. }, ..) => text,
            (Style::Command, _, "dial-failed") => format!("error: {text}"),
            (Style::Command, ..) => format!("{}: {id}: {text}", level.name()),
        };
        Entry { level, id, text, peer }
    }

    /// The text with the name and address of the peer in the place of its id at the beginning.
    fn named(&self, text: &str, with_age: bool) -> (String, Option<EndpointId>) {
        let parts = text.split_once([':', ' ']);
        let Some((Ok(id), _)) = parts.map(|(word, rest)| (word.parse::<EndpointId>(), rest)) else {
            return (text.to_owned(), None);
        };
        let rest = text.get(id.to_string().len()..).unwrap_or_default();
        let who = self.names.describe(id, self.url_of(id));
        let age = match self.peers.get(&id).filter(|_| with_age) {
            Some(peer) => format!(" (after {})", age(peer.begun.elapsed())),
            None => String::new(),
        };
        (format!("{who}{rest}{age}"), Some(id))
    }

    fn status(&self, status: &Status, comes_back: bool) -> Option<Entry> {
        let Status { code, endpoint, client, protection, .. } = status;
        let EndpointInfo { id, network, .. } = endpoint;
        let url = network.as_ref().map(|network| &network.url);
        let who = self.names.describe(*id, url.or_else(|| self.url_of(*id)));
        let who = match client {
            Some(client) => format!("{client} {who}"),
            None => who,
        };
        let known = self.peers.get(id);
        let lasted = known.map(|peer| age(peer.begun.elapsed()));
        let is_service = matches!(self.style, Style::Service { .. });
        match code {
            StatusCode::PeerAdded if is_service => {
                if self.level < Severity::Info {
                    return None;
                }
                let protection =
                    protection.as_ref().map(|how| format!(", {}", protection_text(how)));
                let text = format!("{who}: peered{}", protection.unwrap_or_default());
                Some(self.made(Severity::Info, "peer-added", text, Some(*id)))
            }
            // The reason of a loss is in the log of the endpoint.
            StatusCode::PeerRemoved | StatusCode::PeerLost if is_service => {
                let is_said = *code == StatusCode::PeerLost && client.is_none();
                if self.level < Severity::Info || is_said {
                    return None;
                }
                let text = format!("{who}: ended after {}", lasted?);
                Some(self.made(Severity::Info, "peer-removed", text, Some(*id)))
            }
            StatusCode::PeerLost if comes_back && client.is_none() => {
                let text = format!("lost {who}, trying to get it back");
                Some(Entry { level: Severity::Warning, id: "peer-lost", text, peer: Some(*id) })
            }
            StatusCode::PeerAdded if comes_back && known.is_some_and(|peer| peer.is_over) => {
                let text = format!("{who} is back");
                Some(Entry { level: Severity::Warning, id: "peer-added", text, peer: Some(*id) })
            }
            _ => None,
        }
    }
}

impl Repeats {
    /// The text, with the number of times it was not said, or nothing if it was said just now.
    pub(crate) fn worth_saying(&mut self, text: String, now: Instant) -> Option<String> {
        if let Some(said) = self.0.iter_mut().find(|said| said.text == text) {
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
        if self.0.len() == REMEMBERED {
            self.0.remove(0);
        }
        self.0.push(Said { text: text.clone(), at: now, unsaid: 0 });
        Some(text)
    }
}

/// A time as people say it.
fn age(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{} ms", time.as_millis()),
        1..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        _ => format!("{:.1} h", seconds as f64 / 3600.0),
    }
}

fn text_line(entry: &Entry, time: &str) -> String {
    let level = entry.level.name().to_ascii_uppercase();
    format!("{time} {level:<8} {:<8} {}: {}", module(entry.id), entry.id, entry.text)
}

/// The part of a program that an entry is about.
fn module(id: &str) -> &'static str {
    match id.split('-').next().unwrap_or_default() {
        "accept" | "listen" | "open" | "unprotected" => "listener",
        "certificates" | "anonymous" => "tls",
        "bridge" => "bridge",
        "client" => "client",
        "http" => "http",
        "output" => "output",
        "messages" | "malformed" | "forged" | "internal" => "routing",
        "peer" | "peering" | "bye" | "dial" | "handshake" | "unpeer" => "peer",
        _ => "node",
    }
}

/// What tells the journal of systemd how grave a line is.
fn priority(level: Severity) -> &'static str {
    match level {
        Severity::Critical => "<2>",
        Severity::Error => "<3>",
        Severity::Warning => "<4>",
        Severity::Info => "<6>",
        _ => "<7>",
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

    impl Reporter {
        fn text(&self, event: &Event) -> Option<String> {
            self.entry(event, false).map(|entry| entry.text)
        }
    }

    #[test]
    fn a_service_says_who_came_and_how_long_it_stayed() {
        let names = Names::default();
        names.configure([("host:1".to_owned(), "sensor".to_owned())].into());
        let style = Style::Service { format: LogFormat::Text, has_journal: false };
        let mut reporter = Reporter::new(Severity::Info, style, names);
        let id: EndpointId = "11111111-1111-4111-8111-111111111111".parse().unwrap();
        let network = NetworkInfo::new("tcp://host:1".parse().unwrap());
        let endpoint = EndpointInfo { id, network: Some(network) };
        let added = Event::Status(Status::new(StatusCode::PeerAdded, endpoint.clone(), ""));
        let entry = reporter.entry(&added, false).unwrap();
        assert_eq!((entry.id, &*entry.text), ("peer-added", "sensor (tcp://host:1): peered"));
        reporter.note(&added);
        let lost = Event::Log(LogEvent::new(
            Severity::Info,
            LogId::PeerLost,
            format!("{id}: the other side closed the connection"),
        ));
        let entry = reporter.entry(&lost, false).unwrap();
        let start = "sensor (tcp://host:1): the other side closed the connection (after ";
        assert!(entry.text.starts_with(start), "{entry:?}");
        let json = reporter.json_line(&entry, "now");
        let start = r#"{"ts":"now","level":"info","module":"peer","id":"peer-lost","message":"#;
        assert!(json.starts_with(start) && json.contains(r#""name":"sensor""#), "{json}");
        let removed = Event::Status(Status::new(StatusCode::PeerLost, endpoint, ""));
        assert_eq!(reporter.entry(&removed, false), None, "the log says it, with the reason");
    }

    #[test]
    fn a_failure_that_is_reported_is_not_logged_again() {
        let reporter = Reporter::new(Severity::Debug, Style::Command, Names::default());
        assert_eq!(reporter.text(&log(Severity::Info, "dial-failed")), None);
        assert!(reporter.text(&error(Some(Duration::from_secs(1)))).is_some());
    }

    #[test]
    fn errors_and_grave_log_events_are_said_and_statuses_are_not() {
        let reporter = Reporter::new(Severity::Warning, Style::Command, Names::default());
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
        let mut reporter = Repeats::default();
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
