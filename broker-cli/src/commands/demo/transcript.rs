use crate::failure::Failure;
use crate::output::{EventRecord, Listening, Output};
use broker::core::transport::MemTransport;
use broker::event::StatusCode;
use broker::{Address, Config, Endpoint, Event, EventStream, Message, Retry};
use serde::Serialize;
use std::fmt;
use std::time::Duration;
use tokio::time::timeout;

/// How long something that has to happen may take.
const LIMIT: Duration = Duration::from_secs(5);

/// What the scenarios have in common: the output, the names of endpoints, and counts.
pub(super) struct Transcript {
    out: Output,
    /// The name space of `mem://`, the same for everybody.
    net: MemTransport,
    /// Endpoint ids and the names people know them by.
    names: Vec<(String, String)>,
    sent: u64,
    received: u64,
    dropped: u64,
    differences: u64,
}

/// An endpoint with a name.
pub(super) struct Participant {
    pub(super) name: String,
    pub(super) endpoint: Endpoint,
    events: EventStream,
}

impl Transcript {
    pub(super) fn new(out: Output) -> Self {
        let net = MemTransport::new();
        Self { out, net, names: Vec::new(), sent: 0, received: 0, dropped: 0, differences: 0 }
    }

    /// Starts an endpoint with this name.
    pub(super) fn start(&mut self, name: &str, config: Config) -> Result<Participant, Failure> {
        let endpoint = broker::builder()
            .transport(self.net.clone())
            .config(config)
            .build()
            .map_err(|error| Failure::other(error.to_string()))?;
        self.names.push((endpoint.id().to_string(), name.to_owned()));
        let events = endpoint.events();
        Ok(Participant { name: name.to_owned(), endpoint, events })
    }

    pub(super) fn listening(&mut self, endpoint: &Endpoint, url: &Address) {
        self.out.record(&Listening::of(endpoint, url));
    }

    /// Shows what comes next.
    pub(super) fn step(&mut self, text: impl Into<String>) {
        self.out.record(&Step { text: text.into() });
    }

    /// Shows a message that has arrived.
    pub(super) fn message(&mut self, message: &Message) {
        self.out.message(message);
    }

    /// Counts messages that were sent, received and dropped.
    pub(super) fn count(&mut self, sent: u64, received: u64, dropped: u64) {
        self.sent += sent;
        self.received += received;
        self.dropped += dropped;
    }

    /// Shows the outcome of a comparison.
    pub(super) fn check(&mut self, ok: bool, text: impl Into<String>) {
        self.differences += u64::from(!ok);
        self.out.record(&Check { ok, text: text.into() });
    }

    /// Writes what has been shown.
    pub(super) async fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush().await
    }

    /// Writes the summary.
    pub(super) async fn close(&mut self, outcome: Result<(), Failure>) -> Result<(), Failure> {
        let Self { sent, received, dropped, .. } = *self;
        let complete = sent == received + dropped;
        let ok = outcome.is_ok() && self.differences == 0 && complete;
        self.out.record(&Summary { sent, received, dropped, ok });
        let flushed = self.out.flush().await;
        outcome.and(flushed)?;
        match ok {
            true => Ok(()),
            false => Err(Failure::other("what arrived is not what was sent")),
        }
    }

    fn event(&mut self, observer: &str, event: &Event) {
        let record = EventRecord::new(event);
        let mut text = record.to_string();
        for (id, name) in &self.names {
            text = text.replace(id, name);
        }
        let subject = event.endpoint().map(|endpoint| endpoint.id.to_string());
        let subject = self.names.iter().find(|(id, _)| Some(id) == subject.as_ref());
        let subject = subject.map(|(_, name)| name.as_str());
        self.out.record(&Observed { record, observer, subject, text });
    }
}

impl Participant {
    /// Peers with an address, and shows what it hears of that.
    pub(super) async fn peer(
        &mut self,
        transcript: &mut Transcript,
        url: &Address,
    ) -> Result<(), Failure> {
        let outcome = self.endpoint.peer(url, Retry::never()).await;
        outcome.map_err(|error| Failure::peering(url, &error))?;
        self.wait_for(transcript, StatusCode::PeerAdded.event_name()).await
    }

    /// Shows its events until one has this name.
    pub(super) async fn wait_for(
        &mut self,
        transcript: &mut Transcript,
        name: &str,
    ) -> Result<(), Failure> {
        loop {
            let Ok(Some(event)) = timeout(LIMIT, self.events.next()).await else {
                let limit = LIMIT.as_secs();
                let text = format!("{} has not reported {name} within {limit} s", self.name);
                return Err(Failure::other(text));
            };
            transcript.event(&self.name, &event);
            if event.name() == name {
                return transcript.flush().await;
            }
        }
    }

    /// Ends its peerings and shows its last events.
    pub(super) async fn shut_down(mut self, transcript: &mut Transcript) -> Result<(), Failure> {
        self.endpoint.shutdown().await;
        while let Some(event) = self.events.next().await {
            transcript.event(&self.name, &event);
        }
        transcript.flush().await
    }
}

/// Receives the next message, which has to come.
pub(super) async fn next(subscriber: &mut broker::Subscriber) -> Result<Message, Failure> {
    match timeout(LIMIT, subscriber.recv()).await {
        Ok(Some(message)) => Ok(message),
        _ => Err(Failure::other(format!("no message came within {} s", LIMIT.as_secs()))),
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "step")]
struct Step {
    text: String,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "== {}", self.text)
    }
}

#[derive(Serialize)]
struct Observed<'a> {
    #[serde(flatten)]
    record: EventRecord<'a>,
    observer: &'a str,
    /// The endpoint that the event is about, if it is one of those here.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    #[serde(skip)]
    text: String,
}

impl fmt::Display for Observed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.observer, self.text)
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "check")]
struct Check {
    ok: bool,
    text: String,
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", if self.ok { "ok" } else { "NOT OK" }, self.text)
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "summary")]
struct Summary {
    sent: u64,
    received: u64,
    dropped: u64,
    ok: bool,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sent, received, dropped, ok } = self;
        let verdict = if *ok { "all is as it should be" } else { "SOMETHING DIFFERS" };
        write!(f, "{sent} sent, {received} received, {dropped} dropped: {verdict}")
    }
}
