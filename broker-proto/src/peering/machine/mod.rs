//! The machine that decides about connections: whom to dial, whom to admit, what to announce, when
//! to give up. It is told what happens and answers with [`Action`]s.

mod admission;
mod census;
mod check;
mod connections;
mod dials;
mod liveness;
mod peerings;
mod relaying;
#[cfg(test)]
mod tests;

use super::bye::Bye;
use super::crowd::Crowd;
use super::handshake::{Dialect, Handshake};
use super::local_filter::LocalFilter;
use super::pace::Pace;
use super::registry::{PeerRecord, Peers};
use super::timers::Timers;
use super::tracked::Tracked;
use super::{ConnectionId, LastActivity, Time};
use crate::Failure;
use crate::Link;
use crate::fact::{Fact, RemovalCause};
use crate::limits::{FilterLimits, OverlayLimits};
use crate::overlay::{Overlay, OverlayChange};
use crate::wire::envelope::SharedFrame;
use crate::wire::handshake::Role;
use crate::{Address, EndpointId, PeerRule, Rights, SourceAddress};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
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
    /// The id of the endpoint.
    pub id: EndpointId,
    /// How long a connection may take until it is peered.
    pub handshake_time: Duration,
    /// How long a peer may take to acknowledge the end of a peering.
    pub bye: Duration,
    /// How long a peer may have been silent before its place is questioned.
    pub liveness: Duration,
    /// The highest version of the protocol that it speaks.
    pub version: u8,
    /// What it does with the messages of others.
    pub role: Role,
    /// Tells this life of the endpoint from earlier ones with the same id, which have smaller
    /// numbers.
    pub life: u64,
    /// How much may be known of the overlay.
    pub overlay: OverlayLimits,
    /// The most peers.
    pub peers: usize,
    /// How large the filter of a peer may be.
    pub filter: FilterLimits,
    /// The most peers that are remembered after their peerings have ended.
    pub remembered_peers: usize,
    /// By which fraction at most a retry comes later than asked for.
    pub retry_jitter: f64,
    /// Where doubling the time between retries ends; without it the time stays the same.
    pub retry_max: Option<Duration>,
    /// What peers may do; without rules everything.
    pub rules: Vec<PeerRule>,
    /// Where the random part of the time between attempts starts.
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
#[allow(missing_docs, reason = "the fields are what their types say")]
pub enum Action {
    /// Open a connection, and report with [`PeeringMachine::opened`] or
    /// [`PeeringMachine::dial_failed`].
    Dial { dial: DialId, url: Address },
    /// Stop opening a connection.
    AbandonDial { dial: DialId },
    /// Send a frame that must not be dropped.
    Send { conn: ConnectionId, frame: Vec<u8> },
    /// Send a routing update, in place of one that has not been sent yet, or an announcement, of
    /// which there is one at a time.
    Announce { conn: ConnectionId, frame: SharedFrame },
    /// End a connection, and report with [`PeeringMachine::closed`].
    Close { conn: ConnectionId, how: Close },
    /// Let messages flow.
    Install {
        conn: ConnectionId,
        peer: EndpointId,
        dialect: Dialect,
        rights: Arc<Rights>,
        filter: Vec<Bytes>,
        heard: Arc<LastActivity>,
    },
    /// Let no more messages flow.
    Uninstall { peer: EndpointId },
    /// Route by this filter from now on.
    SetFilter { conn: ConnectionId, peer: EndpointId, filter: Vec<Bytes> },
    /// Route by what is known of the overlay now.
    ChangeOverlay(OverlayChange),
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
    /// What peers are told may change.
    Announce,
    /// What has been heard of the overlay may take effect.
    News,
    /// Somebody has been unreachable for long.
    Forget,
    /// What the peer wants may change.
    Filter(ConnectionId),
    /// Paused handshakes with this peer may go on.
    Paused(EndpointId),
    Shutdown,
}

/// How a connection came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opened {
    /// A listener has accepted it; its time for the handshake began then.
    Accepted {
        /// When.
        began: Time,
    },
    /// It was asked for with [`Action::Dial`].
    Dialled(DialId),
}

#[derive(Debug)]
struct ConnectionState {
    opened: Opened,
    link: Link,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Shaking(Shaking),
    Peered(Box<Peering>),
    /// Being closed; nothing that happens on it matters any more.
    Over,
}

#[derive(Debug)]
struct Shaking {
    handshake: Handshake,
    deadline: Time,
    /// The filter that has been announced on this connection.
    announced: Told,
    /// The peer, as soon as it is admitted or told to wait.
    peer: Option<EndpointId>,
    /// Whether the other end of the connection is one of this endpoint's as well.
    is_self_connection: bool,
}

/// A filter that a peer has been told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Told {
    generation: u64,
    /// A new generation may be the same for this peer.
    fingerprint: u64,
}

#[derive(Debug)]
struct Peering {
    peer: EndpointId,
    dialect: Dialect,
    rights: Arc<Rights>,
    /// Whether it has been said that it wants what it may not have.
    told_rights: bool,
    /// What it wants, as others are told.
    claimed: Vec<Bytes>,
    /// Where it comes from, if it was accepted.
    origin: Option<SourceAddress>,
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
    /// The filter that it has been told.
    announced: Told,
    /// How often its own filter may change, and the one that waits for that.
    pace: Pace,
    next_filter: Option<Vec<Bytes>>,
}

#[derive(Debug)]
struct Dial {
    url: Address,
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
    /// Those that go on, the first of which the record of the peer is about. There are several only
    /// if all of them were accepted: whoever says hello and nothing more, in whatever name, must
    /// not keep the others out.
    active: Vec<ConnectionId>,
    /// Those that wait for what becomes of them.
    paused: Vec<ConnectionId>,
    /// Since when there has been one.
    since: Time,
    /// When accepted connections that are paused go on beside the others, if there are any.
    due: Option<Time>,
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
    /// The address.
    pub url: Address,
    /// The time between attempts; without one there is a single attempt.
    pub retry: Option<Duration>,
    /// When it was asked for, or when its last peering ended.
    pub since: Time,
    /// Failed attempts in a row.
    pub failures: u32,
    /// Why the last attempt failed.
    pub last_error: Option<Failure>,
}

/// All decisions about the connections of one endpoint: whom to dial, whom to admit, what to
/// announce, when to give up.
///
/// The machine does nothing itself: it opens no connection, sends no byte and reads no clock. It is
/// told what happens, with the time at which it happens, and answers with what has to be done. Its
/// methods are of four kinds:
///
/// 1. *What a user wants*: [`peer`](Self::peer), [`unpeer`](Self::unpeer) and
///    [`unpeer_id`](Self::unpeer_id), [`subscribe`](Self::subscribe) and
///    [`unsubscribe`](Self::unsubscribe), [`shut_down`](Self::shut_down).
/// 2. *What happens to connections*: [`opened`](Self::opened) or
///    [`dial_failed`](Self::dial_failed) at their begin, [`handshake_frame`](Self::handshake_frame)
///    until the connection is installed, then [`routing_update`](Self::routing_update),
///    [`pong`](Self::pong), [`overflow`](Self::overflow) and
///    [`control_overflow`](Self::control_overflow), and [`closed`](Self::closed) once at the end,
///    whoever ended it.
/// 3. *Time*: [`next_deadline`](Self::next_deadline) says when [`tick`](Self::tick) has to be
///    called at the latest. Calling it earlier does no harm.
/// 4. *Questions*, which change nothing: [`is_fresh`](Self::is_fresh),
///    [`is_outbound`](Self::is_outbound), [`announced`](Self::announced),
///    [`announcement_due`](Self::announcement_due).
///
/// After every call of the first three kinds [`next_action`](Self::next_action) has to be called
/// until it returns nothing, and the actions have to be performed in their order; the deadline may
/// have changed then. Performing an action may lead to further calls (a queue that overflows, a
/// connection that cannot be opened), whose actions come behind those that are still there. Times
/// are durations since one fixed moment and never go back.
///
/// Whoever drives it has to see to three things: every [`Action::Dial`] is answered by `opened` or
/// `dial_failed`, unless [`Action::AbandonDial`] came first; every connection that the machine has
/// taken is reported as `closed` in the end; and nothing is reported about it afterwards.
#[derive(Debug)]
pub struct PeeringMachine {
    settings: Settings,
    registry: Peers,
    filter: LocalFilter,
    /// How often peers are told another filter.
    pace: Pace,
    /// What is known of endpoints behind peers.
    overlay: Overlay,
    /// How often news of it take effect.
    news: Pace,
    /// When somebody is to be forgotten.
    forget_at: Option<Time>,
    /// What most peers are told, and its generation.
    union: Option<(u64, Bytes)>,
    /// Endpoints that have been reported as reachable.
    discovered: BTreeSet<EndpointId>,
    conns: BTreeMap<ConnectionId, ConnectionState>,
    dials: Tracked<DialId, Dial>,
    pending: HashMap<EndpointId, Pending>,
    /// How many connections are peered.
    peered: usize,
    /// Where those come from that were accepted.
    crowd: Crowd,
    timers: Timers<Timer>,
    actions: VecDeque<Action>,
    phase: Phase,
    last_conn: u64,
    last_dial: u64,
    last_bye: u64,
    random: fastrand::Rng,
}

impl PeeringMachine {
    /// A machine that knows nobody.
    pub fn new(settings: Settings) -> Self {
        let random = fastrand::Rng::with_seed(settings.seed);
        let crowd = Crowd::new(settings.peers);
        Self {
            registry: Peers::default(),
            filter: LocalFilter::new(settings.filter),
            overlay: Overlay::new(settings.id, settings.life, settings.overlay),
            news: Pace::own(),
            forget_at: None,
            union: None,
            discovered: BTreeSet::new(),
            settings,
            pace: Pace::own(),
            conns: BTreeMap::new(),
            dials: Tracked::default(),
            pending: HashMap::new(),
            peered: 0,
            crowd,
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
    /// Changes of the records of peers and requests come first, so that whoever is told of anything
    /// else finds them as they are.
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
                Timer::Announce => self.broadcast(now),
                Timer::News => self.news_due(now),
                Timer::Forget => self.forget_unreachable(now),
                Timer::Filter(conn) => self.filter_due(conn, now),
                Timer::Paused(peer) => self.resume_rivals(peer, now),
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
