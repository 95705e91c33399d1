use super::plan::{Plan, Shape};
use broker_proto::Failure;
use broker_proto::fact::Fact;
use broker_proto::limits::Limits;
use broker_proto::memory::MemoryBudget;
use broker_proto::peering::{
    ConnectionId, DialId, PeerRecord, PeeringMachine, PendingDial, Settings, Time,
};
use broker_proto::queue::{BoundedQueue, Bounds};
use broker_proto::routing::{Frames, Peer, Router, Sink, SinkKind, Targets};
use broker_proto::session::{ActionHandler, ConnectionTable, EndpointContext};
use broker_proto::wire::handshake::Role;
use broker_proto::{Address, EndpointId};
use broker_proto::{OverflowPolicy, SubscriberPolicy};
use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// One life of an endpoint: what `Shared` is to a real one.
pub(super) struct Node {
    pub(super) life: u64,
    pub(super) version: u8,
    /// Whether each message goes to those peers that have announced that they want it.
    pub(super) is_simple: bool,
    pub(super) id: EndpointId,
    started: Time,
    now: Cell<Time>,
    pub(super) jumped: Duration,
    pub(super) jumped_at: Time,
    pub(super) limits: Limits,
    policy: OverflowPolicy,
    /// What its queues and unfinished frames hold in all.
    pub(super) memory: Arc<MemoryBudget>,
    pub(super) router: Router,
    /// What is known about the peers, as the machine tells.
    pub(super) registry: RefCell<BTreeMap<EndpointId, PeerRecord>>,
    pub(super) table: RefCell<ConnectionTable>,
    pub(super) effects: RefCell<Effects>,
    /// The deadline that is on the agenda.
    pub(super) armed: Option<Time>,
    pub(super) times_armed: u64,
    pub(super) consumers: BTreeMap<u64, Consumer>,
    pub(super) last_sink: u64,
    /// Endpoints, by their slots, that it was last asked to be peered with.
    pub(super) wanted: BTreeSet<usize>,
    /// What it was asked to be peered with and not told to leave again.
    pub(super) asked: BTreeSet<(usize, bool)>,
    /// Requests without an answer, and whom they are for.
    pub(super) waiting: BTreeMap<DialId, usize>,
    /// Connections that are being opened.
    pub(super) opening: BTreeSet<DialId>,
    pub(super) published: u64,
    /// A message that waits for room.
    pub(super) blocked: Option<Blocked>,
    /// Since when it is being shut down.
    pub(super) stopping: Option<Time>,
    pub(super) stopped: bool,
    /// Every queue it ever had.
    pub(super) queues: Vec<Weak<BoundedQueue>>,
    pub(super) sinks: Vec<Weak<Sink>>,
}

pub(super) struct Consumer {
    pub(super) sink: Arc<Sink>,
    pub(super) topics: Vec<Bytes>,
    pub(super) idle: bool,
    pub(super) scheduled: bool,
    /// How many messages it got.
    pub(super) got: u64,
}

/// A message under way from its publisher, and the queues it has to arrive at.
pub(super) struct Blocked {
    pub(super) frames: Frames,
    pub(super) targets: Targets,
    pub(super) expected: Vec<super::target::Target>,
}

/// What the machine wanted done outside.
#[derive(Default)]
pub(super) struct Effects {
    pub(super) dials: Vec<(DialId, Address)>,
    pub(super) abandoned: Vec<DialId>,
    pub(super) resolved: Vec<(DialId, Result<EndpointId, Failure>)>,
    pub(super) facts: Vec<Fact>,
    pub(super) installed: u64,
    pub(super) stopped: bool,
    /// A rule that was broken on the way.
    pub(super) wrong: Option<String>,
}

/// Peerings that wait for the answer to a bye, and how many messages their queues have dropped.
struct Leaving(Vec<(ConnectionId, u64)>);

impl Leaving {
    fn of(table: &ConnectionTable) -> Self {
        let dropped = |conn: &ConnectionId| Some(table.conns.get(conn)?.queue.stats().dropped);
        let census = table.machine.census();
        let leaving = census.leaving.iter().filter_map(|(conn, _)| Some((*conn, dropped(conn)?)));
        Self(leaving.collect())
    }

    /// When the answer comes, what waits for the peer is still sent: it may be the answer to a bye
    /// of the peer.
    fn lost_something(&self, table: &ConnectionTable, facts: &[Fact]) -> Option<String> {
        if self.0.is_empty() || facts.iter().any(|fact| matches!(fact, Fact::ByeTimedOut(_))) {
            return None;
        }
        let census = table.machine.census();
        self.0.iter().find_map(|(conn, before)| {
            let waits = census.leaving.iter().any(|(other, _)| other == conn);
            let answered = !waits && census.peered.iter().any(|(other, _)| other == conn);
            let lost = table.conns.get(conn)?.queue.stats().dropped - before;
            (answered && lost > 0)
                .then(|| format!("{conn} drops {lost} messages at the end of an answered bye"))
        })
    }
}

/// Notes what the machine wants done, and what it says of its peers.
struct Performer<'a> {
    effects: &'a RefCell<Effects>,
    registry: &'a RefCell<BTreeMap<EndpointId, PeerRecord>>,
}

impl ActionHandler for Performer<'_> {
    fn dial(&mut self, dial: DialId, url: Address) {
        self.effects.borrow_mut().dials.push((dial, url));
    }

    fn abandon(&mut self, dial: DialId) {
        self.effects.borrow_mut().abandoned.push(dial);
    }

    fn installed(&mut self) {
        self.effects.borrow_mut().installed += 1;
    }

    fn uninstalled(&mut self, _: Arc<broker_proto::routing::Peer>) {}

    fn peer_changed(&mut self, peer: EndpointId, record: Option<PeerRecord>) {
        let mut registry = self.registry.borrow_mut();
        match record {
            Some(record) => registry.insert(peer, record),
            None => registry.remove(&peer),
        };
    }

    fn dial_changed(&mut self, _: DialId, _: Option<PendingDial>) {}

    fn report(&mut self, fact: Fact) {
        self.effects.borrow_mut().facts.push(fact);
    }

    fn resolve(&mut self, dial: DialId, outcome: Result<EndpointId, Failure>) {
        self.effects.borrow_mut().resolved.push((dial, outcome));
    }

    fn stopped(&mut self, router: &Router) {
        router.close_sinks();
        self.effects.borrow_mut().stopped = true;
    }
}

impl EndpointContext for Node {
    fn router(&self) -> &Router {
        &self.router
    }

    fn now(&self) -> Time {
        self.now.get()
    }

    fn with_machine<R>(&self, tell: impl FnOnce(&mut ConnectionTable, Time) -> R) -> R {
        let mut table = self.table.borrow_mut();
        let leaving = Leaving::of(&table);
        let facts = self.effects.borrow().facts.len();
        let result = tell(&mut table, self.now.get());
        let Self { effects, registry, .. } = self;
        table.apply_actions(&self.router, &mut Performer { effects, registry });
        self.router.apply_staged();
        let mut effects = effects.borrow_mut();
        let wrong = leaving.lost_something(&table, effects.facts.get(facts..).unwrap_or_default());
        effects.wrong = effects.wrong.take().or(wrong);
        result
    }

    fn read_machine<R>(&self, look: impl FnOnce(&ConnectionTable) -> R) -> R {
        look(&self.table.borrow())
    }

    fn report(&self, fact: Fact) {
        self.effects.borrow_mut().facts.push(fact);
    }

    fn answered(&self, _: &Peer, _: &[u8]) -> bool {
        false
    }
}

impl Node {
    pub(super) fn new(
        plan: &Plan,
        slot: usize,
        life: u64,
        id: EndpointId,
        seed: u64,
        started: Time,
    ) -> Self {
        let limits = plan.limits.clone();
        let kind = plan.kinds[slot];
        let settings = Settings {
            id,
            handshake_time: limits.handshake_time,
            bye: limits.bye,
            liveness: limits.liveness,
            version: kind.version,
            role: if kind.forwarding { Role::Relay } else { Role::Leaf },
            life,
            overlay: limits.overlay(),
            peers: limits.peers.get(),
            filter: limits.filter(),
            remembered_peers: limits.remembered_peers,
            retry_jitter: 0.1,
            retry_max: plan.retry_max,
            rules: Vec::new(),
            seed,
        };
        let control = PeeringMachine::new(settings);
        let remember = limits.routes_remembered.get();
        Self {
            life,
            version: kind.version,
            // What an overlay does is checked as a whole.
            is_simple: plan.shape != Shape::Overlay,
            id,
            started,
            now: Cell::new(Time::ZERO),
            jumped: Duration::ZERO,
            jumped_at: Time::ZERO,
            router: Router::new(id, kind.forwarding, limits.data_depth, remember)
                .in_life(life as u32, limits.streams_remembered.get()),
            policy: plan.policy,
            memory: Arc::new(MemoryBudget::new(limits.memory)),
            limits,
            registry: RefCell::default(),
            table: RefCell::new(ConnectionTable::new(control)),
            effects: RefCell::default(),
            armed: None,
            times_armed: 0,
            consumers: BTreeMap::new(),
            last_sink: 0,
            wanted: BTreeSet::new(),
            asked: BTreeSet::new(),
            waiting: BTreeMap::new(),
            opening: BTreeSet::new(),
            published: 0,
            blocked: None,
            stopping: None,
            stopped: false,
            queues: Vec::new(),
            sinks: Vec::new(),
        }
    }

    /// Lets the endpoint see what time it is.
    pub(super) fn set_clock(&self, world: Time) {
        self.now.set(world - self.started + self.jumped);
    }

    /// When a time of the endpoint is for the world, at the earliest at `world`.
    pub(super) fn world_time(&self, time: Time, world: Time) -> Time {
        (time.saturating_sub(self.jumped) + self.started).max(world)
    }

    /// A queue for a new connection.
    pub(super) fn new_queue(&mut self) -> Arc<BoundedQueue> {
        let queue = BoundedQueue::new(Bounds {
            messages: self.limits.outbox_messages.get(),
            memory: self.limits.outbox_bytes.get(),
            control: self.limits.outbox_control_bytes.get(),
            policy: self.policy,
        });
        let queue = Arc::new(queue.within(&self.memory));
        self.queues.push(Arc::downgrade(&queue));
        queue
    }

    /// As a real endpoint makes a subscriber or hub.
    pub(super) fn subscribe(
        &mut self,
        kind: SinkKind,
        topics: Vec<Bytes>,
        policy: SubscriberPolicy,
    ) {
        self.last_sink += 1;
        let queue = BoundedQueue::new(Bounds {
            messages: self.limits.subscriber_messages.get(),
            memory: self.limits.subscriber_bytes.get(),
            control: 0,
            policy: policy.into(),
        });
        let queue = queue.within(&self.memory);
        let sink = Arc::new(Sink { id: self.last_sink, kind, queue });
        self.sinks.push(Arc::downgrade(&sink));
        self.router.set_sink(&sink, topics.clone());
        let accepted = self.with_machine(|table, now| table.machine.subscribe(&topics, now));
        assert_eq!(accepted, Ok(()), "the topics of a run are few and short");
        let consumer = Consumer { sink, topics, idle: false, scheduled: false, got: 0 };
        self.consumers.insert(self.last_sink, consumer);
    }

    /// As a real subscriber or hub is dropped.
    pub(super) fn unsubscribe(&mut self, id: u64) {
        let Some(consumer) = self.consumers.remove(&id) else { return };
        self.router.remove_sink(id);
        consumer.sink.queue.close(broker_proto::queue::Closing::Now);
        self.with_machine(|table, now| table.machine.unsubscribe(&consumer.topics, now));
    }

    /// The installed peers and the connections they are installed on.
    pub(super) fn is_peered_with(&self, id: EndpointId) -> bool {
        self.router.peer(id).is_some()
    }
}
