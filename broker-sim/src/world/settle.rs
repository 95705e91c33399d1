//! The end of a run: the faults are over, and everything has to become well.

use super::check::uncovered;
use super::{What, World, address};
use crate::node::Node;
use crate::plan::{Mischief, Shape};
use broker_proto::EndpointId;
use broker_proto::SubscriberPolicy;
use broker_proto::peering::ConnectionId;
use broker_proto::routing::{Origin, SinkKind};
use broker_proto::session::EndpointContext;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// In this time everything that should be peered is peered again: attempts come every few seconds,
/// and a dead connection is noticed after at most a minute, if at all.
const SETTLE: Duration = Duration::from_secs(150);

const PROBE: &[u8] = b"probe";

impl World {
    pub(super) fn settle(&mut self) {
        if self.broken.is_some() {
            return;
        }
        self.mischief = false;
        self.trace(|_| "mischief is over".to_owned());
        for slot in 0..self.slots.len() {
            self.slots[slot].refuses_until = self.now;
            self.at(Duration::ZERO, What::Start { slot });
        }
        for wire in self.wires.values_mut() {
            wire.ends.iter_mut().for_each(|end| end.recover(self.now));
        }
        // Whoever sleeps or shuts down needs a moment before it can go on or start again.
        self.go_on_for(Duration::from_secs(30));
        for slot in 0..self.slots.len() {
            self.at(Duration::ZERO, What::Start { slot });
        }
        self.go_on_for(SETTLE);
        let outcome = self.check_settled();
        self.verify(outcome);
        if self.plan.shape == Shape::Overlay {
            self.part();
            let outcome = self.check_settled();
            self.verify(outcome);
        }
        self.ask_again();
        self.probe();
        self.end();
    }

    /// Parts the network for a time in which relays may forget each other, lets something change
    /// on both sides, and heals it.
    fn part(&mut self) {
        if self.broken.is_some() {
            return;
        }
        let sides: Vec<bool> = self.slots.iter().map(|_| self.random.bool()).collect();
        self.trace(|_| format!("the network parts: {sides:?}"));
        self.summary.note("moments", "the network parts");
        self.sides = Some(sides);
        self.cut_between_sides();
        let time = Duration::from_secs(self.random.u64(10..120));
        self.go_on_for(time / 2);
        for slot in 0..self.slots.len() {
            match self.random.u8(..8) {
                0 => self.act(Mischief::Crash, slot),
                1..3 => self.act(Mischief::Unsubscribe, slot),
                3..5 => self.act(Mischief::Subscribe, slot),
                _ => {}
            }
        }
        self.go_on_for(time / 2);
        self.trace(|_| "the network is whole again".to_owned());
        self.sides = None;
        self.go_on_for(SETTLE);
    }

    /// Everything that should be peered is, nothing else is, and filters agree.
    fn check_settled(&self) -> Result<(), String> {
        for (a, b) in self.pairs() {
            let (Some(left), Some(right)) = (&self.slots[a].node, &self.slots[b].node) else {
                return Err(format!("n{a} or n{b} does not live"));
            };
            let (there, back) = (left.is_peered_with(right.id), right.is_peered_with(left.id));
            let wanted = (left.wanted.contains(&b), right.wanted.contains(&a));
            if there && back {
                if !left.asks_for(b) && !right.asks_for(a) {
                    return Err(format!("n{a} and n{b} are peered, and nobody asks for it"));
                }
                if left.waits_for(b) || right.waits_for(a) {
                    return Err(format!("n{a} and n{b} are peered, and somebody still waits"));
                }
                if left.is_simple {
                    agree(left, right).and_then(|()| agree(right, left))?;
                }
                continue;
            }
            let excused = self.is_excused(left, right, wanted);
            if (wanted.0 || wanted.1) && !excused {
                return Err(format!(
                    "n{a} and n{b} are not peered ({there}, {back}), which is wanted {wanted:?}"
                ));
            }
        }
        Ok(())
    }

    /// A dead connection that nobody ever looks at is only noticed by a peer that comes back; and
    /// where a limit is in force, not everyone gets in.
    fn is_excused(&self, left: &Node, right: &Node, wanted: (bool, bool)) -> bool {
        let limited = left.limits.peers.get() < self.slots.len();
        let half_open = |node: &Node, other: &Node| {
            self.wires.values().flat_map(|wire| wire.ends.iter()).any(|end| {
                end.life == node.life
                    && end.dead.is_some()
                    && (node.is_peered_with(other.id) || self.is_stale(node))
            })
        };
        let silent = self.plan.keepalive.is_none()
            && ((wanted.0 && !wanted.1 && half_open(left, right))
                || (wanted.1 && !wanted.0 && half_open(right, left)));
        limited || silent
    }

    /// Whether an endpoint has a peer that does not live any more.
    fn is_stale(&self, node: &Node) -> bool {
        let living: BTreeSet<EndpointId> =
            self.slots.iter().filter_map(|slot| slot.node.as_ref()).map(|node| node.id).collect();
        node.router.peers().iter().any(|peer| !living.contains(&peer.id))
    }

    /// Asks for what is there already, after a long silence. It makes no difference.
    fn ask_again(&mut self) {
        let before = self.living_peerings();
        for (a, b) in self.pairs() {
            for (a, b) in [(a, b), (b, a)] {
                let peered = |node: &Node| {
                    before.iter().any(|(from, _, to)| (*from, *to) == (a, b))
                        && node.wanted.contains(&b)
                };
                if self.slots[a].node.as_ref().is_some_and(peered) {
                    self.ask_for_address(a, b, false, true);
                    self.ask_for_address(a, b, true, true);
                }
            }
        }
        self.go_on_for(Duration::from_secs(30));
        let after = self.living_peerings();
        if let Some((a, conn, b)) = before.difference(&after).next() {
            self.broken(format!("n{a} has lost n{b} on {conn} because it was asked for again"));
        }
    }

    /// Who is peered with whom and on which connection, where both ends live, and can be heard.
    fn living_peerings(&self) -> BTreeSet<(usize, ConnectionId, usize)> {
        let mut found = BTreeSet::new();
        let places = self.places();
        let is_black = |node: &Node, conn| {
            let wire = places.get(&(node.life, conn)).and_then(|(id, _)| self.wires.get(id));
            wire.is_none_or(|wire| wire.black)
        };
        for (a, b) in self.pairs() {
            let (Some(left), Some(right)) = (&self.slots[a].node, &self.slots[b].node) else {
                continue;
            };
            let (to, from) = (left.router.peer(right.id), right.router.peer(left.id));
            if let (Some(to), Some(from)) = (to, from)
                && !is_black(left, to.conn)
            {
                found.extend([(a, to.conn, b), (b, from.conn, a)]);
            }
        }
        found
    }

    /// Everyone publishes, and everyone gets it who can be reached.
    fn probe(&mut self) {
        for slot in 0..self.slots.len() {
            let Some(node) = self.living(slot) else { continue };
            let topics = vec![Bytes::from_static(PROBE)];
            node.subscribe(SinkKind::Subscriber, topics, SubscriberPolicy::DropOldest);
            self.probes.insert((slot, node_sink(self, slot)), BTreeMap::new());
            self.after(slot);
        }
        self.go_on_for(Duration::from_secs(10));
        // What is sent into a dead connection is lost, and lets this side notice that it is dead.
        self.publish_probes();
        self.go_on_for(Duration::from_secs(80));
        self.probes.values_mut().for_each(BTreeMap::clear);
        let before = self.duplicates();
        self.publish_probes();
        if self.broken.is_some() || self.plan.shape == Shape::Ring {
            return;
        }
        let outcome = self.check_probes();
        self.verify(outcome);
        let outcome = self.check_overlay().and_then(|()| self.check_duplicates(&before));
        self.verify(outcome);
    }

    /// What relays have got from each other and had had before, by connection.
    fn duplicates(&self) -> BTreeMap<(usize, ConnectionId), u64> {
        let of = |(slot, node): (usize, &Node)| {
            let peers = node.router.peers().into_iter().filter(|peer| peer.is_relay());
            peers
                .map(move |peer| ((slot, peer.conn), peer.counters.duplicates.load(Relaxed)))
                .collect::<Vec<_>>()
        };
        self.relays().flat_map(of).collect()
    }

    /// While nothing changes, a message comes to each relay over one of its connections only.
    fn check_duplicates(
        &self,
        before: &BTreeMap<(usize, ConnectionId), u64>,
    ) -> Result<(), String> {
        for ((slot, conn), now) in self.duplicates() {
            let more = now - before.get(&(slot, conn)).copied().unwrap_or_default();
            if more > 0 {
                return Err(format!("n{slot} got {more} messages again on {conn}"));
            }
        }
        Ok(())
    }

    /// Every relay knows who is behind the others, and of nobody else.
    fn check_overlay(&self) -> Result<(), String> {
        for (slot, node) in self.relays() {
            let mut expected = BTreeSet::new();
            for (other, _) in self.linked_with(slot).into_iter().filter_map(|at| self.relay(at)) {
                if other != slot {
                    expected.extend(self.slots[other].node.as_ref().map(|node| node.id));
                    expected.extend(self.served_by(other));
                }
            }
            let known = node.router.endpoints_behind();
            if known != expected {
                return Err(format!("n{slot} knows of {known:?} instead of {expected:?}"));
            }
            for peer in node.router.peers() {
                let told = self.leaf(peer.id).and_then(|leaf| leaf.router.peer_filter(node.id));
                let wanted = self.wanted_by_others(slot, peer.id);
                if told.as_ref().is_some_and(|told| *told != wanted) {
                    let id = peer.id;
                    return Err(format!("n{slot} told {id} {told:?}, and {wanted:?} is wanted"));
                }
            }
        }
        Ok(())
    }

    /// A living endpoint that passes nothing on.
    fn leaf(&self, id: EndpointId) -> Option<&Node> {
        let mut living = self.slots.iter().filter_map(|slot| slot.node.as_ref());
        living.find(|node| node.id == id && !node.router.forwarding)
    }

    /// What a relay and all endpoints want that it can reach, but for one of them.
    fn wanted_by_others(&self, slot: usize, but: EndpointId) -> Vec<Bytes> {
        let mut topics = BTreeSet::new();
        for (at, relay) in self.linked_with(slot).into_iter().filter_map(|at| self.relay(at)) {
            topics.extend(relay.wanted_topics());
            for id in self.served_by(at).into_iter().filter(|id| *id != but) {
                let leaf = self.leaf(id).filter(|leaf| leaf.is_peered_with(relay.id));
                let known = || relay.router.peer_filter(id).unwrap_or_default();
                topics.extend(leaf.map_or_else(known, Node::wanted_topics));
            }
        }
        uncovered(topics.iter())
    }

    fn relay(&self, slot: usize) -> Option<(usize, &Node)> {
        let node = self.slots[slot].node.as_ref()?;
        (node.version == 2 && node.router.forwarding).then_some((slot, node))
    }

    fn relays(&self) -> impl Iterator<Item = (usize, &Node)> {
        (0..self.slots.len()).filter_map(|slot| self.relay(slot))
    }

    /// The relays that a relay is connected with over others.
    fn linked_with(&self, slot: usize) -> BTreeSet<usize> {
        let (mut found, mut border) = (BTreeSet::new(), vec![slot]);
        while let Some((at, node)) = border.pop().and_then(|at| self.relay(at)) {
            if found.insert(at) {
                let linked = self.relays().filter(|(_, other)| {
                    node.is_peered_with(other.id) && other.is_peered_with(node.id)
                });
                border.extend(linked.map(|(at, _)| at));
            }
        }
        found
    }

    fn relays_are_connected(&self) -> bool {
        let count = self.relays().count();
        self.relays().next().is_none_or(|(slot, _)| self.linked_with(slot).len() == count)
    }

    /// The peers of a relay that are none.
    fn served_by(&self, slot: usize) -> BTreeSet<EndpointId> {
        let peers = self.slots[slot].node.as_ref().map(|node| node.router.peers());
        let served = peers.into_iter().flatten().filter(|peer| !peer.is_relay());
        served.map(|peer| peer.id).collect()
    }

    /// One after the other, so that the smallest queue suffices.
    fn publish_probes(&mut self) {
        for slot in 0..self.slots.len() {
            self.publish(slot, Origin::Endpoint, EndpointId::NIL, PROBE, 10);
            self.go_on_for(Duration::from_secs(12));
        }
    }

    /// Takes note of a message that one of the last consumers got.
    pub(super) fn note_probe(&mut self, slot: usize, sink: u64, publisher: u64) {
        if let Some(got) = self.probes.get_mut(&(slot, sink)) {
            *got.entry(publisher).or_default() += 1;
        }
    }

    fn check_probes(&self) -> Result<(), String> {
        for ((slot, _), got) in &self.probes {
            let mut expected: BTreeMap<u64, u32> = BTreeMap::new();
            let mut got = got.clone();
            for (from, life) in self.reachable(*slot) {
                if from == *slot {
                    continue;
                }
                expected.insert(life, 1);
                // Relays that do not know of each other cannot agree on who passes it on.
                let one = [from, *slot].iter().any(|slot| self.plan.kinds[*slot].version == 1);
                let split = one && !self.relays_are_connected();
                if split && let Some(copies) = got.get_mut(&life) {
                    *copies = 1;
                }
            }
            if got != expected {
                return Err(format!("n{slot} got {got:?} instead of {expected:?}"));
            }
        }
        Ok(())
    }

    /// Whose messages get to an endpoint.
    fn reachable(&self, slot: usize) -> BTreeMap<usize, u64> {
        let mut found = BTreeMap::new();
        let mut border = vec![slot];
        while let Some(at) = border.pop() {
            let Some(node) = &self.slots[at].node else { continue };
            if found.insert(at, node.life).is_some() || (at != slot && !node.router.forwarding) {
                continue;
            }
            border.extend((0..self.slots.len()).filter(|other| {
                self.slots[*other].node.as_ref().is_some_and(|other| {
                    node.is_peered_with(other.id) && other.is_peered_with(node.id)
                })
            }));
        }
        found
    }

    /// Everyone shuts down, and nothing is left.
    fn end(&mut self) {
        for slot in 0..self.slots.len() {
            self.shut_down(slot);
            let pause = Duration::from_millis(self.random.u64(..500));
            self.go_on_for(pause);
        }
        self.go_on_for(Duration::from_secs(15));
        if self.broken.is_some() {
            return;
        }
        if let Some(slot) = self.slots.iter().position(|slot| slot.node.is_some()) {
            return self.broken(format!("n{slot} has not ended"));
        }
        if let Some((id, _)) = self.wires.iter().next() {
            self.broken(format!("wire {id} is left"));
        }
    }
}

fn node_sink(world: &World, slot: usize) -> u64 {
    world.slots[slot].node.as_ref().map_or(0, |node| node.last_sink)
}

/// Whether one endpoint has announced what the other one routes by.
fn agree(announcer: &Node, router: &Node) -> Result<(), String> {
    let announced = announcer.table.borrow().machine.announced();
    let known = router.router.peer_filter(announcer.id);
    if known.as_ref() != Some(&announced) {
        let (a, b) = (announcer.id, router.id);
        return Err(format!("{a} announced {announced:?}, and {b} routes by {known:?}"));
    }
    Ok(())
}

impl Node {
    /// Whether it was asked for a peering with what lives there, and the machine knows.
    fn asks_for(&self, slot: usize) -> bool {
        [false, true].into_iter().any(|alias| {
            let url = address(slot, alias);
            self.asked.contains(&(slot, alias))
                && self.with_machine(|table, _| table.machine.is_outbound(&url))
        })
    }

    /// Whether somebody who asked for it has got no answer.
    fn waits_for(&self, slot: usize) -> bool {
        self.waiting.values().any(|target| *target == slot)
    }
}
