use broker_data::{DecodeLimits, validate};
use broker_proto::EndpointId;
use broker_proto::OverflowPolicy as Policy;
use broker_proto::fuzzing::Input;
use broker_proto::limits::FilterLimits;
use broker_proto::peering::{ConnectionId, Dialect, LastActivity, Time};
use broker_proto::queue::{BoundedQueue, Bounds, Piece, Taken};
use broker_proto::routing::{
    Inbound, InboundLimits, Notice, Peer, PeerCounters, Progress, Router, Sink, SinkKind,
};
use broker_proto::wire::command;
use broker_proto::wire::envelope::{Envelope, EnvelopeType, passage};
use broker_proto::wire::frame::payloads;
use broker_proto::wire::handshake::Role;
use broker_proto::{ReadBuffer, WriteBatch};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

const OWN: EndpointId = EndpointId::from_bytes([0x88; 16]);
const DEPTH: usize = 8;

/// Whatever a peer sends, the data path gets through it, and what comes out for others is well
/// formed, in the name of its publisher or, where the protocol has no room for that, of this
/// endpoint, and not for the one it came from.
pub(super) fn inbound(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let options = input.u8();
    let forwarding = !options.is_multiple_of(4);
    let router = Router::new(OWN, forwarding, DEPTH, 1 + input.below(4));
    let peers: Vec<Arc<Peer>> =
        [0x11, 0xee, 0x77].into_iter().map(|id| add_peer(&router, id)).collect();
    let sinks = [
        add_sink(&router, 1, Policy::DropOldest, &[b""]),
        add_sink(&router, 2, Policy::Wait, &[b"/w"]),
    ];
    let Some(source) = peers.get(usize::from(options >> 6) % peers.len()) else { return };
    let filter = FilterLimits { entries: 8, entry: 50, bytes: 100 };
    let limits = InboundLimits { filter, bad_messages: usize::from(options) };
    let mut inbound = Inbound::new(Arc::clone(source), limits);
    let mut buffer = ReadBuffer::new();
    let mut frames = 0;
    let step = 1 + usize::from(input.u8()) * 16;
    for part in input.rest().chunks(step) {
        buffer.spare().extend_from_slice(part);
        let Ok(region) = buffer.complete_frames(1 << 16) else { break };
        frames += payloads(region).filter(|frame| !frame.is_empty()).count();
        let length = region.len();
        let goes_on = receive(&mut inbound, &router, region, &sinks, source);
        buffer.consume(length);
        for peer in &peers {
            sent(peer, source);
        }
        sinks.iter().for_each(|sink| delivered(sink, source));
        if !goes_on {
            return;
        }
    }
    let counters = &source.counters;
    let (good, malformed) = (counters.messages_in(), counters.malformed.load(Relaxed));
    assert!(good <= frames as u64 && frames as u64 <= good + malformed);
}

fn add_peer(router: &Router, id: u8) -> Arc<Peer> {
    let policy = if id == 0x77 { Policy::Disconnect } else { Policy::DropOldest };
    let bounds = Bounds { messages: 64, memory: 1 << 20, control: 4096, policy };
    let queue = Arc::new(BoundedQueue::new(bounds));
    let id = EndpointId::from_bytes([id; 16]);
    let (conn, counters) = (ConnectionId(id.as_bytes()[0].into()), PeerCounters::default());
    // One of them speaks version 1, one is a leaf, and one brings messages of others.
    let dialect = match id.as_bytes()[0] {
        0x11 => Dialect::One,
        0xee => Dialect::Two(Role::Relay),
        _ => Dialect::Two(Role::Leaf),
    };
    let peer = Arc::new(Peer {
        id,
        conn,
        dialect,
        rights: Arc::default(),
        queue,
        counters,
        heard: Arc::new(LastActivity::new(Time::ZERO)),
    });
    router.add_peer(Arc::clone(&peer), vec![Bytes::from_static(b"/"), Bytes::new()]);
    peer
}

fn add_sink(router: &Router, id: u64, policy: Policy, filter: &[&'static [u8]]) -> Arc<Sink> {
    let bounds = Bounds { messages: 2, memory: 1 << 20, control: 0, policy };
    let sink = Arc::new(Sink { id, kind: SinkKind::Subscriber, queue: BoundedQueue::new(bounds) });
    router.set_sink(&sink, filter.iter().map(|topic| Bytes::from_static(topic)).collect());
    sink
}

/// Handles a region of whole frames; consumers that are waited for make room. Returns whether the
/// connection goes on.
fn receive(
    inbound: &mut Inbound,
    router: &Router,
    region: &mut [u8],
    sinks: &[Arc<Sink>],
    source: &Peer,
) -> bool {
    let mut at = 0;
    loop {
        let rest = region.get_mut(at..).unwrap_or_default();
        let (done, progress) = inbound.step(router, rest);
        at += done;
        inbound.cut.clear();
        match progress {
            Progress::Done => break,
            Progress::Wait(sink) => {
                assert!(sink.queue.is_full(), "waits for one that has room");
                delivered(&sink, source);
            }
            Progress::Notice(Notice::Cut(_)) => return false,
            Progress::Notice(_) => assert!(done > 0, "no progress"),
        }
    }
    assert_eq!(at, region.len());
    let waiting = sinks.iter().filter(|sink| sink.queue.policy() == Policy::Wait);
    waiting.for_each(|sink| assert_eq!(sink.queue.stats().dropped, 0));
    true
}

/// Checks what has been queued for a peer.
fn sent(peer: &Peer, source: &Peer) {
    let mut batch = WriteBatch::new();
    while peer.queue.take(&mut batch) == Taken::Some {
        while !batch.is_empty() {
            let chunk = batch.first().to_vec();
            batch.advance(chunk.len());
            for frame in payloads(&chunk) {
                let envelope = envelope(frame);
                if envelope.kind == EnvelopeType::Pong {
                    assert_eq!((envelope.sender, envelope.receiver), (OWN, source.id));
                    assert_eq!(peer.id, source.id);
                } else {
                    assert_eq!(passage(frame).is_some(), peer.has_passages());
                    match peer.has_passages() {
                        true => assert!(is_publisher(envelope.sender, source)),
                        false => assert_eq!(envelope.sender, OWN),
                    }
                    assert_ne!(peer.id, source.id, "came back");
                    check(&envelope);
                }
            }
        }
    }
}

/// Checks what has been queued for a local consumer.
fn delivered(sink: &Sink, source: &Peer) {
    while let Ok(piece) = sink.queue.take_piece() {
        let bytes = match &piece {
            Piece::Segment { bytes, skip, .. } => bytes.get(*skip..).unwrap_or_default(),
            Piece::Shared(frame) => frame,
        };
        for frame in payloads(bytes) {
            let envelope = envelope(frame);
            assert_eq!(envelope.kind, EnvelopeType::Data);
            assert!(is_publisher(envelope.sender, source));
            assert!(envelope.receiver.is_nil() || envelope.receiver == OWN);
            check(&envelope);
        }
    }
}

/// Whether what has come from a peer may have been published by this endpoint.
fn is_publisher(id: EndpointId, source: &Peer) -> bool {
    id == source.id || (source.is_relay() && !id.is_nil())
}

fn envelope(frame: &[u8]) -> Envelope<'_> {
    let decoded = Envelope::decode(frame);
    assert!(decoded.is_ok(), "{decoded:?}");
    decoded.unwrap_or(Envelope {
        sender: EndpointId::NIL,
        receiver: EndpointId::NIL,
        kind: EnvelopeType::Data,
        ttl: 0,
        topic: &[],
        payload: &[],
    })
}

fn check(envelope: &Envelope<'_>) {
    let limits = DecodeLimits { max_depth: DEPTH };
    assert!(!envelope.topic.starts_with(b"<$>/local/"));
    match envelope.kind {
        EnvelopeType::Data => assert_eq!(validate(envelope.payload, limits), Ok(())),
        EnvelopeType::Command => assert_eq!(command::validate(envelope.payload, limits), Ok(())),
        kind => assert!(!kind.is_control(), "{kind:?} is between two ends of a link"),
    }
}
