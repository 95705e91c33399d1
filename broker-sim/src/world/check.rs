//! The rules.

use super::{Touched, What, World};
use crate::node::Node;
use crate::plan::Shape;
use crate::wire::{Stage, Wire};
use broker_proto::limits::SEGMENT;
use broker_proto::peering::{Census, ConnectionId, PeerStatus};
use broker_proto::queue::{BoundedQueue, QueueStats};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

/// Which wire, and which end of it.
type Place = (u64, usize);

impl World {
    /// What has to hold at any time, for everything that the last step had to do with.
    pub(super) fn check_step(&mut self) {
        let touched = std::mem::take(&mut self.touched);
        let outcome = self.check_touched(&touched);
        self.verify(outcome);
        let state = (self.now.as_nanos() as u64) ^ self.random.clone().u64(..);
        self.summary.fingerprint = self.summary.fingerprint.rotate_left(5) ^ state;
    }

    fn check_touched(&self, touched: &Touched) -> Result<(), String> {
        for slot in &touched.slots {
            let Some(node) = &self.slots[*slot].node else { continue };
            node.is_consistent()
                .and_then(|()| node.keeps_bounds())
                .and_then(|()| self.ends_in_time(*slot, node))
                .and_then(|()| self.keeps_from_storms(node))
                .and_then(|()| {
                    let peers = node.router.peers();
                    let peers: Vec<_> = peers.iter().map(|peer| peer.id).collect();
                    self.ledger.agrees(node.life, &peers)
                })
                .map_err(|what| format!("n{slot}: {what}"))?;
        }
        for id in &touched.wires {
            if let Some(wire) = self.wires.get(id) {
                wire.adds_up().map_err(|what| format!("wire {id}: {what}"))?;
            }
        }
        if touched.peerings { self.check_pairs(&self.places()) } else { Ok(()) }
    }

    /// No message of an overlay comes over a connection more than once, whatever happens.
    fn keeps_from_storms(&self, node: &Node) -> Result<(), String> {
        if self.plan.shape != Shape::Overlay {
            return Ok(());
        }
        for peer in node.router.peers() {
            let [data, ..] = &peer.counters.messages_in;
            let (got, copies) = (data.load(Relaxed), self.copies);
            if got > copies {
                return Err(format!("got {got} messages from {}, at most {copies} exist", peer.id));
            }
        }
        Ok(())
    }

    /// Where the connections of the living endpoints are.
    pub(super) fn places(&self) -> BTreeMap<(u64, ConnectionId), Place> {
        let mut places = BTreeMap::new();
        for (id, wire) in &self.wires {
            for (e, end) in wire.ends.iter().enumerate() {
                if matches!(end.stage, Stage::Open | Stage::Lingering) {
                    places.insert((end.life, end.conn), (*id, e));
                }
            }
        }
        places
    }

    /// Two endpoints that have each other as peers have the two ends of one connection.
    fn check_pairs(&self, places: &BTreeMap<(u64, ConnectionId), Place>) -> Result<(), String> {
        for (a, b) in self.pairs() {
            let (Some(left), Some(right)) = (&self.slots[a].node, &self.slots[b].node) else {
                continue;
            };
            let (Some(to_b), Some(to_a)) = (left.router.peer(right.id), right.router.peer(left.id))
            else {
                continue;
            };
            let at = |node: &Node, conn| places.get(&(node.life, conn)).copied();
            match (at(left, to_b.conn), at(right, to_a.conn)) {
                (Some((wire, e)), Some((other, f))) if wire == other && e != f => {}
                (at_a, at_b) => {
                    return Err(format!("n{a} and n{b} are peered on {at_a:?} and {at_b:?}"));
                }
            }
        }
        Ok(())
    }

    pub(super) fn pairs(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let count = self.slots.len();
        (0..count).flat_map(move |a| (a + 1..count).map(move |b| (a, b)))
    }

    /// A handshake, and a shutdown, ends in its time.
    fn ends_in_time(&self, slot: usize, node: &Node) -> Result<(), String> {
        let late = |since: Duration, limit| {
            let began = since.max(self.slots[slot].frozen_until).max(node.jumped_at);
            self.now > began + limit + Duration::from_secs(1)
        };
        let limit = node.limits.bye + node.limits.linger;
        if node.stopping.is_some_and(|since| late(since, limit)) {
            return Err(format!("has not shut down within {limit:?}"));
        }
        let census = node.table.borrow().machine.census();
        let mut bounded = census.shaking.iter().chain(&census.leaving);
        let is_late = |deadline| late(node.world_time(deadline, Duration::ZERO), Duration::ZERO);
        match bounded.find(|(_, deadline)| is_late(*deadline)) {
            Some((conn, _)) => Err(format!("{conn} shakes hands, or leaves, after its deadline")),
            None => Ok(()),
        }
    }

    /// Takes the last view of a wire that nobody holds any more.
    pub(super) fn account(&mut self, wire: &Wire) {
        let outcome = wire.adds_up();
        self.verify(outcome);
        let lost = wire.pipes.iter().map(|pipe| pipe.lost + pipe.in_flight());
        self.summary.lost += lost.sum::<u64>();
        self.summary.dropped += wire.ends.iter().map(|end| end.dropped).sum::<u64>();
    }

    /// Takes leave of an endpoint that has shut down, when its last connection is closed.
    pub(super) fn retire(&mut self, slot: usize) {
        if !self.ends_of(slot).is_empty() {
            return;
        }
        let Some(place) = self.slots.get_mut(slot) else { return };
        let Some(mut node) = place.node.take_if(|node| node.stopped) else { return };
        let outcome = self
            .ledger
            .retired(node.life)
            .and_then(|()| node.has_nothing_left())
            .map_err(|what| format!("n{slot}: {what}"));
        self.verify(outcome);
        let (queues, sinks) = (std::mem::take(&mut node.queues), std::mem::take(&mut node.sinks));
        let memory = Arc::clone(&node.memory);
        drop(node);
        if memory.used() > 0 {
            self.broken(format!("n{slot}: {} bytes still count after the end", memory.used()));
        }
        let left = queues.iter().filter(|queue| queue.strong_count() > 0).count()
            + sinks.iter().filter(|sink| sink.strong_count() > 0).count();
        if left > 0 {
            self.broken(format!("n{slot}: {left} queues are left after the end"));
        }
        self.trace(|_| format!("n{slot} is no more"));
        if self.mischief {
            let pause = Duration::from_millis(self.random.u64(..5_000));
            self.at(pause, What::Start { slot });
        }
    }
}

impl Node {
    /// Machine, registry, connections and routes say the same.
    fn is_consistent(&self) -> Result<(), String> {
        let table = self.table.borrow();
        table.machine.check();
        let census = table.machine.census();
        if let Some((dial, _)) = self.waiting.iter().find(|(dial, _)| !census.dials.contains(dial))
        {
            return Err(format!("somebody waits for {dial:?}, which nobody knows"));
        }
        let (announced, wanted) = (table.machine.announced(), self.wanted_topics());
        if announced != wanted {
            return Err(format!("announces {announced:?} and wants {wanted:?}"));
        }
        let mut peered = census.peered.clone();
        peered.sort_by_key(|(_, id)| *id);
        if peered.windows(2).any(|pair| pair[0].1 == pair[1].1) {
            return Err(format!("two peerings with one peer: {peered:?}"));
        }
        let routed: Vec<_> = self.router.peers().iter().map(|peer| (peer.conn, peer.id)).collect();
        if routed != peered {
            return Err(format!("routes to {routed:?} and peerings {peered:?}"));
        }
        for (conn, id) in &peered {
            let registry = self.registry.borrow();
            let known = registry.get(id).map(|record| (record.status, record.conn));
            if known != Some((PeerStatus::Peered, *conn)) {
                return Err(format!("{id} is peered on {conn} and registered as {known:?}"));
            }
            let Some(handle) = table.conns.get(conn).filter(|handle| handle.peer.is_some()) else {
                return Err(format!("{id} is peered on {conn}, which is not there"));
            };
            if handle.closing.is_none() && handle.queue.has_ended() {
                return Err(format!("{id} is peered on {conn}, which is being closed by nobody"));
            }
        }
        let (registered, shaking, ended) = self.registered();
        if registered != peered.len() || shaking != census.pending {
            let Census { pending, .. } = census;
            return Err(format!(
                "{registered} registered as peered, {shaking} of {pending} shaking"
            ));
        }
        let connections = census.shaking.len() + peered.len() + census.over;
        if table.conns.len() != connections {
            return Err(format!("{} handles, {connections} connections", table.conns.len()));
        }
        if peered.len() > self.limits.peers.get() {
            return Err(format!("{} peers", peered.len()));
        }
        if ended > self.limits.remembered_peers {
            return Err(format!("{ended} ended peers are remembered"));
        }
        Ok(())
    }

    /// What its consumers want, without what is covered by something else.
    pub(super) fn wanted_topics(&self) -> Vec<Bytes> {
        uncovered(self.consumers.values().flat_map(|consumer| &consumer.topics))
    }

    /// How many peers are registered as peered, as shaking hands, and as ended.
    fn registered(&self) -> (usize, usize, usize) {
        let mut counts = (0, 0, 0);
        for record in self.registry.borrow().values() {
            match record.status {
                PeerStatus::Peered => counts.0 += 1,
                PeerStatus::Disconnected => counts.2 += 1,
                _ => counts.1 += 1,
            }
        }
        counts
    }

    fn keeps_bounds(&self) -> Result<(), String> {
        for queue in self.queues.iter().filter_map(std::sync::Weak::upgrade) {
            let limits = &self.limits;
            within(
                &queue,
                limits.outbox_messages.get(),
                limits.outbox_bytes.get(),
                limits.outbox_control_bytes.get(),
            )
            .map_err(|what| format!("an outbox {what}"))?;
        }
        for consumer in self.consumers.values() {
            let limits = &self.limits;
            let queue = &consumer.sink.queue;
            within(queue, limits.subscriber_messages.get(), limits.subscriber_bytes.get(), 0)
                .map_err(|what| format!("the queue of consumer {} {what}", consumer.sink.id))?;
            let (taken, got) = (queue.stats().taken, consumer.got);
            if taken != got {
                let id = consumer.sink.id;
                return Err(format!("consumer {id} got {got} messages, {taken} were taken"));
            }
        }
        Ok(())
    }

    /// After a shutdown.
    fn has_nothing_left(&mut self) -> Result<(), String> {
        let table = self.table.borrow();
        let census = table.machine.census();
        if census != Census::default() || !table.conns.is_empty() {
            return Err(format!("left behind: {census:?} and {} handles", table.conns.len()));
        }
        if !self.router.peers().is_empty() {
            return Err("routes are left behind".to_owned());
        }
        if !self.waiting.is_empty() || !self.opening.is_empty() {
            let Self { waiting, opening, .. } = self;
            return Err(format!("requests are left behind: {waiting:?}, {opening:?}"));
        }
        Ok(())
    }
}

/// Topics in ascending order, without those that another one covers.
pub(super) fn uncovered<'a>(topics: impl Iterator<Item = &'a Bytes> + Clone) -> Vec<Bytes> {
    let covered = |topic: &Bytes| topics.clone().any(|t| t != topic && topic.starts_with(t));
    let wanted: BTreeSet<_> = topics.clone().filter(|topic| !covered(topic)).cloned().collect();
    wanted.into_iter().collect()
}

/// Whether a queue is within its bounds, and all that was offered to it is accounted for.
fn within(
    queue: &BoundedQueue,
    messages: usize,
    memory: usize,
    control: usize,
) -> Result<(), String> {
    let stats = queue.stats();
    let QueueStats { queued, dropped, refused, pushed, taken, .. } = stats;
    if pushed + refused != taken + dropped + queued as u64 {
        return Err(format!("does not add up: {stats:?}"));
    }
    // Control frames are bounded by their bytes, of which each has at least five.
    if queued > messages + control / 5 {
        return Err(format!("holds {queued} messages, the limit is {messages}"));
    }
    if stats.memory > memory + 2 * control + 2 * SEGMENT {
        return Err(format!("holds {} bytes, the limit is {memory}", stats.memory));
    }
    Ok(())
}

impl Wire {
    /// Every byte has been handled, is under way, or was lost with the connection.
    fn adds_up(&self) -> Result<(), String> {
        for (e, pipe) in self.pipes.iter().enumerate() {
            let (from, to) = (&self.ends[e], &self.ends[1 - e]);
            let under_way = pipe.in_flight();
            if pipe.entered != pipe.left + pipe.lost + under_way {
                let (entered, left, lost) = (pipe.entered, pipe.left, pipe.lost);
                return Err(format!(
                    "{entered} in, {left} out, {lost} lost, {under_way} under way"
                ));
            }
            if from.taken != pipe.entered + from.batch.remaining() as u64 {
                let (taken, left) = (from.taken, from.batch.remaining());
                return Err(format!("{taken} taken, {} sent, {left} left", pipe.entered));
            }
            if pipe.left != to.handled + to.unhandled + to.waiting {
                let (handled, waiting) = (to.handled, to.unhandled + to.waiting);
                return Err(format!("{} read, {handled} handled, {waiting} waiting", pipe.left));
            }
        }
        Ok(())
    }
}
