//! The last moments of a connection, and how its two ends learn of each other's.

use super::{What, World, ready};
use crate::wire::{Stage, Wire};
use std::time::Duration;

/// How long the operating system sends again to an address that does not answer.
const RETRANSMIT: Duration = Duration::from_secs(60);

impl World {
    pub(super) fn gone_if_done(&mut self, id: u64, wire: &mut Wire, e: usize) {
        let end = &wire.ends[e];
        if end.stage == Stage::Lingering && end.written && end.drained {
            self.gone(id, wire, e);
        }
    }

    pub(super) fn finish_pipe(&mut self, id: u64, wire: &mut Wire, e: usize) {
        let delay = self.delay();
        wire.pipes[e].finish(self.now + delay);
        let until = wire.pipes[e].next_arrival().map(|at| at.saturating_sub(self.now));
        self.look_at_reader(id, wire, 1 - e, until.unwrap_or(delay));
    }

    /// The endpoint lets go of its end; what the other side sends from now on breaks the
    /// connection, and so does what it has sent and nobody has read.
    pub(super) fn gone(&mut self, id: u64, wire: &mut Wire, e: usize) {
        let end = &mut wire.ends[e];
        if end.stage == Stage::Gone {
            return;
        }
        end.let_go();
        let slot = end.slot;
        self.trace(|world| format!("{} lets go of wire {id}", world.name(slot)));
        if wire.black {
            wire.pipes[1 - e].cut(0);
            return;
        }
        let delay = self.delay();
        let now = self.now;
        let unread = wire.pipes[1 - e].in_flight() > 0;
        wire.pipes[1 - e].cut(0);
        wire.pipes[1 - e].closed = true;
        self.finish_pipe(id, wire, e);
        if unread {
            wire.ends[1 - e].broken.get_or_insert(now + delay);
            if self.random.bool() {
                wire.pipes[e].cut(0);
            }
            self.look_at_reader(id, wire, 1 - e, delay);
        }
        self.look_at_writer(id, wire, 1 - e, delay);
    }

    /// Looks whether the machine at the other end, which has vanished, has come back and says that
    /// it knows nothing of this connection, or has been away for too long.
    pub(super) fn looks_dead(&mut self, id: u64, wire: &mut Wire, e: usize) {
        let end = &mut wire.ends[e];
        let Some(since) = end.dead.filter(|_| end.stage != Stage::Gone) else { return };
        let other = wire.ends[1 - e].slot;
        let back = !wire.black && self.slots.get(other).is_some_and(|slot| slot.node.is_some());
        if back || self.now >= since + RETRANSMIT {
            wire.ends[e].broken.get_or_insert(self.now);
            wire.pipes[e].closed = true;
            self.look_at_reader(id, wire, e, Duration::ZERO);
            self.look_at_writer(id, wire, e, Duration::ZERO);
        } else {
            self.at(Duration::from_secs(1), What::LooksDead { wire: id, end: e });
        }
    }

    /// Lets readers and writers of an endpoint go on that were waiting for something.
    pub(super) fn wake_wires(&mut self, slot: usize) {
        for (id, e) in self.ends_of(slot) {
            let Some(mut wire) = self.wires.remove(&id) else { continue };
            let end = &mut wire.ends[e];
            let changed = end
                .queue
                .as_ref()
                .is_some_and(|queue| end.idle && ready(queue.changed()).is_some());
            if changed {
                end.idle = false;
            }
            let closed = end.queue.as_ref().is_some_and(|queue| queue.is_closed());
            if end.stage == Stage::Open && !end.stopped && closed {
                end.stopped = true;
                let soon = self.soon();
                self.look_at_reader(id, &mut wire, e, soon);
            }
            let room = wire.ends[e].room.as_ref().is_some_and(|sink| !sink.queue.is_full());
            if room {
                let soon = self.soon().max(wire.ends[e].paused_until.saturating_sub(self.now));
                self.look_at_reader(id, &mut wire, e, soon);
            }
            if changed {
                let soon = self.soon();
                self.look_at_writer(id, &mut wire, e, soon);
            }
            self.wires.insert(id, wire);
        }
    }
}
