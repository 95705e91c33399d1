//! Frames for tests, and what is expected of connections that carry them.
#![allow(
    dead_code,
    unreachable_pub,
    unused_imports,
    unused_macros,
    reason = "each test file uses its part"
)]

pub mod contract;

use broker_core::transport::{Chunk, FrameReader, ReadBuffer, WriteBatch};
use bytes::Bytes;

pub const LIMIT: usize = 64 * 1024 * 1024;

/// A frame whose content tells it from every other one of the test.
pub fn frame(number: usize, length: usize) -> Vec<u8> {
    let mut frame = u32::try_from(length).unwrap().to_be_bytes().to_vec();
    frame.extend((0..length).map(|at| (number.wrapping_mul(31) + at) as u8));
    frame
}

/// Frames of all sizes around those of segments and read chunks, in chunks of both kinds.
pub fn mixed_frames() -> Vec<Vec<u8>> {
    let sizes = [0, 1, 3, 100, 2044, 2045, 65_531, 65_532, 65_533, 300_000];
    (0..500).map(|number| frame(number, sizes[number % sizes.len()])).collect()
}

pub fn batch_of(frames: &[Vec<u8>]) -> WriteBatch {
    let mut batch = WriteBatch::new();
    for (number, frame) in frames.iter().enumerate() {
        batch.append(match number % 2 {
            0 => Chunk::Segment(frame.clone()),
            _ => Chunk::Shared(Bytes::from(frame.clone())),
        });
    }
    batch
}

pub async fn expect_frames(reader: &mut dyn FrameReader, expected: &[Vec<u8>]) {
    let mut buffer = ReadBuffer::new();
    for frame in expected {
        loop {
            if let Some(received) = buffer.next_frame(LIMIT).unwrap() {
                assert!(received == frame.as_slice(), "another frame, or one changed in flight");
                break;
            }
            reader.recv(&mut buffer).await.unwrap();
        }
    }
    assert!(buffer.is_empty());
}
