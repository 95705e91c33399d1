//! What the reading task of a real connection does.

use super::writing::reset;
use super::{What, World, ready};
use crate::wire::{Stage, Wire};
use broker_proto::Failure;
use broker_proto::TransportError;
use broker_proto::session::{self, ReadInterest};
use std::time::Duration;

impl World {
    pub(super) fn look_at_reader(&mut self, id: u64, wire: &mut Wire, e: usize, after: Duration) {
        let at = self.now + after;
        let end = &mut wire.ends[e];
        if end.read_at.is_none_or(|planned| at < planned) {
            end.read_at = Some(at);
            self.at(after, What::Read { wire: id, end: e });
        }
    }

    /// The reading task gets its turn.
    pub(super) fn read(&mut self, id: u64, wire: &mut Wire, e: usize) {
        let now = self.now;
        let end = &mut wire.ends[e];
        end.read_at = None;
        match end.stage {
            Stage::Opening | Stage::Gone => return,
            Stage::Open if end.stopped => return self.finish(id, wire, e, Failure::Cancelled),
            _ => {}
        }
        if end.paused_until > now {
            let after = end.paused_until - now;
            return self.look_at_reader(id, wire, e, after);
        }
        if end.room.take_if(|sink| ready(sink.queue.room()).is_some()).is_some() {
            self.look_at_reader(id, wire, e, Duration::ZERO);
            return self.advance(id, wire, e);
        }
        if end.room.is_none() {
            self.receive(id, wire, e);
        }
    }

    fn receive(&mut self, id: u64, wire: &mut Wire, e: usize) {
        let now = self.now;
        let Wire { ends, pipes, .. } = &mut *wire;
        let (end, pipe) = (&mut ends[e], &mut pipes[1 - e]);
        let slow = end.slow_until > now && end.stage == Stage::Open;
        let most = match &mut end.reception {
            Some(reception) if end.stage == Stage::Open => {
                let spare = reception.buffer().spare();
                let most = if slow { 50 } else { 70_000 };
                (spare.capacity() - spare.len()).min(self.random.usize(1..most))
            }
            _ => usize::MAX,
        };
        let bytes = pipe.take(now, most);
        if !bytes.is_empty() {
            let stage = end.stage;
            if let (Some(reception), Stage::Open) = (&mut end.reception, stage) {
                reception.buffer().spare().extend_from_slice(&bytes);
                reception.buffer().filled(bytes.len());
                end.waiting += bytes.len() as u64;
            } else {
                end.handled += bytes.len() as u64;
            }
            let soon = self.soon();
            self.look_at_writer(id, wire, 1 - e, soon);
            let next = if slow { Duration::from_millis(5) } else { self.soon() };
            self.look_at_reader(id, wire, e, next);
            if stage == Stage::Open {
                self.advance(id, wire, e);
            }
            return;
        }
        let broken = end.broken.is_some_and(|broken| broken <= now);
        if broken || pipe.is_finished(now) {
            let failure = if broken { reset() } else { TransportError::closed() };
            return match end.stage {
                Stage::Lingering => {
                    end.drained = true;
                    self.gone_if_done(id, wire, e);
                }
                _ => self.finish(id, wire, e, failure.into()),
            };
        }
        let next = [pipe.next_arrival(), end.broken].into_iter().flatten().min();
        if let Some(next) = next {
            self.look_at_reader(id, wire, e, next.saturating_sub(now));
        }
    }

    /// The endpoint looks at what has arrived.
    fn advance(&mut self, id: u64, wire: &mut Wire, e: usize) {
        let end = &mut wire.ends[e];
        let (slot, life, conn) = (end.slot, end.life, end.conn);
        let Some(mut reception) = end.reception.take() else { return };
        let Some(node) = self.node_mut(slot, life) else { return };
        let before = crate::oracle::Arrival::new(node, conn, &mut reception);
        let outcome = reception.advance(&*node);
        let verdict = before.compare(node, conn, &mut reception);
        let shaking = !reception.is_peered();
        end.reception = Some(reception);
        match verdict {
            Ok(handled) => {
                end.handled += handled;
                end.waiting -= handled;
            }
            Err(what) => self.broken(format!("{} {what}", self.name(slot))),
        }
        match outcome {
            Ok(ReadInterest::Bytes) => {}
            Ok(ReadInterest::Room(sink)) => wire.ends[e].room = Some(sink),
            Err(failure) => return self.finish(id, wire, e, failure),
        }
        if shaking && self.plan.worst_moment && self.mischief && self.random.u8(..16) == 0 {
            self.at(Duration::ZERO, What::Surprise);
        }
    }

    /// The connection is over for the endpoint.
    pub(super) fn finish(&mut self, id: u64, wire: &mut Wire, e: usize, failure: Failure) {
        let end = &mut wire.ends[e];
        end.stage = Stage::Lingering;
        end.room = None;
        if end.has_part_of_a_frame() {
            self.summary.note("moments", "end in the middle of a frame");
        }
        end.forget_reception();
        let failure = end.failure.take().unwrap_or(failure);
        let (slot, life, conn) = (end.slot, end.life, end.conn);
        let queue = end.queue.clone();
        self.trace(|world| format!("{} is done with wire {id}: {failure}", world.name(slot)));
        let Some(node) = self.node_mut(slot, life) else { return };
        let linger = node.limits.linger;
        if let Some(queue) = queue {
            session::finish(&*node, conn, &queue, failure);
        }
        self.at(linger, What::LingerOver { wire: id, end: e });
        self.look_at_writer(id, wire, e, Duration::ZERO);
        self.look_at_reader(id, wire, e, Duration::ZERO);
    }

    pub(super) fn linger_over(&mut self, id: u64, wire: &mut Wire, e: usize) {
        if wire.ends[e].stage == Stage::Lingering {
            self.gone(id, wire, e);
        }
    }
}
