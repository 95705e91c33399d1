//! Who gets which message, and what is done with messages that nobody should have sent.

mod hostile;
mod inbound;
mod outbound;
mod passages;
mod permissions;
mod runs;
mod tallies;

use super::*;
use crate::OverflowPolicy;
use crate::WriteBatch;
use crate::data::Value;
use crate::limits::FilterLimits;
use crate::peering::{ConnectionId, Dialect, LastActivity};
use crate::queue::{BoundedQueue, Bounds, Piece, Taken};
use crate::wire::envelope::{Envelope, EnvelopeType};
use crate::wire::frame::payloads;
use crate::{EndpointId, wire};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

const OWN: EndpointId = EndpointId::from_bytes([0x11; 16]);
const P: EndpointId = EndpointId::from_bytes([0xaa; 16]);
const Q: EndpointId = EndpointId::from_bytes([0xbb; 16]);
const R: EndpointId = EndpointId::from_bytes([0xcc; 16]);
const STRANGER: EndpointId = EndpointId::from_bytes([0xdd; 16]);
const NIL: EndpointId = EndpointId::NIL;

fn bounds(messages: usize, policy: OverflowPolicy) -> Bounds {
    Bounds { messages, memory: 1 << 20, control: 200, policy }
}

/// Filters of so many entries, and no more than 10 bad messages.
fn limits(entries: usize) -> InboundLimits {
    InboundLimits { filter: FilterLimits { entries, entry: 100, bytes: 1000 }, bad_messages: 10 }
}

/// An endpoint's routes: peers P, Q and R, and consumers.
struct Rig {
    router: Router,
    p: Arc<Peer>,
    q: Arc<Peer>,
    r: Arc<Peer>,
}

fn topics(list: &[&'static str]) -> Vec<Bytes> {
    list.iter().map(|topic| Bytes::from_static(topic.as_bytes())).collect()
}

fn peer(id: EndpointId, bounds: Bounds) -> Arc<Peer> {
    let queue = Arc::new(BoundedQueue::new(bounds));
    let conn = ConnectionId(u64::from(id.as_bytes()[0]));
    let heard = Arc::new(LastActivity::new(Duration::ZERO));
    let (dialect, rights) = (Dialect::One, Arc::default());
    Arc::new(Peer { id, conn, dialect, rights, queue, counters: PeerCounters::default(), heard })
}

impl Rig {
    /// P wants everything, Q what starts with `/q`, R nothing.
    fn new() -> Self {
        Self::with(true, bounds(1000, OverflowPolicy::DropOldest))
    }

    fn with(forwarding: bool, bounds: Bounds) -> Self {
        let router = Router::new(OWN, forwarding, 64, 8);
        let [p, q, r] = [P, Q, R].map(|id| peer(id, bounds));
        router.add_peer(Arc::clone(&p), topics(&[""]));
        router.add_peer(Arc::clone(&q), topics(&["/q"]));
        router.add_peer(Arc::clone(&r), Vec::new());
        Self { router, p, q, r }
    }

    fn sink(&self, id: u64, kind: SinkKind, filter: &[&'static str]) -> Arc<Sink> {
        self.sink_with(id, kind, filter, bounds(1000, OverflowPolicy::DropOldest))
    }

    fn sink_with(
        &self,
        id: u64,
        kind: SinkKind,
        filter: &[&'static str],
        bounds: Bounds,
    ) -> Arc<Sink> {
        let sink = Arc::new(Sink { id, kind, queue: BoundedQueue::new(bounds) });
        self.router.set_sink(&sink, topics(filter));
        sink
    }

    /// Publishes the number on the topic.
    fn publish(&self, origin: Origin, receiver: EndpointId, topic: &str, number: u64) -> Published {
        let payload = Value::Count(number).encode();
        self.publish_payload(origin, receiver, topic, &payload, &mut Vec::new())
    }

    fn publish_payload(
        &self,
        origin: Origin,
        receiver: EndpointId,
        topic: &str,
        payload: &[u8],
        cut: &mut Vec<ConnectionId>,
    ) -> Published {
        let mut frames = Frames::default();
        let write = |out: &mut Vec<u8>| out.extend_from_slice(payload);
        frames.add_on(&self.router, topic.as_bytes(), receiver, 1 << 20, write).unwrap();
        let targets = Targets::find(&self.router, origin, receiver, topic.as_bytes()).unwrap();
        targets.send(&self.router, &mut frames, cut)
    }

    /// Lets frames arrive from a peer in one region, until they are used up or there is something
    /// to do; returns what.
    fn arrive(&self, from: &Arc<Peer>, frames: &[Vec<u8>]) -> Vec<Progress> {
        let mut inbound = Inbound::new(Arc::clone(from), limits(100));
        self.arrive_at(&mut inbound, frames)
    }

    fn arrive_at(&self, inbound: &mut Inbound, frames: &[Vec<u8>]) -> Vec<Progress> {
        let mut region = frames.concat();
        let (mut at, mut seen) = (0, Vec::new());
        loop {
            let (done, progress) = inbound.step(&self.router, &mut region[at..]);
            at += done;
            match progress {
                Progress::Done => break,
                Progress::Wait(_) => {
                    seen.push(progress);
                    return seen;
                }
                Progress::Notice(_) => seen.push(progress),
            }
        }
        assert_eq!(at, region.len(), "whole frames are used up");
        seen
    }
}

fn frame(envelope: &Envelope<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    envelope.put_frame(&mut out).unwrap();
    out
}

/// A data message with a number in it.
fn data(sender: EndpointId, receiver: EndpointId, topic: &str, number: u64) -> Vec<u8> {
    data_with(sender, receiver, topic, &Value::Count(number).encode(), 16)
}

fn data_with(
    sender: EndpointId,
    receiver: EndpointId,
    topic: &str,
    payload: &[u8],
    ttl: u16,
) -> Vec<u8> {
    let topic = topic.as_bytes();
    frame(&Envelope { sender, receiver, kind: EnvelopeType::Data, ttl, topic, payload })
}

/// What a message said: topic, number, who sent it, hops left.
type Got = (String, u64, EndpointId, u16);

fn read(bytes: &[u8]) -> Vec<Got> {
    payloads(bytes)
        .map(|payload| {
            let envelope = Envelope::decode(payload).unwrap();
            let topic = String::from_utf8_lossy(envelope.topic).into_owned();
            let number = match Value::decode(envelope.payload) {
                Ok(Value::Count(number)) => number,
                _ => 0,
            };
            (topic, number, envelope.sender, envelope.ttl)
        })
        .collect()
}

/// Everything that waits for a peer.
fn sent(peer: &Peer) -> Vec<Got> {
    read(&bytes_for(peer))
}

fn bytes_for(peer: &Peer) -> Vec<u8> {
    let (mut batch, mut bytes) = (WriteBatch::new(), Vec::new());
    while peer.queue.take(&mut batch) == Taken::Some {
        while !batch.is_empty() {
            bytes.extend_from_slice(batch.first());
            batch.advance(batch.first().len());
        }
    }
    bytes
}

/// The numbers that wait for a consumer.
fn delivered(sink: &Sink) -> Vec<u64> {
    let mut numbers = Vec::new();
    while let Ok(piece) = sink.queue.take_piece() {
        let bytes = match &piece {
            Piece::Shared(frame) => &frame[..],
            Piece::Segment { bytes, skip, .. } => &bytes[*skip..],
        };
        numbers.extend(read(bytes).into_iter().map(|(_, number, ..)| number));
    }
    numbers
}

fn numbers(peer: &Peer) -> Vec<u64> {
    sent(peer).into_iter().map(|(_, number, ..)| number).collect()
}
