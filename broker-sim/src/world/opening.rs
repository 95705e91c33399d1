//! Opening connections, and making them known to the endpoints.

use super::{What, World, address};
use crate::wire::{End, Pipe, Stage, Wire};
use broker_proto::Address;
use broker_proto::peering::{DialId, Opened};
use broker_proto::session::{EndpointContext, Receiver};
use broker_proto::{Link, Protection, Reason, TransportError};
use std::time::Duration;

impl World {
    /// The machine wants a connection.
    pub(super) fn dial(&mut self, slot: usize, life: u64, dial: DialId, url: &Address) {
        let alias = url.host().starts_with('a');
        let digits = url.host().trim_start_matches(|c: char| c.is_ascii_alphabetic());
        let Ok(target) = digits.parse() else { return };
        debug_assert_eq!(*url, address(target, alias));
        if let Some(node) = self.node_mut(slot, life) {
            node.opening.insert(dial);
        }
        let delay = self.soon();
        self.at(delay, What::Open { slot, life, dial: dial.0, target, alias });
    }

    /// Somebody answers at the other end, or not.
    pub(super) fn open(&mut self, slot: usize, life: u64, dial: u64, target: usize, alias: bool) {
        let now = self.now;
        let Some(node) = self.node_mut(slot, life) else { return };
        if !node.opening.contains(&DialId(dial)) {
            return;
        }
        let parted = self.is_parted(slot, target);
        let there = self.slots.get(target).filter(|there| there.refuses_until <= now && !parted);
        let Some(other) = there.and_then(|there| there.node.as_ref()).filter(|n| !n.stopped) else {
            // Refused at once, or nobody answers.
            let after = if self.random.bool() { self.soon() } else { Duration::from_secs(3) };
            self.at(after, What::DialFailed { slot, life, dial });
            return;
        };
        let other = other.life;
        self.note_crossing(slot, target);
        if let Some(node) = self.node_mut(slot, life) {
            node.opening.remove(&DialId(dial));
        }
        self.last_wire += 1;
        let (id, capacity) = (self.last_wire, self.plan.capacity);
        let ends = [End::new(slot, life, Some(DialId(dial))), End::new(target, other, None)];
        let pipes = [Pipe::new(capacity), Pipe::new(capacity)];
        self.wires.insert(id, Box::new(Wire { ends, pipes, black: false }));
        self.trace(|world| {
            let (from, to) = (world.name(slot), address(target, alias));
            format!("{from} opens wire {id} to {to}, {}", world.name(target))
        });
        let delay = self.soon();
        self.at(delay, What::Register { wire: id, end: 0 });
        let delay = self.delay();
        self.at(delay, What::Register { wire: id, end: 1 });
    }

    /// Takes note of two endpoints that dial each other at the same time.
    fn note_crossing(&mut self, slot: usize, target: usize) {
        let crosses = self.wires.values().any(|wire| {
            let [from, to] = &wire.ends;
            let young = from.stage <= Stage::Open && !from.is_peered();
            (from.slot, to.slot) == (target, slot) && young
        });
        if crosses && slot != target {
            self.summary.note("moments", "both sides dial at once");
        }
    }

    pub(super) fn dial_failed(&mut self, slot: usize, life: u64, dial: u64) {
        let Some(node) = self.node_mut(slot, life) else { return };
        if !node.opening.remove(&DialId(dial)) {
            return;
        }
        let error = TransportError::new(Reason::Refused, "nobody is there");
        node.with_machine(|table, now| table.machine.dial_failed(DialId(dial), error.into(), now));
        self.after(slot);
    }

    /// The endpoint takes note of the connection.
    pub(super) fn register(&mut self, id: u64, wire: &mut Wire, e: usize) {
        let end = &mut wire.ends[e];
        let (slot, life, dial) = (end.slot, end.life, end.dial);
        let remote = match dial {
            Some(_) => Address::new("sim", &format!("to{id}"), 1),
            None => Address::new("sim", &format!("from{id}"), 1),
        };
        let link = Link { remote, protection: Protection::InProcess };
        let Some(node) = self.node_mut(slot, life) else { return self.gone(id, wire, e) };
        let queue = node.new_queue();
        let conn = node.with_machine(|table, now| {
            let opened = dial.map_or(Opened::Accepted { began: now }, Opened::Dialled);
            let conn = table.machine.opened(opened, link.clone(), now)?;
            table.register(conn, &queue);
            Some(conn)
        });
        let Some(conn) = conn else { return self.gone(id, wire, e) };
        let reception = Receiver::new(conn, link, &node.limits, &node.memory, &queue);
        let end = &mut wire.ends[e];
        (end.conn, end.stage) = (conn, Stage::Open);
        (end.reception, end.queue) = (Some(reception), Some(queue));
        self.trace(|world| format!("{} has wire {id} as {conn}", world.name(slot)));
        self.look_at_writer(id, wire, e, Duration::ZERO);
        self.look_at_reader(id, wire, e, Duration::ZERO);
    }
}
