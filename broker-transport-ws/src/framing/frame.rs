use super::TEXT;
use bytes::Bytes;
use std::cell::RefCell;
use tungstenite::protocol::frame::{Frame, FrameHeader};

thread_local! {
    /// The buffer that messages of this thread are rendered into, one after the other.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Capacity above which the buffer of a thread is not kept for the next message.
const SCRATCH_KEPT: usize = 64 * 1024;

/// The longest header of a frame that is not masked.
const HEADER_MAX: usize = 10;

/// A text message as one frame from a server, which is the same for every client. `render` appends
/// the text.
pub(crate) fn text_frame(render: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut buffer = SCRATCH.take();
    buffer.clear();
    buffer.resize(HEADER_MAX, 0);
    render(&mut buffer);
    let length = (buffer.len() - HEADER_MAX) as u64;
    let header = FrameHeader { opcode: TEXT, ..FrameHeader::default() };
    let start = HEADER_MAX - header.len(length);
    let mut room = buffer.get_mut(start..HEADER_MAX).unwrap_or_default();
    // There is room for exactly this header.
    let _ = header.format(length, &mut room);
    let frame = Bytes::copy_from_slice(buffer.get(start..).unwrap_or_default());
    if buffer.capacity() <= SCRATCH_KEPT {
        SCRATCH.set(buffer);
    }
    frame
}

/// A ping from a server.
pub(crate) fn ping_frame() -> Vec<u8> {
    let mut frame = Vec::with_capacity(2);
    // Writing to a vector does not fail.
    let _ = Frame::ping(Bytes::new()).format(&mut frame);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_frames_have_the_shortest_header() {
        for (length, header) in [
            (0, vec![0x81, 0]),
            (125, vec![0x81, 125]),
            (126, vec![0x81, 126, 0, 126]),
            (65535, vec![0x81, 126, 0xff, 0xff]),
            (65536, vec![0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let frame = text_frame(|out| out.resize(out.len() + length, b'x'));
            assert_eq!(frame.len(), header.len() + length);
            assert_eq!(&frame[..header.len()], header);
            assert!(frame[header.len()..].iter().all(|byte| *byte == b'x'));
        }
    }

    #[test]
    fn a_ping_is_a_ping() {
        assert_eq!(ping_frame(), [0x89, 0]);
    }
}
