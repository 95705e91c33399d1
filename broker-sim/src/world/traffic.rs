//! Publishers and consumers.

use super::{What, World, ready};
use crate::ledger::{Delivery, Order};
use crate::message;
use crate::node::{Blocked, Consumer};
use crate::oracle;
use crate::plan::Shape;
use broker_proto::EndpointId;
use broker_proto::SubscriberPolicy;
use broker_proto::queue::{Piece, Taken};
use broker_proto::routing::{Frames, Origin, SinkKind, Targets};
use broker_proto::session::EndpointContext;
use broker_proto::wire::envelope::Envelope;
use broker_proto::wire::frame::payloads;
use bytes::Bytes;
use std::time::Duration;

const TOPICS: [&str; 8] = ["", "/", "/a", "/a/b", "/a/b/c", "/b", "/b/a", "x"];

impl World {
    pub(super) fn topic(&mut self) -> Bytes {
        Bytes::from_static(TOPICS[self.random.usize(..TOPICS.len())].as_bytes())
    }

    /// Gives a new endpoint a few consumers.
    pub(super) fn furnish(&mut self, slot: usize) {
        for _ in 0..self.random.usize(1..4) {
            self.add_consumer(slot);
        }
        self.after(slot);
    }

    pub(super) fn add_consumer(&mut self, slot: usize) {
        let kind = if self.random.bool() { SinkKind::Subscriber } else { SinkKind::Hub };
        let policies =
            [SubscriberPolicy::DropNewest, SubscriberPolicy::DropOldest, SubscriberPolicy::Wait];
        let policy = policies[self.random.usize(..policies.len())];
        let mut topics: Vec<Bytes> = (0..self.random.usize(1..4)).map(|_| self.topic()).collect();
        topics.sort_unstable();
        topics.dedup();
        self.trace(|world| format!("{} adds a {kind:?} of {topics:?}", world.name(slot)));
        if let Some(node) = self.living(slot) {
            node.subscribe(kind, topics, policy);
        }
    }

    pub(super) fn next_traffic(&mut self) {
        if !self.mischief {
            return;
        }
        let pause = self.random.u64(..2 * self.plan.traffic);
        self.at(Duration::from_micros(pause), What::Traffic);
        let slot = self.random.usize(..self.slots.len());
        let asleep = self.slots.get(slot).is_none_or(|slot| slot.frozen_until > self.now);
        let (topic, large) = (self.topic(), self.random.u8(..100) < self.plan.large);
        let size = if large { self.random.usize(..9_000) } else { self.random.usize(..60) };
        let burst = self.random.u64(self.plan.burst.clone());
        let (addressed, as_hub) = (self.random.u8(..10) == 0, self.random.u8(..4) == 0);
        let choice = self.random.usize(..100);
        let Some(node) = self.living(slot).filter(|_| !asleep) else { return };
        let peers = node.router.peers();
        let receiver = match addressed {
            true if peers.is_empty() => node.id,
            true => peers.get(choice % peers.len()).map_or(EndpointId::NIL, |peer| peer.id),
            false => EndpointId::NIL,
        };
        let hub = node.consumers.values().find(|consumer| consumer.sink.kind == SinkKind::Hub);
        let origin = match hub.filter(|_| as_hub) {
            Some(hub) => Origin::Hub(hub.sink.id),
            None => Origin::Endpoint,
        };
        for _ in 0..burst {
            self.publish(slot, origin, receiver, &topic, size);
        }
    }

    /// As [`crate::Endpoint::publish`], unless the publisher still waits for room.
    pub(super) fn publish(
        &mut self,
        slot: usize,
        origin: Origin,
        receiver: EndpointId,
        topic: &[u8],
        size: usize,
    ) {
        let Some(node) = self.living(slot) else { return };
        if node.stopping.is_some() || node.blocked.is_some() {
            return;
        }
        node.published += 1;
        let (life, number) = (node.life, node.published);
        let write = |out: &mut Vec<u8>| message::put(out, life, number, size);
        let limit = node.limits.frame.get();
        let mut frames = Frames::default();
        let encoded = frames.add_on(&node.router, topic, receiver, limit, write);
        let targets = Targets::find(&node.router, origin, receiver, topic);
        let (Ok(()), Ok(targets)) = (encoded, targets) else {
            return self.broken("a message was refused".to_owned());
        };
        let expected = oracle::published(node, origin, receiver, topic);
        node.blocked = Some(Blocked { frames, targets, expected });
        self.summary.published += 1;
        // Until relays have heard of each other, each one that gets a message of version 1 brings
        // it in for itself.
        let relays = self.plan.kinds.iter().filter(|kind| kind.forwarding).count() as u64;
        self.copies += if self.plan.kinds[slot].version == 1 { relays } else { 1 };
        self.hand_over(slot);
    }

    /// Lets a message go that has waited for room, if there is some.
    fn hand_over(&mut self, slot: usize) {
        let Some(node) = self.living(slot) else { return };
        let goes = |blocked: &mut Blocked| ready(blocked.targets.room()).is_some();
        let Some(Blocked { mut frames, targets, mut expected }) = node.blocked.take_if(goes) else {
            return;
        };
        oracle::start(&mut expected);
        let mut cut = Vec::new();
        targets.send(&node.router, &mut frames, &mut cut);
        let verdict = oracle::compare(&expected);
        drop((expected, targets));
        for conn in cut {
            node.with_machine(|table, _| table.machine.overflow(conn));
        }
        let verdict = verdict.map_err(|what| format!("{} {what}", self.name(slot)));
        self.verify(verdict);
        self.after(slot);
    }

    /// Lets consumers go on that were waiting for a message, and publishers that wait for room.
    pub(super) fn wake_consumers(&mut self, slot: usize) {
        let Some(node) = self.living(slot) else { return };
        let life = node.life;
        let mut woken = Vec::new();
        for (sink, consumer) in &mut node.consumers {
            if consumer.idle && ready(consumer.sink.queue.changed()).is_some() {
                consumer.idle = false;
            }
            if !consumer.idle && !consumer.scheduled {
                consumer.scheduled = true;
                woken.push(*sink);
            }
        }
        let blocked = node.blocked.is_some();
        for sink in woken {
            let delay = match self.random.u8(..20) {
                0 if self.mischief => Duration::from_millis(self.random.u64(..2_000)),
                _ => self.soon(),
            };
            self.at(delay, What::Consume { slot, life, sink });
        }
        if blocked {
            self.hand_over(slot);
        }
    }

    /// What has to hold for messages of a publisher at a consumer of an endpoint of this version.
    fn order(&self, version: u8, publisher: u64) -> Order {
        let from = self.born.get(&publisher).map_or(1, |slot| self.plan.kinds[*slot].version);
        match (self.plan.shape, version, from) {
            (Shape::Overlay, 2, 2) => Order::Once,
            (Shape::Overlay, ..) => Order::Any,
            _ => Order::ByPath,
        }
    }

    fn consumer(&mut self, slot: usize, life: u64, sink: u64) -> Option<&mut Consumer> {
        self.node_mut(slot, life)?.consumers.get_mut(&sink)
    }

    /// A consumer gets its turn.
    pub(super) fn consume(&mut self, slot: usize, life: u64, sink: u64) {
        let Some(consumer) = self.consumer(slot, life, sink) else { return };
        consumer.scheduled = false;
        let piece = match consumer.sink.queue.take_piece() {
            Ok(piece) => piece,
            Err(taken) => {
                consumer.idle = taken == Taken::Idle || taken == Taken::Closed;
                return;
            }
        };
        let bytes = match &piece {
            Piece::Shared(frame) => &frame[..],
            Piece::Segment { bytes, skip, .. } => bytes.get(*skip..).unwrap_or_default(),
        };
        let mut got = Vec::new();
        let version = self.slots[slot].node.as_ref().map_or(1, |node| node.version);
        for payload in payloads(bytes) {
            let envelope = Envelope::decode(payload);
            let read = envelope.ok().and_then(|e| {
                let (publisher, number) = message::read(e.payload)?;
                let order = self.order(version, publisher);
                Some(Delivery { sink, via: e.sender, ttl: e.ttl, publisher, number, order })
            });
            got.extend(read);
        }
        if got.len() != piece.frames() {
            self.broken(format!("n{slot} was delivered something that it cannot read"));
        }
        if let Some(consumer) = self.consumer(slot, life, sink) {
            consumer.got += got.len() as u64;
        }
        self.summary.delivered += got.len() as u64;
        for delivery in got {
            let verdict = self.ledger.received(life, delivery);
            self.verify(verdict);
            self.note_probe(slot, sink, delivery.publisher);
        }
        self.after(slot);
    }
}
