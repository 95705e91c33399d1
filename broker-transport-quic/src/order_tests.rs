//! Multiplexer and demultiplexer against each other: the promised order, whatever the network does.

use crate::demultiplexer::{Demultiplexer, End, Limits, SMALL, Step};
use crate::fuzzing::{ACK, Net, frame, ordered};
use crate::multiplexer::Multiplexer;
use crate::wire::{CONTROL, STREAMS, TOPIC_STREAMS, put_barrier};
use broker_core::limits::READ_CHUNK_MAX;
use broker_core::transport::ReadBuffer;
use broker_core::wire::envelope::EnvelopeType;
use broker_core::wire::frame::split_frame;
use bytes::Bytes;
use fastrand::Rng;

const FRAME: usize = 1 << 20;

fn limits() -> Limits {
    Limits { frame: FRAME, handshake_frame: 1024, assembly: FRAME }
}

fn net() -> Net {
    Net::new(limits())
}

fn arrive_in_any_order(net: &mut Net, rng: &mut Rng) {
    while net.demultiplexer.end().is_none() {
        net.arrive(rng.usize(..STREAMS), rng.usize(..200_000)).unwrap();
    }
}

/// Frames as a busy peer sends them.
fn traffic(rng: &mut Rng, count: u64) -> Vec<Vec<u8>> {
    let mut frames = vec![ACK.to_vec()];
    for number in 0..count {
        let topic = format!("/topic/{}", rng.u32(..40));
        let length = match rng.u32(..50) {
            0 => rng.usize(SMALL..FRAME - 200),
            1..5 => rng.usize(1000..SMALL),
            _ => rng.usize(..500),
        };
        frames.push(match rng.u32(..20) {
            0 => frame(EnvelopeType::Ping, "<$>", number, 0),
            1 => frame(EnvelopeType::Pong, "<$>", number, 0),
            2 => frame(EnvelopeType::RoutingUpdate, "<$>", number, length % 1000),
            3 => frame(EnvelopeType::Command, &topic, number, length),
            _ => frame(EnvelopeType::Data, &topic, number, length),
        });
    }
    frames
}

/// Sends frames as a writer does: small ones in pieces of several, large ones alone.
fn send(net: &mut Net, multiplexer: &mut Multiplexer, frames: &[Vec<u8>], rng: &mut Rng) {
    let mut segment = Vec::new();
    for frame in frames {
        let shared = frame.len() > 4096;
        if shared || rng.u32(..8) == 0 {
            multiplexer.add(&std::mem::take(&mut segment));
        }
        if shared {
            multiplexer.add_shared(Bytes::from(frame.clone()));
        } else {
            segment.extend_from_slice(frame);
        }
        if rng.bool() {
            net.send(multiplexer.take());
        }
    }
    multiplexer.add(&segment);
    multiplexer.end();
    net.send(multiplexer.take());
}

#[test]
fn topics_keep_their_order_and_nothing_overtakes_a_ping_or_is_overtaken_by_one() {
    for seed in 0..10 {
        let mut rng = Rng::with_seed(seed);
        let (mut net, mut multiplexer) = (net(), Multiplexer::new(false));
        let frames = traffic(&mut rng, 400);
        send(&mut net, &mut multiplexer, &frames, &mut rng);
        arrive_in_any_order(&mut net, &mut rng);
        ordered(&frames, &net.received);
    }
}

#[test]
fn all_frames_keep_their_order_where_that_is_asked_for() {
    let mut rng = Rng::with_seed(7);
    let (mut net, mut multiplexer) = (net(), Multiplexer::new(true));
    let frames = traffic(&mut rng, 400);
    send(&mut net, &mut multiplexer, &frames, &mut rng);
    arrive_in_any_order(&mut net, &mut rng);
    assert_eq!(net.received, frames);
}

#[test]
fn data_waits_for_the_end_of_the_handshake() {
    let (mut net, mut multiplexer) = (net(), Multiplexer::new(false));
    let data = frame(EnvelopeType::Data, "/t", 0, 10);
    multiplexer.add(&[&[0, 0, 0, 2, 10, 0], ACK, &data].concat());
    net.send(multiplexer.take());
    net.arrive(CONTROL + 1, usize::MAX).unwrap();
    assert!(net.received.is_empty());
    net.arrive(CONTROL, 6).unwrap();
    net.arrive(CONTROL + 1, usize::MAX).unwrap();
    assert_eq!(net.received.len(), 1);
    net.arrive(CONTROL, usize::MAX).unwrap();
    net.arrive(CONTROL + 1, usize::MAX).unwrap();
    assert_eq!(net.received[1..], [ACK.to_vec(), data]);
}

#[test]
fn a_large_frame_in_progress_holds_up_its_topic_and_pings_and_nothing_else() {
    let (mut net, mut multiplexer) = (net(), Multiplexer::new(false));
    let large = frame(EnvelopeType::Data, "/large", 0, FRAME / 2);
    let same = frame(EnvelopeType::Data, "/large", 1, 10);
    let other = frame(EnvelopeType::Data, "/other", 2, 10);
    let update = frame(EnvelopeType::RoutingUpdate, "<$>", 3, 10);
    let ping = frame(EnvelopeType::Ping, "<$>", 4, 0);
    multiplexer.add(ACK);
    multiplexer.add_shared(Bytes::from(large.clone()));
    multiplexer.add(&[same.as_slice(), &other, &update, &ping].concat());
    net.send(multiplexer.take());
    net.arrive(CONTROL, usize::MAX).unwrap();
    net.arrive(CONTROL + 1, FRAME / 4).unwrap();
    net.arrive(CONTROL + 2, usize::MAX).unwrap();
    net.arrive(CONTROL, usize::MAX).unwrap();
    assert_eq!(net.received, [ACK.to_vec(), update, other]);
    net.arrive(CONTROL + 1, usize::MAX).unwrap();
    net.arrive(CONTROL, usize::MAX).unwrap();
    assert_eq!(net.received[3..], [large, same, ping]);
}

#[test]
fn memory_stays_bounded_whatever_is_announced_on_all_streams() {
    let mut net = net();
    net.put(CONTROL, ACK);
    net.arrive(CONTROL, usize::MAX).unwrap();
    for stream in 0..STREAMS {
        net.put(stream, &(FRAME as u32 - 1).to_be_bytes());
        net.put(stream, &vec![7; FRAME - 2]);
    }
    for _ in 0..20 {
        for stream in 0..STREAMS {
            net.arrive(stream, 100_000).unwrap();
        }
    }
    let bound = limits().assembly + STREAMS * 2 * READ_CHUNK_MAX;
    assert!(net.demultiplexer.memory() <= bound, "{} bytes are held", net.demultiplexer.memory());
    // Every frame has its turn when its last byte arrives.
    let before = net.received.len();
    (0..STREAMS).for_each(|stream| net.put(stream, &[7]));
    for _ in 0..STREAMS {
        (0..STREAMS).for_each(|stream| net.arrive(stream, usize::MAX).unwrap());
    }
    assert_eq!(net.received.len() - before, STREAMS);
    net.demultiplexer.release();
    assert_eq!(net.demultiplexer.memory(), 0);
}

#[test]
fn a_frame_above_the_limit_is_announced_and_nothing_of_it_is_taken_in() {
    for (before, length) in [(ACK, FRAME + 1), (&[], 1025)] {
        let mut net = net();
        let prefix = u32::try_from(length).unwrap().to_be_bytes();
        net.demultiplexer.spare(CONTROL).extend_from_slice(&[before, &prefix, &[7; 100]].concat());
        assert_eq!(net.demultiplexer.advance(CONTROL, &mut net.out), Ok(Step::Full));
        assert_eq!(net.demultiplexer.end(), Some(End::TooLarge));
        if !before.is_empty() {
            assert_eq!(net.out.next_frame(FRAME).unwrap().unwrap(), before);
        }
        assert_eq!(net.out.pending(), prefix);
        assert_eq!(net.demultiplexer.advance(CONTROL + 1, &mut net.out), Ok(Step::Full));
    }
}

#[test]
fn what_breaks_the_rules_is_refused_with_a_reason() {
    let barrier = |entries: &[(usize, u64)]| {
        let mut bytes = Vec::new();
        put_barrier(&mut bytes, entries);
        bytes
    };
    let data = frame(EnvelopeType::Data, "/t", 0, 0);
    for (stream, bytes, finished, reason) in [
        (CONTROL, barrier(&[(STREAMS, 1)]), false, "cannot be"),
        (CONTROL, barrier(&[(2, 1)]), false, "cannot be reached"),
        (CONTROL, vec![0x80, 0, 0, 200], false, "too many"),
        (CONTROL, ACK.to_vec(), true, "without an end"),
        (CONTROL, ACK[..3].to_vec(), true, "within an item"),
        (1, data[..20].to_vec(), true, "within a frame"),
        (1, u32::MAX.to_be_bytes().to_vec(), false, "not on the control stream"),
    ] {
        let mut net = net();
        net.demultiplexer.finish(2);
        net.demultiplexer.spare(stream).extend_from_slice(&bytes);
        if finished {
            net.demultiplexer.finish(stream);
        }
        let error = loop {
            match net.demultiplexer.advance(stream, &mut net.out) {
                Ok(step) => assert_ne!(step, Step::Wait, "{reason}"),
                Err(error) => break error,
            }
        };
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn random_bytes_never_break_the_merger() {
    for seed in 0..500 {
        let mut rng = Rng::with_seed(seed);
        let mut demultiplexer = Demultiplexer::new(limits());
        let mut out = ReadBuffer::new();
        (0..STREAMS).for_each(|_| demultiplexer.add_stream());
        for _ in 0..50 {
            let stream = rng.usize(..=TOPIC_STREAMS);
            let alphabet = [0, 0, 0, 1, 2, 12, 0x80, 0xff, rng.u8(..)];
            let bytes: Vec<u8> =
                (0..rng.usize(..40)).map(|_| *rng.choice(&alphabet).unwrap()).collect();
            demultiplexer.spare(stream).extend_from_slice(&bytes);
            if rng.u32(..30) == 0 {
                demultiplexer.finish(stream);
            }
            if demultiplexer.advance(stream, &mut out).is_err() {
                break;
            }
            while let Some((frame, _)) = split_frame(out.pending()) {
                let length = frame.len();
                out.consume(length);
            }
            assert!(demultiplexer.memory() <= STREAMS * 2 * READ_CHUNK_MAX);
        }
    }
}
