//! Plays the stranger and the operator of a scenario against an endpoint, and compares everything
//! that the endpoint does.

use crate::recording::{Action, Scenario, Side, Step, What, hex};
use crate::stranger::{Conn, Doorway, Received};
use crate::subject::{Subject, same};
use crate::tables::amended;
use broker::core::wire::envelope::{Envelope, EnvelopeType};
use broker::core::wire::frame::PREFIX;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use tokio::time::Instant;

const TTL_AT: usize = PREFIX + 33;

/// The number of a hello among the messages of a handshake.
const HELLO: u8 = 6;

/// Plays a whole scenario.
pub(crate) async fn replay(scenario: Scenario) {
    let steps = amended(&scenario);
    let mut replay = Replay::start(&scenario, &steps).await;
    for (number, step) in steps.iter().enumerate() {
        replay.settle_before(&step.what).await;
        if let Err(error) = replay.perform(&step.what).await {
            let label = &step.label;
            panic!("{}, step {number} as played here ({label}): {error}", scenario.name);
        }
    }
    let leftover = replay.finish().await;
    assert!(leftover.is_empty(), "{}: nobody expected {leftover:#?}", scenario.name);
}

/// A scenario that is being played.
pub(crate) struct Replay {
    pub(crate) subject: Subject,
    doorway: Doorway,
    conns: BTreeMap<String, Conn>,
    /// What the names in texts stand for.
    addresses: BTreeMap<String, SocketAddr>,
    /// Topic and payload of the messages that the stranger has sent.
    sent: Vec<(Vec<u8>, Vec<u8>)>,
    /// Recorded tokens of byes, and those that the endpoint made.
    tokens: Vec<(Vec<u8>, Vec<u8>)>,
    last_bye: Instant,
    policy: Option<String>,
    has_events: bool,
}

impl Replay {
    pub(crate) async fn start(scenario: &Scenario, steps: &[Step]) -> Self {
        let waits = |step: &Step| matches!(step.what, What::Closed { after: true, .. });
        let subject = Subject::start(scenario, steps.iter().any(waits)).await;
        let mut doorway = Doorway::new();
        doorway.listen(true);
        Self {
            subject,
            addresses: BTreeMap::from([("L1".to_owned(), doorway.address())]),
            doorway,
            conns: BTreeMap::new(),
            sent: Vec::new(),
            tokens: Vec::new(),
            last_bye: Instant::now(),
            policy: scenario.options.overflow_policy.clone(),
            has_events: scenario.has_events,
        }
    }

    /// The stranger of the recordings waited between steps that depend on each other; here the
    /// answer to a ping shows that what was sent has been handled, wherever the next step is not
    /// on the same connection.
    pub(crate) async fn settle_before(&mut self, next: &What) {
        let same_conn = match next {
            What::Frame { conn, .. } | What::Burst { conn, .. } => Some(conn),
            _ => None,
        };
        for (name, conn) in &mut self.conns {
            if conn.is_unsettled() && Some(name) != same_conn {
                conn.settle().await;
            }
        }
    }

    pub(crate) async fn perform(&mut self, what: &What) -> Result<(), String> {
        match what {
            What::Opened { by: Side::Stranger, conn } => {
                let opened = Conn::open(self.subject.address, self.subject.endpoint.id()).await;
                self.addresses.insert(conn.clone(), opened.local());
                self.conns.insert(conn.clone(), opened);
                Ok(())
            }
            What::Opened { by: Side::Endpoint, conn } => {
                let stream = self.doorway.accept().await.ok_or("the endpoint does not dial")?;
                let accepted = Conn::new(stream, self.subject.endpoint.id());
                self.conns.insert(conn.clone(), accepted);
                Ok(())
            }
            What::Closed { by: Side::Stranger, conn, .. } => {
                let mut conn = self.conns.remove(conn).ok_or("no such connection")?;
                nothing(conn.leftover())
            }
            What::Closed { by: Side::Endpoint, conn, after } => self.closed(conn, *after).await,
            What::Frame { by: Side::Stranger, conn, frame } => self.send(conn, frame).await,
            What::Frame { by: Side::Endpoint, conn, frame } => self.expect(conn, frame).await,
            What::Burst { conn, others } => self.burst(conn, others).await,
            What::Operator(action) => self.operate(action).await,
            What::Status(text) => self.event(text, false).await,
            What::Error(text) => self.event(text, true).await,
            What::Message { topic, text } => {
                let message = self.subject.message().await.ok_or("no message")?;
                same("message", &(topic.clone(), text.clone()), &message)
            }
            What::ResultOfPeer(ok) => {
                let result = self.subject.result_of_peer().await.ok_or("no result")?;
                same("result", ok, &result)
            }
            What::Peers(text) => same("peers", &self.resolve(text), &self.subject.peers()),
            What::NoAttempt => {
                same("wanted", &false, &self.subject.wants(self.doorway.address()))?;
                same("dialled", &false, &self.doorway.has_visitor().await)
            }
            What::Listens(listens) => {
                self.doorway.listen(*listens);
                Ok(())
            }
            What::Check(check) => self.subject.check(check, self.doorway.address()),
        }
    }

    fn conn(&mut self, name: &str) -> Result<&mut Conn, String> {
        self.conns.get_mut(name).ok_or_else(|| format!("there is no connection {name}"))
    }

    async fn operate(&mut self, action: &Action) -> Result<(), String> {
        let doorway = self.doorway.address();
        let mut action = action.clone();
        if let Action::Unpeer { address } = &mut action {
            *address = self.resolve(address);
        }
        self.subject.operate(&action, doorway).await;
        Ok(())
    }

    async fn send(&mut self, conn: &str, recorded: &[u8]) -> Result<(), String> {
        let mut frame = recorded.to_vec();
        for (recorded, real) in &self.tokens {
            replace(&mut frame, recorded, real);
        }
        if let Ok(envelope) = Envelope::decode(&frame[PREFIX..]) {
            self.sent.push((envelope.topic.to_vec(), envelope.payload.to_vec()));
        }
        self.conn(conn)?.send(&frame).await;
        Ok(())
    }

    async fn expect(&mut self, conn: &str, recorded: &[u8]) -> Result<(), String> {
        let frame = match self.conn(conn)?.receive().await {
            Some(Received::Frame(frame)) => frame,
            Some(end) => return Err(format!("{end:?} instead of {}", hex(recorded))),
            None => return Err(format!("{} does not come", hex(recorded))),
        };
        let expected = self.expected(recorded, &frame);
        same("frame", &hex(&expected), &hex(&frame))
    }

    /// What is to come instead of a recorded frame: the same, except for three things. The eight
    /// bytes of a bye's token are any. What the endpoint passes on has one hop less to go, where
    /// the C++ Broker has no use for the hops. And a hello offers version 2 as well, of which a
    /// peer of version 1 takes no notice.
    fn expected(&mut self, recorded: &[u8], found: &[u8]) -> Vec<u8> {
        let mut expected = recorded.to_vec();
        if expected.get(PREFIX) == Some(&HELLO) && self.subject.offers_version_2 {
            expected.splice(expected.len() - 2.., [1, 2]);
        }
        let Ok(envelope) = Envelope::decode(&recorded[PREFIX..]) else { return expected };
        let message = (envelope.topic.to_vec(), envelope.payload.to_vec());
        if envelope.kind == EnvelopeType::Data && self.sent.contains(&message) {
            expected[TTL_AT..TTL_AT + 2].copy_from_slice(&(envelope.ttl - 1).to_be_bytes());
        }
        if envelope.kind == EnvelopeType::Ping && envelope.payload.starts_with(b"BYE") {
            self.last_bye = Instant::now();
            if let Some(token) = found.last_chunk::<8>() {
                let at = expected.len() - token.len();
                self.tokens.insert(0, (expected.split_off(at), token.to_vec()));
                expected.extend(token);
            }
        }
        expected
    }

    async fn closed(&mut self, name: &str, after: bool) -> Result<(), String> {
        match self.conn(name)?.receive().await {
            Some(Received::End { incomplete: 0 }) => {}
            other => return Err(format!("{other:?} instead of the end")),
        }
        self.conns.remove(name);
        if after && self.last_bye.elapsed() < self.subject.bye / 2 {
            return Err("the endpoint did not wait for an answer to its bye".to_owned());
        }
        Ok(())
    }

    async fn event(&mut self, text: &str, is_error: bool) -> Result<(), String> {
        let found = self.subject.event().await.ok_or("no event")?;
        let expected = self.resolve(text);
        // A failed attempt begins with the text of the C++ Broker and goes on with what happened.
        if is_error && expected.starts_with("peer_unavailable(") {
            let begin = expected.replacen("\")", ": ", 1);
            let detail = found.strip_prefix(&begin).and_then(|rest| rest.strip_suffix("\")"));
            return match detail {
                Some(detail) if !detail.is_empty() => Ok(()),
                _ => Err(format!("{found} does not say more than {expected}")),
            };
        }
        same("event", &expected, &found)
    }

    /// Puts addresses into a text.
    fn resolve(&self, text: &str) -> String {
        self.addresses.iter().fold(text.to_owned(), |text, (name, address)| {
            let port = address.port().to_string();
            text.replace(&format!("<port of {name}>"), &port)
                .replace(&format!("<{name}>"), &address.to_string())
        })
    }

    /// Reads what is left of a burst of 1500 numbered messages, up to the answer to a ping or the
    /// end of the connection.
    async fn burst(&mut self, conn: &str, recorded: &[String]) -> Result<(), String> {
        let (mut numbers, mut others) = (Vec::new(), Vec::new());
        let peer = self.conn(conn)?.own().ok_or("no handshake")?;
        while others.last().is_none_or(|last| last != "pong") {
            match self.conn(conn)?.receive().await.ok_or("nothing more comes")? {
                Received::End { .. } => {
                    self.conns.get_mut(conn).map(Conn::ended);
                    break;
                }
                Received::Frame(frame) => {
                    let envelope =
                        Envelope::decode(&frame[PREFIX..]).map_err(|error| error.to_string())?;
                    match envelope.kind {
                        EnvelopeType::Data => numbers.push(number(envelope.payload)?),
                        kind => others.push(kind.name().replace('-', "_")),
                    }
                }
            }
        }
        same("other messages", &recorded.to_vec(), &others)?;
        let stats = self.subject.endpoint.peering_stats();
        let dropped = stats.get(&peer).map(|stats| stats.dropped);
        check_burst(self.policy.as_deref().unwrap_or_default(), &numbers, dropped)
    }

    /// Everything that nobody has expected.
    pub(crate) async fn finish(mut self) -> Vec<String> {
        // The second round shows what the first one has caused on other connections.
        for _ in 0..2 {
            for conn in self.conns.values_mut().filter(|conn| conn.is_peered()) {
                conn.settle().await;
            }
        }
        let mut leftover = Vec::new();
        for (name, conn) in &mut self.conns {
            leftover.extend(conn.leftover().into_iter().map(|what| format!("{name}: {what:?}")));
        }
        if self.doorway.has_visitor().await {
            leftover.push("a connection".to_owned());
        }
        leftover.extend(self.subject.leftover(self.has_events));
        // Peers that are gone need not be waited for.
        self.conns.clear();
        leftover.extend(self.subject.finish().await);
        leftover
    }
}

const BURST: u64 = 1500;

/// What holds for any burst that is too large for a queue of ten messages.
fn check_burst(policy: &str, numbers: &[u64], dropped: Option<u64>) -> Result<(), String> {
    same("in order", &true, &numbers.is_sorted_by(|a, b| a < b))?;
    let received = numbers.len() as u64;
    let beginning: Vec<u64> = (0..received).collect();
    match policy {
        "disconnect" => same("the beginning", &beginning, &numbers.to_vec())?,
        "drop_newest" => same("the first", &Some(&0), &numbers.first())?,
        "drop_oldest" => {
            let last = numbers.get(numbers.len().saturating_sub(10)..).unwrap_or_default();
            same("the last ten", &(BURST - 10..BURST).collect::<Vec<_>>(), &last.to_vec())?;
        }
        other => return Err(format!("no burst with policy {other:?}")),
    }
    match dropped {
        None => same("some lost", &true, &(received < BURST)),
        Some(dropped) => {
            same("some dropped", &true, &(dropped > 0))?;
            same("received and dropped", &BURST, &(received + dropped))
        }
    }
}

fn number(payload: &[u8]) -> Result<u64, String> {
    let value = broker::data::Value::decode(payload).map_err(|error| error.to_string())?;
    let text = value.to_string();
    text.trim_end().parse().map_err(|_| format!("{text:?} is no numbered message"))
}

fn nothing(received: Vec<Received>) -> Result<(), String> {
    same("nothing more", &Vec::new(), &received)
}

/// Replaces every occurrence of `from` by `to`, which has the same length.
fn replace(bytes: &mut [u8], from: &[u8], to: &[u8]) {
    let mut at = 0;
    while let Some(found) = bytes.get(at..at + from.len()) {
        if found == from {
            bytes[at..at + from.len()].copy_from_slice(to);
            return;
        }
        at += 1;
    }
}
