//! Who has to get a message, found out in the plainest way there is, to be compared with what the
//! data path did.

use super::node::Node;
use super::target::{Target, To};
use broker_proto::EndpointId;
use broker_proto::peering::ConnectionId;
use broker_proto::routing::{Origin, Peer, SinkKind};
use broker_proto::session::Receiver;
use broker_proto::wire::envelope::{Envelope, EnvelopeType, passage};
use broker_proto::wire::frame::payloads;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// Every queue that a message could go to.
fn targets(node: &Node) -> Vec<Target> {
    let peers = node.router.peers().into_iter().map(|peer| {
        let filter = node.router.peer_filter(peer.id).unwrap_or_default();
        (To::Peer(peer), filter)
    });
    let sinks = node
        .consumers
        .values()
        .map(|consumer| (To::Sink(Arc::clone(&consumer.sink)), consumer.topics.clone()));
    let mut targets: Vec<Target> =
        peers.chain(sinks).map(|(to, filter)| Target::new(to, filter)).collect();
    start(&mut targets);
    targets
}

pub(super) fn start(targets: &mut [Target]) {
    for target in targets {
        target.before = target.offered();
    }
}

pub(super) fn compare(targets: &[Target]) -> Result<(), String> {
    for target in targets {
        let offered = target.offered() - target.before;
        if offered != target.expected {
            let to = match &target.to {
                To::Peer(peer) => format!("peer {}", peer.id),
                To::Sink(sink) => format!("consumer {}", sink.id),
            };
            let expected = target.expected;
            return Err(format!("offered {offered} messages to {to} instead of {expected}"));
        }
    }
    Ok(())
}

/// Where a message of the endpoint itself has to go.
pub(super) fn published(
    node: &Node,
    origin: Origin,
    receiver: EndpointId,
    topic: &[u8],
) -> Vec<Target> {
    let mut targets = targets(node);
    if !node.is_simple {
        targets.retain(|target| matches!(target.to, To::Sink(_)));
    }
    for target in &mut targets {
        let goes = match &target.to {
            To::Peer(peer) if receiver.is_nil() => peer.id != node.id && target.wants(topic),
            To::Peer(peer) => peer.id == receiver,
            To::Sink(sink) => {
                let own = origin == Origin::Hub(sink.id);
                let visible = matches!(
                    (origin, sink.kind),
                    (Origin::Endpoint, SinkKind::Hub) | (Origin::Hub(_), _)
                );
                target.wants(topic) && !own && (visible || receiver == node.id)
            }
        };
        target.expected = u64::from(goes);
    }
    targets
}

/// An endpoint that is about to look at what has arrived on a connection.
pub(super) struct Arrival {
    targets: Vec<Target>,
    pending: Vec<u8>,
    source: Option<Arc<Peer>>,
    bytes_in: u64,
}

impl Arrival {
    pub(super) fn new(node: &Node, conn: ConnectionId, reception: &mut Receiver) -> Self {
        let source = source(node, conn);
        let bytes_in = source.as_ref().map_or(0, |peer| peer.counters.bytes_in.load(Relaxed));
        let pending = reception.buffer().pending().to_vec();
        Self { targets: targets(node), pending, source, bytes_in }
    }

    /// Checks what the endpoint has done with it, and says how many bytes that were.
    pub(super) fn compare(
        mut self,
        node: &Node,
        conn: ConnectionId,
        reception: &mut Receiver,
    ) -> Result<u64, String> {
        let pending = std::mem::take(&mut self.pending);
        let handled = pending.len() - reception.buffer().pending().len();
        let Some(peer) = self.source.take().or_else(|| source(node, conn)) else {
            return Ok(handled as u64);
        };
        let mut bytes = 0;
        for payload in payloads(pending.get(..handled).unwrap_or_default()) {
            // Handshake messages have small numbers where envelopes have the id of their sender.
            let Some(envelope) = Envelope::decode(payload)
                .ok()
                .filter(|e| e.sender == peer.id || passage(payload).is_some())
            else {
                continue;
            };
            bytes += payload.len() as u64 + 4;
            self.expect(node, &peer, &envelope);
        }
        let counted = peer.counters.bytes_in.load(Relaxed) - self.bytes_in;
        if counted != bytes {
            return Err(format!("counted {counted} bytes of {} instead of {bytes}", peer.id));
        }
        if node.is_simple {
            compare(&self.targets)?;
        }
        Ok(handled as u64)
    }

    fn expect(&mut self, node: &Node, source: &Peer, envelope: &Envelope<'_>) {
        if envelope.kind != EnvelopeType::Data {
            return;
        }
        let everyone = envelope.receiver.is_nil();
        for target in &mut self.targets {
            let goes = match &target.to {
                To::Peer(peer) => {
                    let addressed = match everyone {
                        true => target.wants(envelope.topic),
                        false => envelope.receiver == peer.id,
                    };
                    let passed_on = node.router.forwarding && envelope.ttl > 1;
                    passed_on && peer.id != source.id && addressed
                }
                To::Sink(_) => {
                    (everyone || envelope.receiver == node.id) && target.wants(envelope.topic)
                }
            };
            target.expected += u64::from(goes);
        }
    }
}

fn source(node: &Node, conn: ConnectionId) -> Option<Arc<Peer>> {
    node.table.borrow().conns.get(&conn).and_then(|handle| handle.peer.clone())
}
