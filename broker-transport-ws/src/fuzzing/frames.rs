use crate::framing::{CloseCode, Framing, Received, Side};
use broker_proto::fuzzing::Input;

/// What comes of a stream is the same in whatever pieces it arrives, and within the limit.
pub(super) fn same_in_pieces(mut input: Input<'_>) {
    let side = if input.below(2) == 0 { Side::Server } else { Side::Client };
    let limit = [1, 125, 1000, 66_000, 1 << 20][input.below(5)];
    let sizes: Vec<usize> = input.string().iter().map(|size| 1 + usize::from(*size)).collect();
    let stream = stream(input);
    let whole = receive(side, limit, stream.chunks(stream.len().max(1)));
    let mut rest = stream.as_slice();
    let mut sizes = sizes.into_iter().cycle();
    let pieces = std::iter::from_fn(|| {
        let size = sizes.next().unwrap_or(7).min(rest.len());
        rest.split_off(..size).filter(|piece| !piece.is_empty())
    });
    assert_eq!(receive(side, limit, pieces), whole);
    for received in &whole.received {
        let length = match received {
            Ok(Received::Text(text)) => text.len(),
            Ok(Received::Binary(bytes)) => bytes.len(),
            Ok(Received::Pong(bytes)) => bytes.len(),
            Ok(Received::SignOfLife | Received::Ended) => 0,
            Ok(Received::Close(_, reason)) | Err((_, reason)) => {
                assert!(reason.len() < 1000, "{reason}");
                0
            }
        };
        assert!(length <= limit, "a message of {length} bytes, the limit is {limit}");
    }
    let last = whole.received.len().saturating_sub(1);
    let ends = |received: &Result<_, _>| {
        matches!(received, Err(_) | Ok(Received::Ended | Received::Close(..)))
    };
    assert_eq!(whole.received.iter().position(ends), Some(last), "one end, and nothing after it");
}

/// Bytes as they are, and frames whose headers fit.
fn stream(mut input: Input<'_>) -> Vec<u8> {
    let mut stream = Vec::new();
    while !input.is_empty() && stream.len() < 300_000 {
        match input.below(4) {
            0 => stream.extend_from_slice(input.string()),
            kind => {
                let (first, masked) = (input.u8(), input.below(4) > 0);
                let payload = match kind {
                    1 => vec![b'x'; usize::from(input.u16()) * 2],
                    _ => input.string().to_vec(),
                };
                frame(first, masked, payload, &mut stream);
            }
        }
    }
    stream
}

fn frame(first: u8, masked: bool, mut payload: Vec<u8>, stream: &mut Vec<u8>) {
    const MASK: [u8; 4] = [0x12, 0x34, 0x56, 0x78];
    let mark = if masked { 0x80 } else { 0 };
    stream.push(first);
    match payload.len() {
        length @ 0..=125 => stream.push(mark | length as u8),
        length @ 126..=0xffff => {
            stream.push(mark | 126);
            stream.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            stream.push(mark | 127);
            stream.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    if masked {
        stream.extend_from_slice(&MASK);
        payload.iter_mut().zip(MASK.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    }
    stream.append(&mut payload);
}

/// What a stream is to the framing, and what it sends back.
#[derive(Debug, PartialEq)]
struct Outcome {
    received: Vec<Result<Received, (CloseCode, String)>>,
    output: Vec<u8>,
}

fn receive<'a>(side: Side, limit: usize, pieces: impl Iterator<Item = &'a [u8]>) -> Outcome {
    let mut framing = Framing::new(side, limit);
    let mut outcome = Outcome { received: Vec::new(), output: Vec::new() };
    for piece in pieces {
        framing.push(piece);
        outcome.take(&mut framing);
    }
    framing.end();
    outcome.take(&mut framing);
    outcome
}

impl Outcome {
    fn take(&mut self, framing: &mut Framing) {
        loop {
            match framing.next() {
                Ok(None) => break,
                Ok(Some(received)) => self.received.push(Ok(received)),
                Err(violation) => self.received.push(Err((violation.code, violation.reason))),
            }
        }
        // The mask that a client chooses for its answers is random.
        if framing.is_server() {
            self.output.append(framing.output());
        }
    }
}
