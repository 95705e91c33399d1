use broker_proto::Failure;
use broker_proto::fact::{Fact, PeerChange};
use broker_proto::limits::FilterLimits;
use broker_proto::limits::OverlayLimits;
use broker_proto::peering::{
    Action, Close, ConnectionId, DialId, LastActivity, Opened, PeerRecord, PeerStatus,
    PeeringMachine, Settings, Time,
};
use broker_proto::wire::announcement::Announcement;
use broker_proto::wire::envelope::{Envelope, EnvelopeType};
use broker_proto::wire::frame::PREFIX;
use broker_proto::wire::handshake::Role;
use broker_proto::wire::routing_update;
use broker_proto::{Address, EndpointId};
use broker_proto::{Link, Protection};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

pub(super) const OWN: EndpointId = EndpointId::from_bytes([0x88; 16]);
const HANDSHAKE: Duration = Duration::from_secs(10);
const BYE: Duration = Duration::from_secs(3);
const LIVENESS: Duration = Duration::from_secs(5);

/// An open connection as the shell around the machine sees it.
#[derive(Debug, Default)]
struct ConnectionState {
    closing: Option<Close>,
    installed: Option<EndpointId>,
    heard: Option<Arc<LastActivity>>,
    /// The payload of the last ping.
    token: Option<Bytes>,
}

/// The machine, and everything that the endpoint keeps around it. Checks every decision.
pub(super) struct World {
    pub(super) control: PeeringMachine,
    pub(super) now: Time,
    registry: BTreeMap<EndpointId, PeerRecord>,
    conns: BTreeMap<ConnectionId, ConnectionState>,
    dialling: BTreeSet<DialId>,
    /// Requests whose outcome somebody waits for.
    wanted: BTreeSet<DialId>,
    /// What was last reported about an endpoint.
    reported: BTreeMap<EndpointId, PeerChange>,
    shut_down: bool,
    stopped: bool,
}

/// How large the filter of a peer may be.
pub(super) const FILTER: FilterLimits = FilterLimits { entries: 4, entry: 50, bytes: 100 };

impl World {
    pub(super) fn new(peers: usize) -> Self {
        let settings = Settings {
            id: OWN,
            handshake_time: HANDSHAKE,
            bye: BYE,
            liveness: LIVENESS,
            version: 2,
            role: Role::Relay,
            life: 1,
            overlay: OverlayLimits { endpoints: 20, bytes: 4096, topic: 50 },
            peers,
            filter: FILTER,
            remembered_peers: 2,
            retry_jitter: 0.5,
            retry_max: Some(Duration::from_secs(60)),
            rules: Vec::new(),
            seed: 1,
        };
        Self {
            control: PeeringMachine::new(settings),
            now: Time::ZERO,
            registry: BTreeMap::new(),
            conns: BTreeMap::new(),
            dialling: BTreeSet::new(),
            wanted: BTreeSet::new(),
            reported: BTreeMap::new(),
            shut_down: false,
            stopped: false,
        }
    }

    /// Does something to the machine, and what it decides.
    pub(super) fn tell<R>(&mut self, tell: impl FnOnce(&mut PeeringMachine, Time) -> R) -> R {
        let result = tell(&mut self.control, self.now);
        self.perform();
        result
    }

    pub(super) fn conns(&self) -> Vec<ConnectionId> {
        self.conns.keys().copied().collect()
    }

    pub(super) fn dialling(&self) -> Vec<DialId> {
        self.dialling.iter().copied().collect()
    }

    /// Checks that the machine knows the connections that there are, and no others.
    pub(super) fn check(&self) {
        assert_eq!(self.control.connections(), self.conns.len());
    }

    pub(super) fn token(&self, conn: ConnectionId) -> Option<Bytes> {
        self.conns.get(&conn)?.token.clone()
    }

    /// Something arrives from a peer.
    pub(super) fn heard(&mut self, conn: ConnectionId) {
        if let Some(heard) = self.conns.get(&conn).and_then(|conn| conn.heard.as_ref()) {
            heard.note(self.now);
        }
    }

    pub(super) fn accepted(&mut self, from: u8) {
        let link = link(from);
        // The handshake of the transport has taken some of the time.
        let began = self.now.saturating_sub(Duration::from_millis(from.into()));
        match self.control.opened(Opened::Accepted { began }, link, self.now) {
            Some(id) => self.opened(id),
            None => assert!(self.shut_down),
        }
        self.perform();
    }

    pub(super) fn dialled(&mut self, dial: DialId, to: u8) {
        assert!(self.dialling.remove(&dial));
        match self.control.opened(Opened::Dialled(dial), link(to), self.now) {
            Some(id) => self.opened(id),
            None => assert!(self.shut_down, "{dial:?} was asked for and is not wanted"),
        }
        self.perform();
    }

    fn opened(&mut self, id: ConnectionId) {
        let known = self.conns.insert(id, ConnectionState::default());
        assert!(known.is_none(), "{id} was there before");
    }

    pub(super) fn dial_failed(&mut self, dial: DialId) {
        assert!(self.dialling.remove(&dial));
        self.tell(|control, now| control.dial_failed(dial, Failure::EmptyFrame, now));
    }

    pub(super) fn peer(&mut self, url: Address, retry: Option<Duration>) {
        let dial = self.control.peer(url, retry, self.now);
        self.wanted.insert(dial);
        self.perform();
    }

    pub(super) fn closed(&mut self, id: ConnectionId, failure: Failure) {
        self.tell(|control, now| control.closed(id, failure, now));
        let conn = self.conns.remove(&id);
        let installed = conn.and_then(|conn| conn.installed);
        assert!(installed.is_none(), "{id} is gone and {installed:?} is still routed to");
    }

    pub(super) fn tick(&mut self, time: Duration) {
        self.now += time;
        self.tell(PeeringMachine::tick);
        assert!(self.control.next_deadline().is_none_or(|next| next > self.now));
    }

    pub(super) fn shut_down(&mut self) {
        self.shut_down = true;
        self.tell(PeeringMachine::shut_down);
    }

    fn perform(&mut self) {
        while let Some(action) = self.control.next_action() {
            // After the end there are answers, and connections that are still closing.
            let harmless = match &action {
                Action::Report(fact) => !matches!(fact, Fact::Peer { .. }),
                Action::Resolve { .. } | Action::Close { .. } => true,
                Action::PeerChanged { .. } | Action::DialChanged { .. } => true,
                _ => false,
            };
            assert!(!self.stopped || harmless, "{action:?} after the end");
            self.act(action);
        }
        self.control.check();
    }

    fn conn(&mut self, id: ConnectionId) -> &mut ConnectionState {
        assert!(self.conns.contains_key(&id), "{id} is not open");
        self.conns.entry(id).or_default()
    }

    fn conn_of(&self, peer: EndpointId) -> Option<ConnectionId> {
        let mut installed = self.conns.iter().filter(|(_, conn)| conn.installed == Some(peer));
        installed.next().map(|(id, _)| *id)
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Dial { dial, .. } => {
                assert!(!self.shut_down, "dials during the end");
                assert!(self.dialling.insert(dial), "{dial:?} is being dialled already");
            }
            Action::AbandonDial { dial } => assert!(self.dialling.remove(&dial)),
            Action::Send { conn, frame } => self.send(conn, &frame),
            Action::Close { conn, how } => {
                let conn = self.conn(conn);
                if conn.closing != Some(Close::Now) {
                    conn.closing = Some(how);
                }
            }
            Action::Install { conn, peer, heard, .. } => {
                assert!(!peer.is_nil() && peer != OWN && !self.shut_down);
                assert_eq!(self.conn_of(peer), None, "{peer} is installed already");
                let conn = self.conn(conn);
                assert!(conn.closing.is_none() && conn.installed.is_none());
                (conn.installed, conn.heard) = (Some(peer), Some(heard));
            }
            Action::Uninstall { peer } => {
                let conn = self.conn_of(peer);
                assert!(conn.is_some(), "{peer} is not installed");
                if let Some(conn) = conn.and_then(|id| self.conns.get_mut(&id)) {
                    conn.installed = None;
                }
            }
            Action::Announce { conn, frame } => {
                assert!(self.conn(conn).installed.is_some());
                let frame = frame.to_vec();
                let envelope = Envelope::decode(frame.get(PREFIX..).unwrap_or_default());
                let is_understood = envelope.is_ok_and(|envelope| match envelope.kind {
                    EnvelopeType::Announcement => Announcement::decode(envelope.payload).is_ok(),
                    _ => routing_update::decode(envelope.payload, FILTER).is_ok(),
                });
                assert!(is_understood, "announces what peers refuse");
            }
            Action::SetFilter { conn, peer, filter } => {
                assert!(self.conn_of(peer) == Some(conn) && filter.len() <= 4);
            }
            Action::ChangeOverlay(_) => {}
            Action::PeerChanged { peer, record } => {
                match record {
                    Some(record) => self.registry.insert(peer, *record),
                    None => self.registry.remove(&peer),
                };
            }
            Action::DialChanged { .. } => {}
            Action::Report(fact) => self.report(&fact),
            Action::Resolve { dial, outcome } => {
                self.wanted.remove(&dial);
                if let Ok(peer) = outcome {
                    let status = self.registry.get(&peer).map(|record| record.status);
                    assert_eq!(status, Some(PeerStatus::Peered));
                }
            }
            Action::Stopped => self.stopped = true,
        }
    }

    fn send(&mut self, id: ConnectionId, frame: &[u8]) {
        let payload = frame.get(PREFIX..).unwrap_or_default();
        assert_eq!(
            frame.first_chunk().copied().map(u32::from_be_bytes),
            Some(payload.len() as u32)
        );
        let conn = self.conn(id);
        if let Ok(envelope) = Envelope::decode(payload)
            && envelope.kind == EnvelopeType::Ping
        {
            assert_eq!((envelope.sender, Some(envelope.receiver)), (OWN, conn.installed));
            conn.token = Some(Bytes::copy_from_slice(envelope.payload));
        }
    }

    /// Whatever is reported about an endpoint comes in pairs that open and close.
    fn report(&mut self, fact: &Fact) {
        use PeerChange as P;
        let Fact::Peer { change, endpoint, .. } = fact else { return };
        let last = self.reported.insert(endpoint.id, *change);
        let expected = match change {
            P::Discovered => matches!(last, None | Some(P::Unreachable)),
            P::Added => last == Some(P::Discovered),
            P::Lost | P::Removed(_) => last == Some(P::Added),
            P::Unreachable => matches!(last, Some(P::Lost | P::Removed(_))),
        };
        assert!(expected, "{change:?} after {last:?}");
    }

    /// Reports the end of every connection that was told to end, until no more are.
    fn close_what_is_closing(&mut self) {
        loop {
            let closing = self.conns.iter().find(|(_, conn)| conn.closing.is_some());
            let Some(id) = closing.map(|(id, _)| *id) else { return };
            self.closed(id, Failure::Cancelled);
        }
    }

    /// Lets everything come to rest, and then to its end.
    pub(super) fn finish(mut self) {
        self.close_what_is_closing();
        for dial in self.dialling() {
            self.dial_failed(dial);
        }
        if !self.stopped {
            self.tick(HANDSHAKE);
        }
        self.close_what_is_closing();
        let open = self.conns.iter().filter(|(_, conn)| conn.installed.is_none());
        assert_eq!(open.count(), 0, "a connection outlived its handshake");
        if !self.shut_down {
            self.shut_down();
        }
        self.close_what_is_closing();
        if !self.stopped {
            self.tick(BYE);
            self.close_what_is_closing();
        }
        assert!(self.stopped && self.conns.is_empty() && self.dialling.is_empty());
        assert!(self.wanted.is_empty(), "nobody answered {:?}", self.wanted);
        let open = self.reported.values().filter(|code| **code != PeerChange::Unreachable);
        assert_eq!(open.count(), 0, "{:?}", self.reported);
    }
}

fn link(number: u8) -> Link {
    Link { remote: url(number), protection: Protection::InProcess }
}

/// One of few addresses.
pub(super) fn url(number: u8) -> Address {
    Address::new("mem", "host", u16::from(number % 4))
}
