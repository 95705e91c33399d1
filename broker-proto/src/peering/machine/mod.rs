//! The machine that decides about connections: whom to dial, whom to admit, what to announce, when
//! to give up. It is told what happens and answers with [`Action`]s.

mod admission;
mod census;
mod check;
mod connections;
mod dials;
mod liveness;
mod peerings;
#[cfg(test)]
mod tests;

use super::bye::Bye;
use super::handshake::Handshake;
use super::local_filter::LocalFilter;
use super::registry::{PeerRecord, Peers};
use super::timers::Timers;
use super::tracked::Tracked;
use super::{ConnectionId, Failure, LastActivity, Time};
use crate::Link;
use crate::fact::{Fact, RemovalCause};
use crate::limits::FilterLimits;
use crate::{EndpointId, Url};
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

pub use census::Census;
pub use peerings::Unpeer;

/// A request to be peered with an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DialId(pub u64);

/// What the machine has to know from the configuration.
#[derive(Debug, Clone)]
pub struct Settings {
    pub id: EndpointId,
    pub handshake_time: Duration,
    pub bye: Duration,
    /// How long a peer may have been silent before its place is questioned.
    pub liveness: Duration,
    pub peers: usize,
    pub filter: FilterLimits,
    pub remembered_peers: usize,
    /// By which fraction at most a retry comes later than asked for.
    pub retry_jitter: f64,
    /// Where doubling the time between retries ends; without it the time stays the same.
    pub retry_max: Option<Duration>,
    pub seed: u64,
}

/// How a connection is to be ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Close {
    /// After what was sent on it.
    Flush,
    /// At once.
    Now,
}

/// What has to be done because of what the machine was told.
#[derive(Debug)]
pub enum Action {
    /// Open a connection, and report with [`PeeringMachine::dialled`] or [`PeeringMachine::dial_failed`].
    Dial { dial: DialId, url: Url },
    /// Stop opening a connection.
    AbandonDial { dial: DialId },
    /// Send a frame that must not be dropped.
    Send { conn: ConnectionId, frame: Vec<u8> },
    /// End a connection, and report with [`PeeringMachine::closed`].
    Close { conn: ConnectionId, how: Close },
    /// Let messages flow.
    Install { conn: ConnectionId, peer: EndpointId, filter: Vec<Bytes>, heard: Arc<LastActivity> },
    /// Let no more messages flow.
    Uninstall { peer: EndpointId },
    /// Route by this filter from now on.
    SetFilter { peer: EndpointId, filter: Vec<Bytes> },
    /// What is known about a peer has changed; without a record it is known no longer.
    PeerChanged { peer: EndpointId, record: Option<Box<PeerRecord>> },
    /// What is known about a request without a peering has changed; `None` if it has one now, or
    /// is over.
    DialChanged { dial: DialId, open: Option<Box<PendingDial>> },
    /// Tell everyone who listens.
    Report(Fact),
    /// A request is decided.
    Resolve { dial: DialId, outcome: Result<EndpointId, Failure> },
    /// Everything has been wound up.
    Stopped,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Handshake(ConnectionId),
    Bye(ConnectionId),
    Liveness(ConnectionId),
    Retry(DialId),
    Shutdown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    Dialled(DialId),
    Accepted,
}

#[derive(Debug)]
struct ConnectionState {
    origin: Origin,
    link: Link,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Shaking(Shaking),
    Peered(Peering),
    /// Being closed; nothing that happens on it matters any more.
    Over,
}

#[derive(Debug)]
struct Shaking {
    handshake: Handshake,
    deadline: Time,
    /// The filter that has been announced on this connection.
    announced: u64,
    /// The peer, as soon as it is admitted or told to wait.
    peer: Option<EndpointId>,
    /// Whether the other end of the connection is one of this endpoint's as well.
    is_self_connection: bool,
}

#[derive(Debug)]
struct Peering {
    peer: EndpointId,
    /// The request that keeps this peering alive.
    dial: Option<DialId>,
    /// Set once this side wants it to end.
    removal: Option<RemovalCause>,
    /// Set while the peer has not acknowledged that.
    bye: Option<(Bye, Time)>,
    heard: Arc<LastActivity>,
    /// When the peer was asked for a sign of life, and until when it has time for one.
    check: Option<(Time, Time)>,
    /// Why this side takes the peer for lost.
    cut: Option<Failure>,
}

#[derive(Debug)]
struct Dial {
    url: Url,
    retry: Option<Duration>,
    state: DialState,
    /// Failed attempts in a row.
    failures: u32,
    last_error: Option<Failure>,
    since: Time,
    /// Whether there has been a peering because of it.
    has_been_peered: bool,
    /// Asked for again while the peering was being removed.
    redial_after_removal: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DialState {
    Connecting,
    Shaking(ConnectionId),
    /// Redundant to another handshake with this peer, whose outcome is open, or to a peering that
    /// is being removed.
    Awaiting(EndpointId),
    /// Until the next attempt.
    Waiting(Time),
    Attached(ConnectionId),
}

/// Handshakes with one peer.
#[derive(Debug)]
struct Pending {
    owner: ConnectionId,
    paused: Vec<ConnectionId>,
    /// What was known about the peer before, and is again if none of them gets through.
    former: Option<PeerRecord>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    /// Until this time at the latest.
    ShuttingDown(Time),
    Stopped,
}

/// A request that has no peering, for the list of peers.
#[derive(Debug, Clone)]
pub struct PendingDial {
    pub url: Url,
    pub retry: Option<Duration>,
    pub since: Time,
    pub failures: u32,
    pub last_error: Option<Failure>,
}

/// See the module.
#[derive(Debug)]
pub struct PeeringMachine {
    settings: Settings,
    registry: Peers,
    filter: LocalFilter,
    conns: BTreeMap<ConnectionId, ConnectionState>,
    dials: Tracked<DialId, Dial>,
    pending: HashMap<EndpointId, Pending>,
    /// How many connections are peered.
    peered: usize,
    timers: Timers<Timer>,
    actions: VecDeque<Action>,
    phase: Phase,
    last_conn: u64,
    last_dial: u64,
    last_bye: u64,
    random: fastrand::Rng,
}

impl PeeringMachine {
    pub fn new(settings: Settings) -> Self {
        let random = fastrand::Rng::with_seed(settings.seed);
        Self {
            settings,
            registry: Peers::default(),
            filter: LocalFilter::default(),
            conns: BTreeMap::new(),
            dials: Tracked::default(),
            pending: HashMap::new(),
            peered: 0,
            timers: Timers::default(),
            actions: VecDeque::new(),
            phase: Phase::Running,
            last_conn: 0,
            last_dial: 0,
            last_bye: 0,
            random,
        }
    }

    /// The next thing to do. To be called until there is nothing left, after every other call.
    ///
    /// Changes of the records of peers and requests come first, so that whoever is told of anything else finds
    /// them as they are.
    pub fn next_action(&mut self) -> Option<Action> {
        if let Some((peer, record)) = self.registry.next_change() {
            let record = record.map(|record| Box::new(record.clone()));
            return Some(Action::PeerChanged { peer, record });
        }
        if let Some((dial, entry)) = self.dials.next_change() {
            let open = entry.and_then(Dial::open).map(Box::new);
            return Some(Action::DialChanged { dial, open });
        }
        self.actions.pop_front()
    }

    /// When [`Self::tick`] has something to do, if nothing else happens before.
    pub fn next_deadline(&self) -> Option<Time> {
        self.timers.next()
    }

    /// Does what is due.
    pub fn tick(&mut self, now: Time) {
        while let Some(timer) = self.timers.pop(now) {
            match timer {
                Timer::Handshake(conn) => self.handshake_timed_out(conn, now),
                Timer::Bye(conn) => self.bye_timed_out(conn),
                Timer::Liveness(conn) => self.liveness_checked(conn, now),
                Timer::Retry(dial) => self.start_dial(dial, now),
                Timer::Shutdown => self.force_shutdown(),
            }
        }
    }

    fn act(&mut self, action: Action) {
        self.actions.push_back(action);
    }

    fn report(&mut self, fact: Fact) {
        self.act(Action::Report(fact));
    }

    /// Connections of any stage; for tests.
    pub fn connections(&self) -> usize {
        self.conns.len()
    }
}
