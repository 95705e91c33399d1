//! The machine that decides about connections: whom to dial, whom to admit, what to announce, when
//! to give up. It is told what happens and answers with [`Action`]s.

mod admission;
#[cfg(any(test, feature = "sim"))]
mod census;
#[cfg(any(test, feature = "fuzzing", feature = "sim"))]
mod check;
mod connections;
mod dials;
mod liveness;
mod peerings;
#[cfg(test)]
mod tests;

use super::bye::Bye;
use super::handshake::Handshake;
use super::timers::Timers;
use super::{ConnId, Failure, Heard, PeerRegistry, Time};
use crate::event::{Event, LogEvent, Severity};
use crate::routing::LocalFilter;
use crate::transport::Link;
use crate::wire::routing_update::FilterLimits;
use crate::{EndpointId, Url};
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

#[cfg(any(test, feature = "sim"))]
pub(crate) use census::Census;
pub(crate) use peerings::Unpeer;

/// A request to be peered with an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct DialId(pub(crate) u64);

/// What the machine has to know from the configuration.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) id: EndpointId,
    pub(crate) handshake_time: Duration,
    pub(crate) bye: Duration,
    /// How long a peer may have been silent before its place is questioned.
    pub(crate) liveness: Duration,
    pub(crate) peers: usize,
    pub(crate) filter: FilterLimits,
    pub(crate) remembered_peers: usize,
    /// By which fraction at most a retry comes later than asked for.
    pub(crate) retry_jitter: f64,
    /// Where doubling the time between retries ends; without it the time stays the same.
    pub(crate) retry_max: Option<Duration>,
    pub(crate) seed: u64,
}

/// How a connection is to be ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Close {
    /// After what was sent on it.
    Flush,
    /// At once.
    Now,
}

/// What has to be done because of what the machine was told.
#[derive(Debug)]
pub(crate) enum Action {
    /// Open a connection, and report with [`Control::dialled`] or [`Control::dial_failed`].
    Dial { dial: DialId, url: Url },
    /// Stop opening a connection.
    AbandonDial { dial: DialId },
    /// Send a frame that must not be dropped.
    Send { conn: ConnId, frame: Vec<u8> },
    /// End a connection, and report with [`Control::closed`].
    Close { conn: ConnId, how: Close },
    /// Let messages flow.
    Install { conn: ConnId, peer: EndpointId, filter: Vec<Bytes>, heard: Arc<Heard> },
    /// Let no more messages flow.
    Uninstall { peer: EndpointId },
    /// Route by this filter from now on.
    SetFilter { peer: EndpointId, filter: Vec<Bytes> },
    /// Tell everyone who listens.
    Emit(Event),
    /// A request is decided.
    Resolve { dial: DialId, outcome: Result<EndpointId, Failure> },
    /// Everything has been wound up.
    Stopped,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Handshake(ConnId),
    Bye(ConnId),
    Liveness(ConnId),
    Retry(DialId),
    Shutdown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    Dialled(DialId),
    Accepted,
}

#[derive(Debug)]
struct Conn {
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
    both_ends: bool,
}

#[derive(Debug)]
struct Peering {
    peer: EndpointId,
    /// The request that keeps this peering alive.
    dial: Option<DialId>,
    /// Set once this side wants it to end.
    removal: Option<Removal>,
    /// Set while the peer has not acknowledged that.
    bye: Option<(Bye, Time)>,
    heard: Arc<Heard>,
    /// When the peer was asked for a sign of life, and until when it has time for one.
    check: Option<(Time, Time)>,
    /// Why this side takes the peer for lost.
    cut: Option<Failure>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Removal {
    Unpeer,
    Overflow,
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
    fulfilled: bool,
    /// Asked for again while the peering was being removed.
    again: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DialState {
    Connecting,
    Shaking(ConnId),
    /// Redundant to another handshake with this peer, whose outcome is open, or to a peering that
    /// is being removed.
    Awaiting(EndpointId),
    /// Until the next attempt.
    Waiting(Time),
    Attached(ConnId),
}

/// Handshakes with one peer.
#[derive(Debug)]
struct Pending {
    owner: ConnId,
    paused: Vec<ConnId>,
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
pub(crate) struct OpenDial {
    pub(crate) url: Url,
    pub(crate) retry: Option<Duration>,
    pub(crate) since: Time,
    pub(crate) failures: u32,
    pub(crate) last_error: Option<Failure>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Control {
    settings: Settings,
    registry: Arc<PeerRegistry>,
    filter: LocalFilter,
    conns: BTreeMap<ConnId, Conn>,
    dials: BTreeMap<DialId, Dial>,
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

impl Control {
    pub(crate) fn new(settings: Settings, registry: Arc<PeerRegistry>) -> Self {
        let random = fastrand::Rng::with_seed(settings.seed);
        Self {
            settings,
            registry,
            filter: LocalFilter::default(),
            conns: BTreeMap::new(),
            dials: BTreeMap::new(),
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
    pub(crate) fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Self::tick`] has something to do, if nothing else happens before.
    pub(crate) fn next_deadline(&self) -> Option<Time> {
        self.timers.next()
    }

    /// Does what is due.
    pub(crate) fn tick(&mut self, now: Time) {
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

    fn log(&mut self, level: Severity, id: &'static str, description: String) {
        let event = LogEvent { level, id, description, reason: None };
        self.act(Action::Emit(Event::Log(event)));
    }

    fn log_failure(
        &mut self,
        level: Severity,
        id: &'static str,
        who: impl fmt::Display,
        failure: &Failure,
    ) {
        let description = format!("{who}: {failure}");
        let event = LogEvent { level, id, description, reason: Some(failure.name()) };
        self.act(Action::Emit(Event::Log(event)));
    }

    /// Connections of any stage; for tests.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn connections(&self) -> usize {
        self.conns.len()
    }
}
