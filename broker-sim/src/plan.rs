use broker_proto::OverflowPolicy;
use broker_proto::limits::Limits;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::time::Duration;

/// Which endpoints belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Everyone with everyone, and nobody passes anything on.
    Mesh,
    /// One path between any two, and messages are passed on.
    Tree,
    /// A circle in which messages are passed on until they run out of hops.
    Ring,
    /// Any paths between relays of version 2, and leaves of both versions at one or more of them.
    Overlay,
}

/// What an endpoint is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) version: u8,
    pub(super) forwarding: bool,
}

/// What can go wrong, or be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mischief {
    Peer,
    PeerOnce,
    Unpeer,
    UnpeerId,
    ChangeMind,
    Subscribe,
    Unsubscribe,
    PeerSelf,
    Cut,
    CutOneSide,
    BlackHole,
    Hold,
    PauseReader,
    SlowReader,
    Freeze,
    JumpClock,
    Crash,
    Vanish,
    Shutdown,
    RefuseDials,
}

impl Mischief {
    /// All of them, with how often they come up.
    pub(super) const ALL: [(Self, u32); 20] = [
        (Self::Peer, 20),
        (Self::PeerOnce, 6),
        (Self::Unpeer, 8),
        (Self::UnpeerId, 4),
        (Self::PeerSelf, 1),
        (Self::ChangeMind, 4),
        (Self::Subscribe, 12),
        (Self::Unsubscribe, 8),
        (Self::Cut, 12),
        (Self::CutOneSide, 6),
        (Self::BlackHole, 3),
        (Self::Hold, 6),
        (Self::PauseReader, 6),
        (Self::SlowReader, 4),
        (Self::Freeze, 3),
        (Self::JumpClock, 1),
        (Self::Crash, 3),
        (Self::Vanish, 3),
        (Self::Shutdown, 3),
        (Self::RefuseDials, 3),
    ];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Peer => "peer, with retries",
            Self::PeerOnce => "peer, once",
            Self::Unpeer => "unpeer, by address",
            Self::UnpeerId => "unpeer, by id",
            Self::PeerSelf => "peer with itself",
            Self::ChangeMind => "peer and unpeer at once",
            Self::Subscribe => "subscribe",
            Self::Unsubscribe => "unsubscribe",
            Self::Cut => "connection cut",
            Self::CutOneSide => "connection cut at one end",
            Self::BlackHole => "connection swallows everything",
            Self::Hold => "connection stands still",
            Self::PauseReader => "reader stops",
            Self::SlowReader => "reader is slow",
            Self::Freeze => "process sleeps",
            Self::JumpClock => "clock jumps",
            Self::Crash => "process killed",
            Self::Vanish => "machine vanishes",
            Self::Shutdown => "shutdown",
            Self::RefuseDials => "dials refused",
        }
    }
}

/// What a seed stands for. Every run leaves something out, so that rare things meet often in some.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) nodes: usize,
    pub(super) shape: Shape,
    /// Who asks whom for a peering at the start.
    pub(super) edges: Vec<(usize, usize)>,
    /// What the endpoints are, in their order.
    pub(super) kinds: Vec<Kind>,
    pub(super) policy: OverflowPolicy,
    pub(super) limits: Limits,
    /// The time between attempts, in milliseconds.
    pub(super) retry: Range<u64>,
    pub(super) retry_max: Option<Duration>,
    pub(super) mischief: Vec<(Mischief, u32)>,
    /// The mean time between two acts of mischief, in microseconds.
    pub(super) pace: u64,
    /// The mean time between two publications, in microseconds.
    pub(super) traffic: u64,
    /// How many messages come at once.
    pub(super) burst: Range<u64>,
    /// Out of a hundred messages so many are large.
    pub(super) large: u8,
    /// How long bytes are under way, in microseconds.
    pub(super) delay: Range<u64>,
    /// Bytes that a connection holds in one direction.
    pub(super) capacity: usize,
    /// How long mischief is done.
    pub(super) duration: Duration,
    /// When the operating system notices that the other side has vanished, if it ever does.
    pub(super) keepalive: Option<Duration>,
    /// Whether mischief prefers moments in which a handshake is under way.
    pub(super) worst_moment: bool,
}

impl Plan {
    pub(super) fn new(random: &mut fastrand::Rng) -> Self {
        use OverflowPolicy as P;
        use Shape as S;
        let shape = [S::Mesh, S::Tree, S::Ring, S::Overlay, S::Overlay, S::Overlay];
        let shape = shape[random.usize(..shape.len())];
        let nodes = match shape {
            Shape::Ring => random.usize(3..5),
            Shape::Overlay => random.usize(2..9),
            _ => random.usize(2..6),
        };
        let policies = [P::Disconnect, P::DropNewest, P::DropOldest, P::DropOldest, P::Wait];
        // Slow connections have to be large, or nothing would ever get through.
        let (delay, capacity) = match random.u8(..5) {
            0 => (1..2, 9..17),
            1 => (1..500, 9..17),
            2 => (1..20_000, 12..17),
            3 => (1_000..200_000, 16..19),
            _ => (1..1_500_000, 18..20),
        };
        let ring = shape == Shape::Ring;
        let limits = limits(random, delay.end);
        // Whoever is not let in would be back at once, again and again.
        let patient = limits.peers.get() < nodes || random.bool();
        let kinds = kinds(shape, nodes, random);
        Self {
            nodes,
            shape,
            edges: edges(shape, &kinds, random),
            kinds,
            policy: policies[random.usize(..policies.len())],
            limits,
            retry: if patient { 2_000..8_000 } else { 100..1_000 },
            retry_max: random.bool().then(|| Duration::from_secs(10)),
            mischief: mischief(random),
            pace: 1 << random.u64(14..20),
            traffic: if ring { 2_000_000 } else { 1 << random.u64(16..21) },
            burst: if ring { 1..3 } else { 1..(2 << random.u64(0..5)) },
            large: random.u8(0..20),
            delay,
            capacity: 1 << random.u32(capacity),
            duration: Duration::from_secs(random.u64(5..40)),
            keepalive: random.bool().then(|| Duration::from_secs(45)),
            worst_moment: random.bool(),
        }
    }
}

fn number(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).unwrap_or(NonZeroUsize::MIN)
}

/// Small bounds, so that they are met.
fn limits(random: &mut fastrand::Rng, delay: u64) -> Limits {
    let delay = Duration::from_micros(delay);
    let mut seconds = |range| Duration::from_secs(random.u64(range));
    Limits {
        // Six messages one after the other make a handshake, and two a bye or a sign of life.
        handshake_time: 6 * delay + seconds(2..12),
        bye: 2 * delay + seconds(1..5),
        stalled_write: seconds(4..16),
        liveness: seconds(1..20),
        linger: seconds(1..3),
        outbox_messages: number(1 << random.u32(2..8)),
        outbox_bytes: number(1 << random.u32(17..20)),
        outbox_control_bytes: number(1 << random.u32(10..16)),
        subscriber_messages: number(1 << random.u32(1..8)),
        subscriber_bytes: number(1 << random.u32(17..20)),
        peers: number(if random.u8(..8) == 0 { 2 } else { 100 }),
        remembered_peers: random.usize(1..20),
        routes_remembered: number(random.usize(1..10)),
        ..Limits::default()
    }
}

fn kinds(shape: Shape, nodes: usize, random: &mut fastrand::Rng) -> Vec<Kind> {
    if shape != Shape::Overlay {
        return vec![Kind { version: 1, forwarding: shape != Shape::Mesh }; nodes];
    }
    let relays = random.usize(1..=nodes.min(5));
    let leaf = |version| Kind { version, forwarding: false };
    let kind = |slot| match slot < relays {
        true => Kind { version: 2, forwarding: true },
        false => leaf(random.u8(1..3)),
    };
    (0..nodes).map(kind).collect()
}

/// A relay is connected with the relays before it, and a leaf with relays only: what two leaves
/// tell each other is none of the overlay's business.
fn overlay(kinds: &[Kind], random: &mut fastrand::Rng) -> Vec<(usize, usize)> {
    let relays = kinds.iter().filter(|kind| kind.forwarding).count();
    let mut pairs = Vec::new();
    for slot in 1..kinds.len() {
        let first = random.usize(..slot.min(relays));
        pairs.push((first, slot));
        for other in (0..slot.min(relays)).filter(|other| *other != first) {
            pairs.extend((random.u8(..3) == 0).then_some((other, slot)));
        }
    }
    pairs
}

fn edges(shape: Shape, kinds: &[Kind], random: &mut fastrand::Rng) -> Vec<(usize, usize)> {
    let nodes = kinds.len();
    let mut pairs: Vec<(usize, usize)> = match shape {
        Shape::Mesh => (0..nodes).flat_map(|a| (a + 1..nodes).map(move |b| (a, b))).collect(),
        Shape::Tree => (1..nodes).map(|b| (random.usize(..b), b)).collect(),
        Shape::Ring => (0..nodes).map(|a| (a, (a + 1) % nodes)).collect(),
        Shape::Overlay => overlay(kinds, random),
    };
    let mut edges = Vec::new();
    for (a, b) in pairs.drain(..) {
        match random.u8(..3) {
            0 => edges.push((a, b)),
            1 => edges.push((b, a)),
            _ => edges.extend([(a, b), (b, a)]),
        }
    }
    edges
}

fn mischief(random: &mut fastrand::Rng) -> Vec<(Mischief, u32)> {
    let calm = random.u8(..10) == 0;
    let mut chosen: Vec<_> =
        Mischief::ALL.into_iter().filter(|_| !calm && random.u8(..3) > 0).collect();
    if chosen.is_empty() {
        chosen.push((Mischief::Subscribe, 1));
    }
    chosen
}
