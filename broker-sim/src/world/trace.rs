//! What happened, for people.

use super::{What, World};
use broker_proto::EndpointId;
use std::collections::BTreeMap;

/// A line for everything that happens.
#[derive(Default)]
pub(crate) struct Trace {
    pub(super) lines: Vec<String>,
    /// Whether the turns of readers, writers and consumers are recorded as well.
    pub(crate) steps: bool,
}

impl Trace {
    /// Records nothing yet; with `steps`, the turns of readers, writers and consumers as well.
    pub(crate) fn new(steps: bool) -> Self {
        Self { steps, ..Self::default() }
    }

    /// The lines, with the places of endpoints in front of the beginnings of their ids.
    pub(super) fn readable(self, owners: &BTreeMap<EndpointId, usize>) -> Vec<String> {
        let mut lines = self.lines;
        for (id, slot) in owners {
            let id = id.to_string();
            let short = format!("n{slot}:{}", id.get(..4).unwrap_or_default());
            for line in &mut lines {
                if line.contains(&id) {
                    *line = line.replace(&id, &short);
                }
            }
        }
        lines
    }
}

impl World {
    /// Records what happens, if anybody wants to know.
    pub(super) fn trace(&mut self, line: impl FnOnce(&Self) -> String) {
        if self.trace.is_some() {
            let line = format!("[{:12.6}] {}", self.now.as_secs_f64(), line(self));
            if let Some(trace) = &mut self.trace {
                trace.lines.push(line);
            }
        }
    }

    pub(super) fn trace_step(&mut self, what: What) {
        if self.trace.as_ref().is_some_and(|trace| trace.steps) {
            self.trace(|_| format!("  {what:?}"));
        }
    }

    /// Records how everything stands.
    pub(super) fn picture(&mut self) {
        let mut lines = Vec::new();
        for (slot, place) in self.slots.iter().enumerate() {
            let name = self.name(slot);
            let Some(node) = &place.node else { continue };
            for peer in node.router.peers() {
                let (id, conn, stats) = (peer.id, peer.conn, peer.queue.stats());
                lines.push(format!("{name} is peered with {id} on {conn}: {stats:?}"));
            }
            for (id, consumer) in &node.consumers {
                let (stats, idle) = (consumer.sink.queue.stats(), consumer.idle);
                lines.push(format!("{name} consumer {id}, idle {idle}: {stats:?}"));
            }
            if node.blocked.is_some() {
                lines.push(format!("{name} has a publisher that waits for room"));
            }
        }
        for (id, wire) in &self.wires {
            for (end, pipe) in wire.ends.iter().zip(&wire.pipes) {
                lines.push(format!("wire {id}: {end}, {} bytes under way", pipe.in_flight()));
            }
        }
        for line in lines {
            self.trace(|_| line);
        }
    }

    /// Whose name goes into the trace.
    pub(super) fn name(&self, slot: usize) -> String {
        let life = self.slots.get(slot).and_then(|slot| slot.node.as_ref()).map(|node| node.life);
        match life {
            Some(life) => format!("n{slot}.{life}"),
            None => format!("n{slot}"),
        }
    }
}
