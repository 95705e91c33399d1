use broker_proto::fuzzing::Input;
use broker_proto::limits::READ_CHUNK_MAX;
use broker_proto::wire::frame::PREFIX;
use broker_proto::{FrameTooLarge, ReadBuffer};

/// A stream in reads of any size comes apart into the frames it is made of, whichever way they are
/// taken, and memory follows what has arrived.
pub(super) fn frames(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let limit = [0, 1, 7, 64, 1 << 16, 1 << 26][input.below(6)];
    let single = input.u8().is_multiple_of(2);
    let sizes = input.string();
    let stream = input.rest();
    let (expected, too_large) = split(stream, limit);
    let mut buffer = ReadBuffer::new();
    let mut sizes = sizes.iter().map(|size| 1 + usize::from(*size) * 37).cycle();
    let mut rest = stream;
    let mut found: Vec<Vec<u8>> = Vec::new();
    let mut refused = None;
    while !rest.is_empty() && refused.is_none() {
        let (read, after) = rest.split_at(sizes.next().unwrap_or(1500).min(rest.len()));
        rest = after;
        receive(&mut buffer, read);
        refused = if single {
            one_by_one(&mut buffer, limit, &mut found)
        } else {
            together(&mut buffer, limit, &mut found)
        };
        buffer.release();
        assert!(!buffer.is_empty() || buffer.capacity() == 0, "idle and holding memory");
    }
    assert_eq!(found, expected);
    assert_eq!(refused, too_large);
}

/// What the frames are, found in the plainest way.
fn split(mut stream: &[u8], limit: usize) -> (Vec<Vec<u8>>, Option<FrameTooLarge>) {
    let mut frames = Vec::new();
    while let Some((prefix, after)) = stream.split_first_chunk::<PREFIX>() {
        let length = u32::from_be_bytes(*prefix) as usize;
        if length > limit {
            return (frames, Some(FrameTooLarge { length, limit }));
        }
        let Some((payload, after)) = after.split_at_checked(length) else { break };
        frames.push(payload.to_vec());
        stream = after;
    }
    (frames, None)
}

fn receive(buffer: &mut ReadBuffer, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let room = buffer.spare();
        let ahead = room.capacity() - room.len();
        assert!(ahead > 0 && ahead <= room.len() + READ_CHUNK_MAX, "room for {ahead} bytes");
        let (read, after) = bytes.split_at(ahead.min(bytes.len()));
        room.extend_from_slice(read);
        buffer.filled(read.len());
        bytes = after;
    }
}

fn one_by_one(
    buffer: &mut ReadBuffer,
    limit: usize,
    found: &mut Vec<Vec<u8>>,
) -> Option<FrameTooLarge> {
    loop {
        match buffer.next_frame(limit) {
            Ok(Some(frame)) => found.push(frame.get(PREFIX..).unwrap_or_default().to_vec()),
            Ok(None) => return None,
            Err(too_large) => return Some(too_large),
        }
    }
}

fn together(
    buffer: &mut ReadBuffer,
    limit: usize,
    found: &mut Vec<Vec<u8>>,
) -> Option<FrameTooLarge> {
    loop {
        let region = match buffer.complete_frames(limit) {
            Ok(region) => region,
            Err(too_large) => return Some(too_large),
        };
        let length = region.len();
        let payloads = broker_proto::wire::frame::payloads(region);
        found.extend(payloads.map(<[u8]>::to_vec));
        buffer.consume(length);
        if length == 0 {
            return None;
        }
    }
}
