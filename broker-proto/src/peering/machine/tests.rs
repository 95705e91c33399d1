//! The machine alone: what it is told, and what it wants done in answer, in virtual time.

mod admission;
mod dials;
mod filters;
mod leaving;
mod limits;
mod liveness;
mod peerings;
mod permissions;
mod redundancy;

use super::*;
use crate::Protection;
use crate::fact::PeerChange;
use crate::peering::{HandshakeFrame, PeerStatus};
use crate::wire::envelope::Envelope;
use crate::wire::handshake::HandshakeMessage;
use crate::{ErrorCode, wire};

const SMALL: EndpointId = EndpointId::from_bytes([0x11; 16]);
const OWN: EndpointId = EndpointId::from_bytes([0x88; 16]);
const LARGE: EndpointId = EndpointId::from_bytes([0xee; 16]);

const HANDSHAKE: Duration = Duration::from_secs(10);
const BYE: Duration = Duration::from_secs(3);
const LIVENESS: Duration = Duration::from_secs(20);
const FILTER: FilterLimits = FilterLimits { entries: 100, entry: 1000, bytes: 10_000 };
const RETRY: Option<Duration> = Some(Duration::from_secs(7));

fn settings() -> Settings {
    Settings {
        id: OWN,
        handshake_time: HANDSHAKE,
        bye: BYE,
        liveness: LIVENESS,
        version: 1,
        role: Role::Leaf,
        life: 1,
        overlay: OverlayLimits { endpoints: 100, bytes: 10_000, topic: 1000 },
        peers: 100,
        filter: FILTER,
        remembered_peers: 100,
        retry_jitter: 0.0,
        retry_max: None,
        rules: Vec::new(),
        seed: 1,
    }
}

fn url(name: &str) -> Address {
    Address::new("mem", name, 1)
}

fn topics(list: &[&'static str]) -> Vec<Bytes> {
    list.iter().map(|topic| Bytes::from_static(topic.as_bytes())).collect()
}

/// The machine with a clock, and a reader of its actions.
struct Rig {
    control: PeeringMachine,
    /// What the machine has said about peers, and about requests without a peering.
    registry: BTreeMap<EndpointId, PeerRecord>,
    open: BTreeMap<DialId, PendingDial>,
    now: Time,
    accepted: u32,
    /// The token of the last ping.
    token: Vec<u8>,
    /// When the installed peers were heard of.
    heard: BTreeMap<u64, Arc<LastActivity>>,
}

impl Rig {
    fn new() -> Self {
        Self::with(settings())
    }

    fn with(settings: Settings) -> Self {
        let control = PeeringMachine::new(settings);
        Self {
            control,
            registry: BTreeMap::new(),
            open: BTreeMap::new(),
            now: Time::from_secs(100),
            accepted: 0,
            token: Vec::new(),
            heard: BTreeMap::new(),
        }
    }

    /// Tells the machine something and returns what it wants done.
    fn tell<R>(&mut self, tell: impl FnOnce(&mut PeeringMachine, Time) -> R) -> Vec<String> {
        tell(&mut self.control, self.now);
        let mut actions = Vec::new();
        while let Some(action) = self.next_action() {
            actions.push(self.describe(action));
        }
        actions
    }

    /// The next action, once what the machine says of peers and requests has been noted.
    fn next_action(&mut self) -> Option<Action> {
        loop {
            match self.control.next_action()? {
                Action::PeerChanged { peer, record } => {
                    let record = record.map(|record| *record);
                    match record {
                        Some(record) => self.registry.insert(peer, record),
                        None => self.registry.remove(&peer),
                    };
                }
                Action::DialChanged { dial, open } => {
                    match open {
                        Some(open) => self.open.insert(dial, *open),
                        None => self.open.remove(&dial),
                    };
                }
                Action::ChangeOverlay(_) => {}
                action => return Some(action),
            }
        }
    }

    /// Lets time pass, up to each deadline on the way.
    fn pass(&mut self, time: Duration) -> Vec<String> {
        let end = self.now + time;
        let mut actions = Vec::new();
        while let Some(due) = self.control.next_deadline().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            actions.extend(self.tell(|control, now| control.tick(now)));
        }
        self.now = end;
        actions
    }

    fn peer(&mut self, name: &str, retry: Option<Duration>) -> Vec<String> {
        self.tell(|control, now| control.peer(url(name), retry, now))
    }

    fn unpeer(&mut self, name: &str) -> Vec<String> {
        self.tell(|control, now| control.unpeer(&url(name), now))
    }

    fn dialled(&mut self, dial: u64, name: &str) -> Vec<String> {
        let link = Link { remote: url(name), protection: Protection::InProcess };
        self.tell(|control, now| control.opened(Opened::Dialled(DialId(dial)), link, now))
    }

    fn accepted(&mut self) -> Vec<String> {
        self.accepted += 1;
        self.accepted_from(&format!("client{}", self.accepted))
    }

    fn accepted_from(&mut self, host: &str) -> Vec<String> {
        let link = Link { remote: url(host), protection: Protection::InProcess };
        self.tell(|control, now| control.opened(Opened::Accepted { began: now }, link, now))
    }

    fn receive(&mut self, conn: u64, message: &HandshakeMessage) -> Vec<String> {
        let frame = message.to_frame();
        let frame = HandshakeFrame::read(&frame[4..], self.control.settings.filter);
        self.tell(|control, now| control.handshake_frame(ConnectionId(conn), frame, now))
    }

    fn hello(&mut self, conn: u64, from: EndpointId) -> Vec<String> {
        self.receive(conn, &HandshakeMessage::hello(from))
    }

    fn select(&mut self, conn: u64, from: EndpointId) -> Vec<String> {
        self.receive(conn, &HandshakeMessage::VersionSelect { sender: from, version: 1 })
    }

    fn dropped(&mut self, conn: u64, from: EndpointId, code: ErrorCode) -> Vec<String> {
        let description = "why".into();
        self.receive(conn, &HandshakeMessage::DropConn { sender: from, code, description })
    }

    fn syn(&mut self, conn: u64, filter: &[&'static str]) -> Vec<String> {
        self.receive(conn, &HandshakeMessage::OriginatorSyn(topics(filter), None))
    }

    fn syn_ack(&mut self, conn: u64, filter: &[&'static str]) -> Vec<String> {
        self.receive(conn, &HandshakeMessage::ResponderSynAck(topics(filter), None))
    }

    fn ack(&mut self, conn: u64) -> Vec<String> {
        self.receive(conn, &HandshakeMessage::OriginatorAck)
    }

    fn closed(&mut self, conn: u64) -> Vec<String> {
        let failure = Failure::Transport(crate::TransportError::closed());
        self.tell(|control, now| control.closed(ConnectionId(conn), failure, now))
    }

    fn dial_fails(&mut self, dial: u64) -> Vec<String> {
        let failure = Failure::Transport(crate::TransportError::closed());
        self.tell(|control, now| control.dial_failed(DialId(dial), failure, now))
    }

    fn pong(&mut self, conn: u64) -> Vec<String> {
        let token = self.token.clone();
        self.tell(|control, now| control.pong(ConnectionId(conn), &token, now))
    }

    /// Makes a peering on a new accepted connection, and returns its number.
    fn peered_by(&mut self, peer: EndpointId) -> u64 {
        self.accepted();
        let conn = self.control.last_conn;
        self.shake(conn, peer);
        conn
    }

    /// Asks for a peering and makes it, and returns the number of the connection.
    fn peered_with(&mut self, name: &str, retry: Option<Duration>, peer: EndpointId) -> u64 {
        self.peer(name, retry);
        let dial = self.control.last_dial;
        self.dialled(dial, name);
        let conn = self.control.last_conn;
        self.shake(conn, peer);
        conn
    }

    fn shake(&mut self, conn: u64, peer: EndpointId) {
        if OWN < peer {
            self.hello(conn, peer);
            self.syn_ack(conn, &["/theirs"]);
        } else {
            self.hello(conn, peer);
            self.select(conn, peer);
            self.syn(conn, &["/theirs"]);
            self.ack(conn);
        }
        assert_eq!(self.registry.get(&peer).map(|record| record.status), Some(PeerStatus::Peered));
    }

    fn status(&self, peer: EndpointId) -> Option<PeerStatus> {
        self.registry.get(&peer).map(|record| record.status)
    }

    fn describe(&mut self, action: Action) -> String {
        match action {
            Action::Dial { dial, url } => format!("dial {} {}", dial.0, url.host()),
            Action::AbandonDial { dial } => format!("abandon {}", dial.0),
            Action::Send { conn, frame } => {
                format!("send {} {}", conn.0, self.describe_frame(&frame))
            }
            Action::Announce { conn, frame } => {
                format!("send {} {}", conn.0, self.describe_frame(&frame.to_vec()))
            }
            Action::Close { conn, how } => format!("close {} {how:?}", conn.0).to_lowercase(),
            Action::Install { conn, peer, filter, heard, .. } => {
                self.heard.insert(conn.0, heard);
                format!("install {} {} {}", conn.0, name(peer), list(&filter))
            }
            Action::Uninstall { peer } => format!("uninstall {}", name(peer)),
            Action::SetFilter { peer, filter, .. } => {
                format!("filter {} {}", name(peer), list(&filter))
            }
            Action::Report(fact) => describe_fact(&fact),
            Action::Resolve { dial, outcome } => match outcome {
                Ok(peer) => format!("resolve {} {}", dial.0, name(peer)),
                Err(failure) => format!("resolve {} {}", dial.0, failure.name()),
            },
            Action::Stopped => "stopped".to_owned(),
            change => panic!("{change:?} has been noted"),
        }
    }

    fn describe_frame(&mut self, frame: &[u8]) -> String {
        let payload = &frame[4..];
        if let Ok(message) = HandshakeMessage::decode(payload, FILTER) {
            return match &message {
                HandshakeMessage::DropConn { sender, code, .. } => {
                    assert_eq!(*sender, OWN);
                    format!("drop_conn({})", code.number())
                }
                HandshakeMessage::OriginatorSyn(filter, _)
                | HandshakeMessage::ResponderSynAck(filter, _) => {
                    format!("{} {}", message.name(), list(filter))
                }
                _ => message.name().to_owned(),
            };
        }
        let envelope = Envelope::decode(payload).unwrap();
        assert_eq!((envelope.sender, envelope.topic), (OWN, wire::CONTROL_TOPIC));
        let to = name(envelope.receiver);
        match envelope.kind {
            wire::envelope::EnvelopeType::Ping => {
                self.token = envelope.payload.to_vec();
                format!("ping {to}")
            }
            kind => {
                let filter = wire::routing_update::decode(envelope.payload, FILTER).unwrap();
                format!("{} {to} {}", kind.name(), list(&filter))
            }
        }
    }
}

fn name(id: EndpointId) -> &'static str {
    match id {
        SMALL => "small",
        OWN => "own",
        LARGE => "large",
        _ => "other",
    }
}

fn list(filter: &[Bytes]) -> String {
    let topics: Vec<_> = filter.iter().map(|topic| String::from_utf8_lossy(topic)).collect();
    format!("[{}]", topics.join(" "))
}

/// Changes with the address, where they have one, errors with theirs, and the kind of the others.
fn describe_fact(fact: &Fact) -> String {
    match fact {
        Fact::Peer { change, endpoint, .. } => {
            let what = match change {
                PeerChange::Discovered => "endpoint_discovered",
                PeerChange::Added => "peer_added",
                PeerChange::Removed(_) => "peer_removed",
                PeerChange::Lost => "peer_lost",
                PeerChange::Unreachable => "endpoint_unreachable",
            };
            let network = endpoint.network.as_ref();
            let at = network.map(|network| format!(" at {}", network.url.host()));
            format!("{what} {}{}", name(endpoint.id), at.unwrap_or_default())
        }
        Fact::DialFailed { network, .. } => {
            format!("error peer_unavailable {}", network.url.host())
        }
        Fact::UnknownPeer(endpoint) => {
            let at = endpoint.network.as_ref().map(|network| format!(" {}", network.url.host()));
            format!("error peer_invalid{}", at.unwrap_or_default())
        }
        Fact::HandshakeFailed { .. } => "log handshake-failed".to_owned(),
        Fact::Reconnected(_) => "log peer-reconnected".to_owned(),
        Fact::ByeTimedOut(_) => "log bye-timeout".to_owned(),
        Fact::PeerLost { .. } => "log peer-lost".to_owned(),
        Fact::PeerOverflowed { .. } => "log peer-overflow".to_owned(),
        Fact::DialCancelled(_) => "log peering-cancelled".to_owned(),
        Fact::Misbehaved { reason, .. } => format!("log {}", reason.name()),
    }
}
