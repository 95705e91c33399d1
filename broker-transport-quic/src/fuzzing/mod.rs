//! What the fuzzer of this crate runs, and what the tests share with it.
//!
//! It panics where a rule is broken and returns otherwise.

mod frames;
mod net;

pub(crate) use frames::{ACK, frame, ordered};
pub(crate) use net::Net;

use crate::demultiplexer::{End, Limits};
use crate::multiplexer::Multiplexer;
use crate::wire::{CONTROL, STREAMS, put_barrier, put_end};
use broker_core::wire::envelope::EnvelopeType;
use broker_proto::fuzzing::Input;
use bytes::Bytes;

const LIMITS: Limits = Limits { frame: 200_000, handshake_frame: 1024, assembly: 300_000 };

/// Frames come out of the streams as they went in, in the promised order, whatever the network
/// does; whatever else is on the streams is taken apart into whole frames or refused, within the
/// bounds on memory.
pub fn quic(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    match input.below(3) {
        0 => hostile(&mut input),
        1 => sorted(&mut input, true),
        _ => sorted(&mut input, false),
    }
}

/// What a stranger may put on its streams.
fn hostile(input: &mut Input<'_>) {
    let mut net = Net::new(LIMITS);
    while !input.is_empty() && net.demultiplexer.end().is_none() {
        let stream = input.below(STREAMS);
        let mut bytes = Vec::new();
        match input.below(7) {
            0 => bytes.extend_from_slice(input.string()),
            1 => bytes.extend_from_slice(ACK),
            2 => {
                let entries: Vec<(usize, u64)> = (0..input.below(STREAMS))
                    .map(|_| (input.below(STREAMS + 2), input.u8().into()))
                    .collect();
                put_barrier(&mut bytes, &entries);
            }
            3 => put_end(&mut bytes),
            4 => net.demultiplexer.finish(stream),
            5 => bytes.resize(usize::from(input.u16()) * 4, 7),
            _ => bytes.extend_from_slice(&(u32::from(input.u16()) * 4).to_be_bytes()),
        }
        net.put(stream, &bytes);
        let arriving = input.below(STREAMS);
        if net.arrive(arriving, usize::from(input.u16()) * 4).is_err() {
            return;
        }
    }
    if net.demultiplexer.end() == Some(End::TooLarge) {
        let rest = net.out.pending();
        assert_eq!(rest.len(), 4, "nothing but the length is handed up");
    }
    assert!(net.received.iter().all(|frame| frame.len() <= LIMITS.frame + 4));
}

/// Frames of an endpoint, some of which arrive while others are sent.
fn sorted(input: &mut Input<'_>, total_order: bool) {
    use EnvelopeType as T;
    const KINDS: [EnvelopeType; 8] =
        [T::Data, T::Data, T::Data, T::Data, T::Command, T::RoutingUpdate, T::Ping, T::Pong];
    let (mut net, mut multiplexer) = (Net::new(LIMITS), Multiplexer::new(total_order));
    let mut sent = vec![ACK.to_vec()];
    multiplexer.add(ACK);
    while !input.is_empty() && sent.len() < 300 {
        match input.below(4) {
            0 => {
                let stream = input.below(STREAMS);
                assert_eq!(net.arrive(stream, usize::from(input.u16()) * 4), Ok(()));
            }
            1 => net.send(multiplexer.take()),
            copied => {
                let kind = input.pick(&KINDS).unwrap_or(T::Data);
                let topic = if kind.is_control() { 0 } else { 1 + input.below(24) };
                // Few are large.
                let length = match input.u8() {
                    length @ 0..250 => usize::from(length),
                    _ => usize::from(input.u16()) * 3,
                };
                let frame = frame(kind, &format!("/{topic}"), sent.len() as u64 - 1, length);
                if copied == 2 {
                    multiplexer.add(&frame);
                } else {
                    multiplexer.add_shared(Bytes::from(frame.clone()));
                }
                sent.push(frame);
            }
        }
    }
    multiplexer.end();
    net.send(multiplexer.take());
    for _ in 0..=sent.len() * STREAMS {
        for stream in CONTROL..STREAMS {
            assert_eq!(net.arrive(stream, usize::MAX), Ok(()));
        }
        if net.demultiplexer.end().is_some() {
            break;
        }
    }
    assert_eq!(net.demultiplexer.end(), Some(End::Closed), "what was sent does not arrive");
    if total_order {
        assert_eq!(net.received, sent);
    } else {
        ordered(&sent, &net.received);
    }
}
