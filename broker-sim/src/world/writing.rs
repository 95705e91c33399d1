//! What the writing task of a real connection does.

use super::{What, World};
use crate::wire::{Stage, Wire};
use broker_proto::Failure;
use broker_proto::queue::Taken;
use broker_proto::{Reason, TransportError};
use std::time::Duration;

impl World {
    pub(super) fn look_at_writer(&mut self, id: u64, wire: &mut Wire, e: usize, after: Duration) {
        let at = self.now + after;
        let end = &mut wire.ends[e];
        if !end.written && end.write_at.is_none_or(|planned| at < planned) {
            end.write_at = Some(at);
            self.at(after, What::Write { wire: id, end: e });
        }
    }

    /// The writing task gets its turn.
    pub(super) fn write(&mut self, id: u64, wire: &mut Wire, e: usize) {
        let now = self.now;
        let end = &mut wire.ends[e];
        end.write_at = None;
        let (slot, life) = (end.slot, end.life);
        if end.written || !matches!(end.stage, Stage::Open | Stage::Lingering) {
            return;
        }
        let Some(queue) = end.queue.clone() else { return };
        if end.batch.is_empty() {
            match queue.take(&mut end.batch) {
                Taken::Some => {
                    end.taken += end.batch.remaining() as u64;
                    end.progress = now;
                    if !std::mem::replace(&mut end.watched, true) {
                        let limit = self.node_mut(slot, life).map(|n| n.limits.stalled_write);
                        self.at(limit.unwrap_or_default(), What::Stalled { wire: id, end: e });
                    }
                }
                Taken::Idle => {
                    end.idle = true;
                    return;
                }
                Taken::Closed => {
                    end.written = true;
                    self.finish_pipe(id, wire, e);
                    return self.gone_if_done(id, wire, e);
                }
            }
        }
        self.send(id, wire, e);
    }

    fn send(&mut self, id: u64, wire: &mut Wire, e: usize) {
        let now = self.now;
        let (delay, soon) = (self.delay(), self.soon());
        let Wire { ends, pipes, .. } = &mut *wire;
        let (end, pipe) = (&mut ends[e], &mut pipes[e]);
        if pipe.closed {
            let after = now + delay;
            let broken = *end.broken.get_or_insert(after);
            if broken <= now {
                return self.writer_failed(id, wire, e, reset().into());
            }
            return self.look_at_writer(id, wire, e, broken - now);
        }
        if end.dead.is_some() && !std::mem::replace(&mut end.looked_at, true) {
            // The first byte that nobody acknowledges lets the operating system look closer.
            self.at(delay, What::LooksDead { wire: id, end: e });
        }
        let room = pipe.room().min(self.random.usize(1..20_000));
        let count = end.batch.first().len().min(room);
        if count > 0 {
            pipe.push(now + delay, end.batch.first().get(..count).unwrap_or_default());
            end.batch.advance(count);
            end.progress = now;
        }
        let more = room > 0;
        self.look_at_reader(id, wire, 1 - e, delay);
        if more {
            self.look_at_writer(id, wire, e, soon);
        }
    }

    /// The time is over in which a write should have got on.
    pub(super) fn stalled(&mut self, id: u64, wire: &mut Wire, e: usize) {
        let end = &mut wire.ends[e];
        end.watched = !(end.written || end.batch.is_empty() || end.stage == Stage::Gone);
        if !end.watched {
            return;
        }
        let Some(node) = self.node_mut(end.slot, end.life) else { return };
        let limit = node.limits.stalled_write;
        let waited = self.now - end.progress;
        if waited >= limit {
            return self.writer_failed(id, wire, e, Failure::StalledWrite(limit));
        }
        self.at(limit - waited, What::Stalled { wire: id, end: e });
    }

    pub(super) fn writer_failed(&mut self, id: u64, wire: &mut Wire, e: usize, failure: Failure) {
        let end = &mut wire.ends[e];
        end.failure.get_or_insert(failure);
        (end.written, end.stopped) = (true, true);
        self.look_at_reader(id, wire, e, Duration::ZERO);
        self.gone_if_done(id, wire, e);
    }
}

pub(super) fn reset() -> TransportError {
    TransportError::new(Reason::Reset, "the connection was reset")
}
