//! What goes wrong, and what users ask for at the worst moment.

use super::{What, World, address};
use crate::plan::Mischief;
use crate::wire::{End, Stage, Wire};
use broker_proto::fact::{Fact, PeerChange, RemovalCause};
use broker_proto::peering::{Time, Unpeer};
use broker_proto::session::EndpointContext;
use std::time::Duration;

/// More would only cost time.
const MOST_CONSUMERS: usize = 6;

/// Later than anything.
const NEVER: Time = Time::from_secs(1 << 40);

impl World {
    pub(super) fn next_mischief(&mut self) {
        if self.mischief {
            let pause = self.random.u64(..2 * self.plan.pace);
            self.at(Duration::from_micros(pause), What::Mischief);
            self.do_mischief();
        }
    }

    pub(super) fn do_mischief(&mut self) {
        let total: u32 = self.plan.mischief.iter().map(|(_, weight)| weight).sum();
        let mut at = self.random.u32(..total);
        let chosen = self.plan.mischief.iter().find(|(_, weight)| match at.checked_sub(*weight) {
            Some(rest) => {
                at = rest;
                false
            }
            None => true,
        });
        let Some((mischief, _)) = chosen.copied() else { return };
        self.summary.interventions += 1;
        self.summary.note("faults", mischief.name());
        let slot = self.random.usize(..self.slots.len());
        self.act(mischief, slot);
    }

    pub(super) fn act(&mut self, mischief: Mischief, slot: usize) {
        use Mischief as M;
        if matches!(mischief, M::Subscribe | M::Unsubscribe | M::Crash | M::Vanish | M::Shutdown) {
            self.note_handshake(slot, mischief);
        }
        match mischief {
            M::Peer | M::PeerOnce => {
                let (a, b) = self.edge();
                self.ask_for(a, b, mischief == M::Peer);
            }
            M::Unpeer => {
                let (a, b) = self.edge();
                self.note_handshake(a, mischief);
                self.unpeer(a, b);
            }
            M::ChangeMind => self.change_mind(),
            M::UnpeerId => self.unpeer_id(slot),
            M::PeerSelf => self.ask_for(slot, slot, false),
            M::Subscribe => {
                if self.living(slot).is_some_and(|node| node.consumers.len() >= MOST_CONSUMERS) {
                    self.remove_consumer(slot);
                }
                self.add_consumer(slot);
                self.after(slot);
            }
            M::Unsubscribe => self.remove_consumer(slot),
            M::Cut | M::CutOneSide | M::BlackHole | M::Hold | M::PauseReader | M::SlowReader => {
                self.disturb(mischief)
            }
            M::Freeze => self.freeze(slot),
            M::JumpClock => self.jump_clock(slot),
            M::Crash | M::Vanish => self.kill(slot, mischief == M::Vanish),
            M::Shutdown => self.shut_down(slot),
            M::RefuseDials => {
                let time = self.millis(10_000);
                let until = self.now + time;
                self.trace(|_| format!("n{slot} refuses connections for {time:?}"));
                if let Some(slot) = self.slots.get_mut(slot) {
                    slot.refuses_until = until;
                }
            }
        }
    }

    /// Takes note of something that happens to an endpoint that shakes hands.
    fn note_handshake(&mut self, slot: usize, mischief: Mischief) {
        let shakes =
            |(id, e): &(u64, usize)| self.wires.get(id).is_some_and(|w| w.ends[*e].shakes_hands());
        if self.ends_of(slot).iter().any(shakes) {
            self.summary.note("during a handshake", mischief.name());
        }
    }

    fn millis(&mut self, most: u64) -> Duration {
        Duration::from_millis(self.random.u64(..most))
    }

    /// Two neighbours, in either order.
    fn edge(&mut self) -> (usize, usize) {
        let (a, b) = self.plan.edges[self.random.usize(..self.plan.edges.len())];
        if self.random.bool() { (a, b) } else { (b, a) }
    }

    /// As [`crate::Endpoint::peer`].
    pub(super) fn ask_for(&mut self, slot: usize, target: usize, again: bool) {
        let alias = self.random.u8(..5) == 0;
        self.ask_for_address(slot, target, alias, again);
    }

    pub(super) fn ask_for_address(&mut self, slot: usize, target: usize, alias: bool, again: bool) {
        let retry = Duration::from_millis(self.random.u64(self.plan.retry.clone()));
        let url = address(target, alias);
        let Some(node) = self.living(slot).filter(|node| node.stopping.is_none()) else { return };
        let retry = again.then_some(retry);
        let dial = node.with_machine(|table, now| table.machine.peer(url.clone(), retry, now));
        node.waiting.insert(dial, target);
        node.asked.insert((target, alias));
        if again {
            node.wanted.insert(target);
        }
        self.trace(|world| format!("{} asks for {url}, retry {retry:?}", world.name(slot)));
        self.after(slot);
    }

    /// As [`crate::Endpoint::unpeer`].
    fn unpeer(&mut self, slot: usize, target: usize) {
        let alias = self.random.u8(..5) == 0;
        let url = address(target, alias);
        let Some(node) = self.living(slot).filter(|node| node.stopping.is_none()) else { return };
        let outcome = node.with_machine(|table, now| table.machine.unpeer(&url, now));
        if outcome != Unpeer::Unknown {
            node.wanted.remove(&target);
            node.asked.remove(&(target, alias));
        }
        self.trace(|world| format!("{} unpeers {url}: {outcome:?}", world.name(slot)));
        self.after(slot);
    }

    /// Lets go of a peer and asks for it again before it is gone, or the other way round.
    fn change_mind(&mut self) {
        let (a, b) = self.edge();
        if self.random.bool() {
            let until = self.now + self.millis(3_000);
            let pipes = self.wires.values_mut().flat_map(|wire| wire.pipes.iter_mut());
            pipes.for_each(|pipe| pipe.hold(until));
        }
        for _ in 0..self.random.usize(2..5) {
            match self.random.u8(..4) {
                0 => self.unpeer_id(a),
                1 => self.unpeer(a, b),
                _ => self.ask_for(a, b, true),
            }
        }
    }

    fn unpeer_id(&mut self, slot: usize) {
        let choice = self.random.usize(..100);
        let Some(node) = self.living(slot).filter(|node| node.stopping.is_none()) else { return };
        let peers = node.router.peers();
        let Some(peer) = peers.get(choice % peers.len().max(1)).map(|peer| peer.id) else { return };
        let outcome = node.with_machine(|table, now| table.machine.unpeer_id(peer, now));
        let target = self.owners.get(&peer).copied();
        if let (Some(target), Some(node)) = (target, self.living(slot)) {
            node.wanted.remove(&target);
        }
        self.trace(|world| format!("{} unpeers {peer}: {outcome:?}", world.name(slot)));
        self.after(slot);
    }

    /// Whoever is cut for not reading is not dialled again, so it need not come back.
    pub(super) fn note_overflow(&mut self, slot: usize, fact: &Fact) {
        let Fact::Peer { change, endpoint, .. } = fact else { return };
        if *change != PeerChange::Removed(RemovalCause::Overflow) {
            return;
        }
        let peer = endpoint.id;
        let target = self.owners.get(&peer).copied();
        if let (Some(target), Some(node)) = (target, self.living(slot)) {
            node.wanted.remove(&target);
        }
    }

    fn remove_consumer(&mut self, slot: usize) {
        let choice = self.random.usize(..100);
        let Some(node) = self.living(slot) else { return };
        let consumers: Vec<u64> = node.consumers.keys().copied().collect();
        let Some(sink) = consumers.get(choice % consumers.len().max(1)) else { return };
        node.unsubscribe(*sink);
        self.trace(|world| format!("{} drops consumer {sink}", world.name(slot)));
        self.after(slot);
    }

    /// Does something to a connection.
    fn disturb(&mut self, mischief: Mischief) {
        if self.wires.is_empty() {
            return;
        }
        let at = self.random.usize(..self.wires.len());
        let Some(id) = self.wires.keys().nth(at).copied() else { return };
        let Some(mut wire) = self.wires.remove(&id) else { return };
        let (e, time) = (self.random.usize(..2), self.millis(12_000));
        self.trace(|_| format!("{mischief:?} wire {id} at end {e}, for {time:?} if it ends"));
        if wire.ends.iter().any(End::shakes_hands) {
            self.summary.note("during a handshake", mischief.name());
        }
        match mischief {
            Mischief::Cut => self.cut(id, &mut wire),
            Mischief::CutOneSide => self.cut_one_side(id, &mut wire, e),
            Mischief::BlackHole => {
                wire.black = true;
                self.miss_acknowledgement(id, &mut wire, 0);
                self.sever(id, &mut wire, 0);
                self.sever(id, &mut wire, 1);
            }
            Mischief::Hold => {
                let until = self.now + time;
                wire.pipes.iter_mut().for_each(|pipe| pipe.hold(until));
            }
            Mischief::SlowReader => wire.ends[e].slow_until = self.now + time,
            _ => wire.ends[e].paused_until = self.now + time,
        }
        self.wires.insert(id, wire);
    }

    /// Both ends learn that the connection is broken, at times of their own; what is under way
    /// ends somewhere, mostly in the middle of a frame.
    fn cut(&mut self, id: u64, wire: &mut Wire) {
        for e in 0..2 {
            let keep = self.random.u64(..=wire.pipes[e].in_flight());
            wire.pipes[e].cut(keep as usize);
            wire.pipes[e].closed = true;
            let delay = self.delay();
            wire.ends[e].broken.get_or_insert(self.now + delay);
            self.look_at_reader(id, wire, e, delay);
            self.look_at_writer(id, wire, e, delay);
        }
    }

    /// Whether two endpoints are on different sides of a parted network.
    pub(super) fn is_parted(&self, a: usize, b: usize) -> bool {
        self.sides.as_ref().is_some_and(|sides| sides.get(a) != sides.get(b))
    }

    /// Cuts every connection that leads from one side of a parted network to the other.
    pub(super) fn cut_between_sides(&mut self) {
        let parted = self.wires.iter().filter(|(_, wire)| {
            let [from, to] = &wire.ends;
            self.is_parted(from.slot, to.slot)
        });
        for id in parted.map(|(id, _)| *id).collect::<Vec<_>>() {
            let Some(mut wire) = self.wires.remove(&id) else { continue };
            self.cut(id, &mut wire);
            self.put_back(id, wire);
        }
    }

    /// One end learns that the connection is broken. The other one only does when it sends
    /// something, or when the operating system looks after a long time.
    fn cut_one_side(&mut self, id: u64, wire: &mut Wire, e: usize) {
        let delay = self.delay();
        wire.ends[e].broken.get_or_insert(self.now + delay);
        wire.pipes[e].closed = true;
        self.look_at_reader(id, wire, e, delay);
        self.look_at_writer(id, wire, e, delay);
        self.sever(id, wire, e);
    }

    /// Nothing more comes from this end, and the other one does not know.
    fn sever(&mut self, id: u64, wire: &mut Wire, e: usize) {
        self.miss_acknowledgement(id, wire, 1 - e);
        let keep = self.random.u64(..=wire.pipes[e].in_flight());
        wire.pipes[e].cut(keep as usize);
        wire.pipes[e].sever(NEVER);
        let other = &mut wire.ends[1 - e];
        if other.stage != Stage::Gone && other.dead.is_none() {
            other.dead = Some(self.now);
            if let Some(keepalive) = self.plan.keepalive {
                self.at(keepalive, What::LooksDead { wire: id, end: 1 - e });
            }
        }
    }

    /// What is under way from this end is never acknowledged, so its operating system looks closer.
    fn miss_acknowledgement(&mut self, id: u64, wire: &mut Wire, e: usize) {
        if wire.pipes[e].in_flight() > 0 && !std::mem::replace(&mut wire.ends[e].looked_at, true) {
            let delay = self.delay();
            self.at(delay, What::LooksDead { wire: id, end: e });
        }
    }

    fn freeze(&mut self, slot: usize) {
        let time = self.millis(15_000);
        let until = self.now + time;
        self.trace(|world| format!("{} sleeps for {time:?}", world.name(slot)));
        if let Some(slot) = self.slots.get_mut(slot) {
            slot.frozen_until = slot.frozen_until.max(until);
        }
    }

    fn jump_clock(&mut self, slot: usize) {
        let far = self.random.bool();
        let time = self.millis(if far { 3_600_000 } else { 20_000 });
        self.trace(|world| format!("the clock of {} jumps by {time:?}", world.name(slot)));
        let now = self.now;
        if let Some(node) = self.living(slot) {
            node.jumped += time;
            node.jumped_at = now;
            node.armed = None;
            self.after(slot);
        }
    }

    /// The process ends, and the operating system closes its connections; or the machine is gone
    /// without a word.
    fn kill(&mut self, slot: usize, without_a_word: bool) {
        let Some(life) = self.living(slot).map(|node| node.life) else { return };
        self.trace(|world| {
            let how = if without_a_word { "vanishes" } else { "crashes" };
            format!("{} {how}", world.name(slot))
        });
        for (id, e) in self.ends_of(slot) {
            let Some(mut wire) = self.wires.remove(&id) else { continue };
            if without_a_word {
                self.sever(id, &mut wire, e);
                wire.ends[e].let_go();
            } else {
                self.gone(id, &mut wire, e);
            }
            self.put_back(id, wire);
        }
        self.ledger.died(life);
        if let Some(place) = self.slots.get_mut(slot) {
            place.node = None;
        }
        let pause = self.millis(5_000);
        self.at(pause, What::Start { slot });
    }

    pub(super) fn shut_down(&mut self, slot: usize) {
        let now = self.now;
        let Some(node) = self.living(slot).filter(|node| node.stopping.is_none()) else { return };
        node.stopping = Some(now);
        node.with_machine(|table, now| table.machine.shut_down(now));
        self.trace(|world| format!("{} shuts down", world.name(slot)));
        self.after(slot);
    }
}
