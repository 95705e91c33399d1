//! The endpoints, their connections and the clock, and everything that happens to them.

mod chaos;
mod check;
mod closing;
mod opening;
mod reading;
mod settle;
mod trace;
mod traffic;
mod writing;

use crate::ledger::Ledger;
use crate::node::Node;
use crate::plan::Plan;
use crate::wire::{End, Stage, Wire};
use crate::{Broken, Summary};
use broker_proto::fact::Fact;
use broker_proto::peering::Time;
use broker_proto::session::EndpointContext;
use broker_proto::{Address, EndpointId, Reason};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
pub(crate) use trace::Trace;

/// Far more steps than a run takes; what does not end by then never does.
const MOST_STEPS: u64 = 200_000;

/// What nobody has a reason to say of another endpoint here.
const ACCUSATIONS: [Reason; 13] = [
    Reason::NotBroker,
    Reason::PeerWantsTls,
    Reason::WrongMagic,
    Reason::NoCommonVersion,
    Reason::MalformedHandshake,
    Reason::UnexpectedMessage,
    Reason::NilId,
    Reason::FrameTooLarge,
    Reason::EmptyFrame,
    Reason::MalformedMessage,
    Reason::ForgedSender,
    Reason::InternalTopic,
    Reason::BadMessages,
];

/// Everything there is.
pub(super) struct World {
    pub(super) seed: u64,
    pub(super) plan: Plan,
    pub(super) random: fastrand::Rng,
    pub(super) now: Time,
    agenda: BinaryHeap<Reverse<(Time, u64, What)>>,
    entries: u64,
    pub(super) slots: Vec<Slot>,
    pub(super) wires: BTreeMap<u64, Box<Wire>>,
    pub(super) last_wire: u64,
    last_life: u64,
    /// Where each life was lived.
    pub(super) born: BTreeMap<u64, usize>,
    pub(super) ledger: Ledger,
    /// Which slot an id belongs to, or belonged to.
    pub(super) owners: BTreeMap<EndpointId, usize>,
    /// How often the last consumers got the last message of each publisher.
    pub(super) probes: BTreeMap<(usize, u64), BTreeMap<u64, u32>>,
    /// Which side of a parted network each endpoint is on, while it is parted.
    pub(super) sides: Option<Vec<bool>>,
    /// How many messages may have come over each connection, at most.
    pub(super) copies: u64,
    pub(super) summary: Summary,
    pub(super) broken: Option<String>,
    /// What has to be checked after this step.
    pub(super) touched: Touched,
    /// Whether mischief is still being done.
    pub(super) mischief: bool,
    pub(super) trace: Option<Trace>,
}

/// What a step had to do with.
#[derive(Default)]
pub(super) struct Touched {
    pub(super) slots: BTreeSet<usize>,
    pub(super) wires: BTreeSet<u64>,
    /// Whether a peering may have begun or ended.
    pub(super) peerings: bool,
}

/// A machine on which one endpoint lives after the other.
pub(super) struct Slot {
    pub(super) node: Option<Node>,
    pub(super) last_id: EndpointId,
    pub(super) frozen_until: Time,
    pub(super) refuses_until: Time,
}

/// What is to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    Mischief,
    Surprise,
    Traffic,
    Start { slot: usize },
    Timer { slot: usize, life: u64, armed: u64 },
    Open { slot: usize, life: u64, dial: u64, target: usize, alias: bool },
    DialFailed { slot: usize, life: u64, dial: u64 },
    Register { wire: u64, end: usize },
    Read { wire: u64, end: usize },
    Write { wire: u64, end: usize },
    Stalled { wire: u64, end: usize },
    LingerOver { wire: u64, end: usize },
    LooksDead { wire: u64, end: usize },
    Consume { slot: usize, life: u64, sink: u64 },
}

impl World {
    pub(super) fn new(seed: u64, trace: Option<Trace>) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let plan = Plan::new(&mut random);
        let slot = || Slot {
            node: None,
            last_id: EndpointId::NIL,
            frozen_until: Time::ZERO,
            refuses_until: Time::ZERO,
        };
        let slots = std::iter::repeat_with(slot).take(plan.nodes).collect();
        let mut world = Self {
            seed,
            random,
            now: Time::ZERO,
            agenda: BinaryHeap::new(),
            entries: 0,
            slots,
            wires: BTreeMap::new(),
            last_wire: 0,
            last_life: 0,
            born: BTreeMap::new(),
            ledger: Ledger::default(),
            owners: BTreeMap::new(),
            probes: BTreeMap::new(),
            sides: None,
            copies: 0,
            summary: Summary::default(),
            broken: None,
            touched: Touched::default(),
            mischief: true,
            trace,
            plan,
        };
        world.trace(|world| format!("{:?}", world.plan));
        world
    }

    pub(super) fn run(mut self) -> (Vec<String>, Result<Summary, Box<Broken>>) {
        for slot in 0..self.slots.len() {
            self.at(Duration::ZERO, What::Start { slot });
        }
        self.at(Duration::ZERO, What::Mischief);
        self.at(Duration::ZERO, What::Traffic);
        // A rule of the code itself that is broken shows up as a panic.
        let live = || {
            self.go_on_for(self.plan.duration);
            self.settle();
        };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(live)) {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            self.broken(format!(
                "panicked: {}",
                text.unwrap_or("without a text").replace('\n', ",")
            ));
        }
        self.summary.time = self.now;
        let Self { seed, now: time, broken, .. } = self;
        let outcome = match broken {
            None => Ok(self.summary),
            Some(what) => Err(Box::new(Broken { seed, time, what })),
        };
        (self.trace.map(|trace| trace.readable(&self.owners)).unwrap_or_default(), outcome)
    }

    /// Lets everything happen that is on the agenda for this time.
    pub(super) fn go_on_for(&mut self, time: Duration) {
        let end = self.now + time;
        while self.broken.is_none() {
            if self.agenda.peek().is_none_or(|Reverse((at, ..))| *at > end) {
                break;
            }
            let Some(Reverse((at, _, what))) = self.agenda.pop() else { break };
            self.now = at;
            if let Some(thaw) = self.frozen(what) {
                self.at(thaw - at, what);
                continue;
            }
            self.summary.steps += 1;
            if self.summary.steps > MOST_STEPS {
                self.broken(format!("goes round in circles: {what:?}"));
            }
            self.trace_step(what);
            self.dispatch(what);
            self.check_step();
        }
        if self.broken.is_none() {
            self.now = end;
        }
    }

    /// When the machine wakes up that this is about, if it sleeps.
    fn frozen(&self, what: What) -> Option<Time> {
        let slot = match what {
            What::Timer { slot, .. } | What::Open { slot, .. } | What::Consume { slot, .. } => slot,
            What::Register { wire, end }
            | What::Read { wire, end }
            | What::Write { wire, end }
            | What::Stalled { wire, end }
            | What::LingerOver { wire, end } => self.wires.get(&wire)?.ends.get(end)?.slot,
            _ => return None,
        };
        Some(self.slots.get(slot)?.frozen_until).filter(|thaw| *thaw > self.now)
    }

    fn dispatch(&mut self, what: What) {
        match what {
            What::Mischief => self.next_mischief(),
            What::Surprise => self.do_mischief(),
            What::Traffic => self.next_traffic(),
            What::Start { slot } => self.start(slot),
            What::Timer { slot, life, armed } => {
                let node = self.node_mut(slot, life);
                if let Some(node) = node.filter(|node| node.times_armed == armed) {
                    node.armed = None;
                    node.with_machine(|table, now| table.machine.tick(now));
                    self.after(slot);
                }
            }
            What::Open { slot, life, dial, target, alias } => {
                self.open(slot, life, dial, target, alias);
            }
            What::DialFailed { slot, life, dial } => self.dial_failed(slot, life, dial),
            What::Register { wire, end } => self.on_wire(wire, end, Self::register),
            What::Read { wire, end } => self.on_wire(wire, end, Self::read),
            What::Write { wire, end } => self.on_wire(wire, end, Self::write),
            What::Stalled { wire, end } => self.on_wire(wire, end, Self::stalled),
            What::LingerOver { wire, end } => self.on_wire(wire, end, Self::linger_over),
            What::LooksDead { wire, end } => self.on_wire(wire, end, Self::looks_dead),
            What::Consume { slot, life, sink } => self.consume(slot, life, sink),
        }
    }

    /// Does something at one end of a wire, and what follows from it.
    fn on_wire(&mut self, id: u64, e: usize, act: impl FnOnce(&mut Self, u64, &mut Wire, usize)) {
        let Some(mut wire) = self.wires.remove(&id) else { return };
        let slot = wire.ends.get(e).map(|end| end.slot);
        act(self, id, &mut wire, e);
        self.put_back(id, wire);
        if let Some(slot) = slot {
            self.after(slot);
        }
    }

    /// Keeps a wire as long as somebody holds an end of it.
    pub(super) fn put_back(&mut self, id: u64, wire: Box<Wire>) {
        if wire.ends.iter().all(|end| end.stage == Stage::Gone) {
            self.account(&wire);
        } else {
            self.wires.insert(id, wire);
            self.touched.wires.insert(id);
        }
    }

    pub(super) fn at(&mut self, delay: Duration, what: What) {
        self.entries += 1;
        self.agenda.push(Reverse((self.now + delay, self.entries, what)));
    }

    /// How long something takes that no wire is involved in.
    pub(super) fn soon(&mut self) -> Duration {
        Duration::from_micros(self.random.u64(..300))
    }

    pub(super) fn delay(&mut self) -> Duration {
        Duration::from_micros(self.random.u64(self.plan.delay.clone()))
    }

    /// The endpoint of this life, with its clock set.
    pub(super) fn node_mut(&mut self, slot: usize, life: u64) -> Option<&mut Node> {
        let now = self.now;
        let node = self.slots.get_mut(slot)?.node.as_mut().filter(|node| node.life == life)?;
        node.set_clock(now);
        Some(node)
    }

    /// Whatever endpoint lives there now, with its clock set.
    pub(super) fn living(&mut self, slot: usize) -> Option<&mut Node> {
        let life = self.slots.get(slot)?.node.as_ref()?.life;
        self.node_mut(slot, life)
    }

    /// Notes that a rule was broken; the first one counts.
    pub(super) fn broken(&mut self, what: String) {
        if self.broken.is_none() {
            self.picture();
        }
        self.trace(|_| format!("BROKEN: {what}"));
        self.broken.get_or_insert(what);
    }

    pub(super) fn verify(&mut self, outcome: Result<(), String>) {
        if let Err(what) = outcome {
            self.broken(what);
        }
    }

    /// Lets an endpoint begin to live, with its old id or with a new one.
    fn start(&mut self, slot: usize) {
        if self.slots.get(slot).is_none_or(|slot| slot.node.is_some()) {
            return;
        }
        self.last_life += 1;
        let life = self.last_life;
        let seed = self.random.u64(..);
        let fresh = EndpointId::from_random_bits(self.random.u128(..));
        let keeps_id = self.random.bool();
        let Some(place) = self.slots.get_mut(slot) else { return };
        let first = place.last_id.is_nil();
        if first || !keeps_id {
            place.last_id = fresh;
        }
        match (first, keeps_id) {
            (true, _) => {}
            (false, true) => self.summary.note("moments", "restart with the old id"),
            (false, false) => self.summary.note("moments", "restart with a new id"),
        }
        let id = place.last_id;
        self.owners.insert(id, slot);
        place.node = Some(Node::new(&self.plan, slot, life, id, seed, self.now));
        self.ledger.born(life, slot);
        self.born.insert(life, slot);
        self.trace(|world| format!("{} starts as {id}", world.name(slot)));
        self.furnish(slot);
        for (a, b) in self.plan.edges.clone() {
            if a == slot {
                self.ask_for(slot, b, true);
            }
        }
    }

    /// What has to be done outside because of what happened at an endpoint, and who wakes up.
    pub(super) fn after(&mut self, slot: usize) {
        let Some(node) = self.living(slot) else { return };
        let life = node.life;
        let effects = node.effects.take();
        let wrong = effects.wrong.map(|what| format!("n{slot}: {what}"));
        self.touched.slots.insert(slot);
        self.touched.peerings |= !effects.facts.is_empty();
        for fact in &effects.facts {
            self.trace(|world| format!("{} {fact:?}", world.name(slot)));
            let outcome = self.ledger.fact(life, fact);
            self.verify(outcome);
            self.note_fact(slot, fact);
            self.note_overflow(slot, fact);
        }
        self.summary.peerings += effects.installed;
        for (dial, url) in effects.dials {
            self.dial(slot, life, dial, &url);
        }
        let Some(node) = self.living(slot) else { return };
        for dial in effects.abandoned {
            node.opening.remove(&dial);
        }
        for (dial, _) in effects.resolved {
            node.waiting.remove(&dial);
        }
        node.stopped |= effects.stopped;
        self.verify(wrong.map_or(Ok(()), Err));
        self.arm(slot);
        self.wake_wires(slot);
        self.wake_consumers(slot);
        self.retire(slot);
    }

    fn note_fact(&mut self, slot: usize, fact: &Fact) {
        let (kind, reason) = match fact {
            Fact::DialFailed { failure, .. } => ("errors", failure.reason()),
            Fact::UnknownPeer(_) => ("errors", Reason::UnknownPeer),
            Fact::HandshakeFailed { failure, .. }
            | Fact::PeerLost { failure, .. }
            | Fact::PeerOverflowed { failure, .. } => ("reasons", failure.reason()),
            Fact::ByeTimedOut(_) => ("reasons", Reason::ByeTimeout),
            Fact::Misbehaved { reason, .. } => ("reasons", *reason),
            Fact::Peer { .. } | Fact::Reconnected(_) | Fact::DialCancelled(_) => return,
        };
        self.summary.note(kind, reason.name());
        if ACCUSATIONS.contains(&reason) {
            self.broken(format!("n{slot} accuses a peer that does nothing wrong: {fact:?}"));
        }
    }

    fn arm(&mut self, slot: usize) {
        let world = self.now;
        let Some(node) = self.living(slot) else { return };
        let next = node.table.borrow().machine.next_deadline();
        if next != node.armed {
            node.armed = next;
            node.times_armed += 1;
            let (life, armed) = (node.life, node.times_armed);
            if let Some(next) = next {
                let at = node.world_time(next, world) - world;
                self.at(at, What::Timer { slot, life, armed });
            }
        }
    }

    /// The ends of wires that belong to what lives there now.
    pub(super) fn ends_of(&self, slot: usize) -> Vec<(u64, usize)> {
        let Some(life) = self.slots.get(slot).and_then(|slot| slot.node.as_ref()).map(|n| n.life)
        else {
            return Vec::new();
        };
        let belongs = |end: &End| end.life == life && end.stage != Stage::Gone;
        let ends = self.wires.iter().flat_map(|(id, wire)| {
            wire.ends.iter().enumerate().filter(|(_, end)| belongs(end)).map(|(e, _)| (*id, e))
        });
        ends.collect()
    }
}

/// Where an endpoint can be reached: it has two names.
pub(super) fn address(slot: usize, alias: bool) -> Address {
    Address::new("sim", &format!("{}{slot}", if alias { "alias" } else { "n" }), 1)
}

/// Polls a future once.
pub(super) fn ready<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}
