use super::violation::{CloseCode, Violation};
use std::collections::VecDeque;
use std::io::Cursor;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Data, OpCode};

/// The longest header of a frame.
const HEADER_MAX: usize = 14;

/// Frames with a longer payload than this are held back until they have arrived.
const HOLD_FROM: u64 = 64 * 1024;

/// Received bytes are kept in pieces of this size, which are given back one by one as they are
/// read.
const PIECE: usize = 64 * 1024;

/// The longest payload of a control frame.
const CONTROL_MAX: u64 = 125;

/// Stands between the socket and the framing.
///
/// The framing reserves the announced length of a frame as soon as it has seen the header. So that
/// memory follows what has arrived and not what is announced, the header of a long frame is held
/// back until the payload is there; and what a header alone condemns is refused without waiting
/// for the payload.
#[derive(Debug)]
pub(super) struct Gate {
    limit: usize,
    pieces: VecDeque<Vec<u8>>,
    /// Where the unread bytes of the first piece begin.
    start: usize,
    waiting: usize,
    /// Bytes of the current frame that may be read.
    pass: usize,
    /// Whether a long frame has passed.
    pub(super) passed_long: bool,
    /// Whether more fragments of a message have to come.
    in_message: bool,
}

impl Gate {
    /// A gate that lets no frame with a longer payload than `limit` pass.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            pieces: VecDeque::new(),
            start: 0,
            waiting: 0,
            pass: 0,
            passed_long: false,
            in_message: false,
        }
    }

    /// Takes bytes from the socket.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.waiting += bytes.len();
        match self.pieces.back_mut() {
            Some(piece) if piece.len() + bytes.len() <= PIECE => piece.extend_from_slice(bytes),
            _ => self.pieces.push_back(bytes.to_vec()),
        }
    }

    /// Whether nothing is waiting and the framing holds no part of a message.
    pub(super) fn at_rest(&self) -> bool {
        self.waiting == 0 && self.pass == 0 && !self.in_message
    }

    /// Reads what may pass; 0 is nothing yet.
    pub(super) fn read(&mut self, into: &mut [u8]) -> Result<usize, Violation> {
        if self.pass == 0 {
            self.pass = self.next_frame()?;
        }
        let count = into.len().min(self.pass).min(self.waiting);
        let mut done = 0;
        while let Some(rest) = into.get_mut(done..count).filter(|rest| !rest.is_empty()) {
            let Some(piece) = self.pieces.front() else { break };
            let unread = piece.get(self.start..).unwrap_or_default();
            let part = rest.len().min(unread.len());
            if let (Some(to), Some(from)) = (rest.get_mut(..part), unread.get(..part)) {
                to.copy_from_slice(from);
            }
            done += part;
            self.start += part;
            if self.start == piece.len() {
                self.pieces.pop_front();
                self.start = 0;
            }
        }
        self.waiting -= done;
        self.pass -= done;
        Ok(done)
    }

    /// How many bytes from here on may pass: the next frame, if its header is complete and it need
    /// not be held back.
    fn next_frame(&mut self) -> Result<usize, Violation> {
        let (start, available) = self.peek();
        let mut cursor = Cursor::new(start.get(..available).unwrap_or_default());
        let (header, length) = match FrameHeader::parse(&mut cursor) {
            Ok(Some(parsed)) => parsed,
            Ok(None) => return Ok(0),
            // The framing says better what is wrong with it.
            Err(_) => return Ok(available),
        };
        let is_control = matches!(header.opcode, OpCode::Control(_));
        if is_control && length > CONTROL_MAX {
            let reason = format!("a control frame of {length} bytes, the limit is {CONTROL_MAX}");
            return Err(Violation::new(CloseCode::PROTOCOL, reason));
        }
        if length > self.limit as u64 {
            let limit = self.limit;
            let reason = format!("a frame of {length} bytes, the limit is {limit}");
            return Err(Violation::new(CloseCode::TOO_BIG, reason));
        }
        let whole = cursor.position() as usize + length as usize;
        if length > HOLD_FROM {
            if self.waiting < whole {
                return Ok(0);
            }
            self.passed_long = true;
        }
        if let OpCode::Data(data) = header.opcode {
            self.in_message = !header.is_final;
            // What is out of order ends the connection, so its effect on this does not matter.
            debug_assert!(matches!(data, Data::Continue | Data::Text | Data::Binary));
        }
        Ok(whole)
    }

    fn peek(&self) -> ([u8; HEADER_MAX], usize) {
        let mut start = [0; HEADER_MAX];
        let bytes = self.pieces.iter().flatten().skip(self.start);
        let mut available = 0;
        for (to, from) in start.iter_mut().zip(bytes) {
            *to = *from;
            available += 1;
        }
        (start, available)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(payload: usize) -> Vec<u8> {
        let mut frame = vec![0x82, 127];
        frame.extend_from_slice(&(payload as u64).to_be_bytes());
        frame.resize(frame.len() + payload, 7);
        frame
    }

    #[test]
    fn long_frames_are_held_back_until_they_have_arrived() {
        let whole = frame(HOLD_FROM as usize + 1);
        let mut gate = Gate::new(1 << 20);
        let mut into = vec![0; whole.len() + 10];
        let (last, before) = whole.split_last().unwrap();
        for part in before.chunks(1000) {
            gate.push(part);
            assert_eq!(gate.read(&mut into).unwrap(), 0);
        }
        gate.push(&[*last]);
        assert_eq!(gate.read(&mut into).unwrap(), whole.len());
        assert_eq!(&into[..whole.len()], whole);
        assert!(gate.at_rest() && gate.passed_long);
    }

    #[test]
    fn short_frames_pass_as_they_come_but_never_beyond_their_end() {
        let two = [frame(300), frame(200)].concat();
        let mut gate = Gate::new(1000);
        let mut read = Vec::new();
        for part in two.chunks(7) {
            gate.push(part);
            let mut into = [0; 1000];
            loop {
                let count = gate.read(&mut into).unwrap();
                if count == 0 {
                    break;
                }
                read.extend_from_slice(&into[..count]);
            }
        }
        assert_eq!(read, two);
        assert!(gate.at_rest());
    }

    #[test]
    fn a_header_that_announces_too_much_is_refused_at_once() {
        for (header, code) in [
            (vec![0x82, 127, 0, 0, 0, 0, 0, 0, 4, 1], CloseCode::TOO_BIG),
            (vec![0x82, 127, 0xff, 0, 0, 0, 0, 0, 0, 1], CloseCode::TOO_BIG),
            (vec![0x89, 126, 0, 126], CloseCode::PROTOCOL),
        ] {
            let mut gate = Gate::new(1024);
            gate.push(&header);
            assert_eq!(gate.read(&mut [0; 10]).unwrap_err().code, code, "{header:x?}");
        }
    }
}
