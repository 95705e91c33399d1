//! The framing of RFC 6455 without I/O: bytes in, messages out, and what has to be sent in answer.
//!
//! The rules are those of `tungstenite`; around it are the limits that its memory needs.

mod frame;
mod gate;
mod violation;

pub(crate) use frame::{ping_frame, text_frame};
pub use violation::CloseCode;
pub(crate) use violation::{Violation, fitting};

use bytes::Bytes;
use gate::Gate;
use std::io::{self, Read, Write};
use tungstenite::protocol::frame::coding;
use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tungstenite::{Error, Message, Utf8Bytes, WebSocket};

/// How much the framing reads at once, and keeps while it waits.
const READ_BUFFER: usize = 2 * 1024;

/// Payload from which on sent messages leave more memory behind than an idle connection should
/// keep.
const LONG: usize = 64 * 1024;

/// What has been received.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// A text message.
    Text(Utf8Bytes),
    /// A binary message.
    Binary(Bytes),
    /// A ping, which has been answered.
    SignOfLife,
    /// A pong, with what is in it.
    Pong(Bytes),
    /// The other side closes, or agrees to close. Nothing will follow.
    Close(CloseCode, String),
    /// The connection has ended without a Close frame.
    Ended,
}

/// Which side of a connection this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Server,
    Client,
}

/// The framing of one connection.
#[derive(Debug)]
pub(crate) struct Framing {
    side: Side,
    limit: usize,
    socket: WebSocket<Pipe>,
    /// Whether memory of a long message is left behind.
    stretched: bool,
    over: bool,
}

impl Framing {
    /// A connection after its opening handshake; `limit` is the longest message to be received.
    pub(crate) fn new(side: Side, limit: usize) -> Self {
        let socket = socket(side, limit, Pipe::new(limit));
        Self { side, limit, socket, stretched: false, over: false }
    }

    /// Takes bytes from the connection.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.socket.get_mut().gate.push(bytes);
    }

    /// The connection has ended.
    pub(crate) fn end(&mut self) {
        self.socket.get_mut().ended = true;
    }

    /// The next message; `None` if more bytes are needed.
    ///
    /// # Errors
    ///
    /// The other side broke a rule. The connection has to be closed with that code; nothing more
    /// can be received.
    pub(crate) fn next(&mut self) -> Result<Option<Received>, Violation> {
        if self.over {
            return Ok(None);
        }
        let received = match self.socket.read() {
            Ok(Message::Text(text)) => Received::Text(text),
            Ok(Message::Binary(bytes)) => Received::Binary(bytes),
            Ok(Message::Ping(_)) => {
                // Puts the answer into the output. It fails only when the connection is over,
                // which the next read says better.
                let _ = self.socket.flush();
                Received::SignOfLife
            }
            Ok(Message::Pong(bytes)) => Received::Pong(bytes),
            Ok(Message::Frame(_)) => Received::SignOfLife,
            Ok(Message::Close(frame)) => {
                let _ = self.socket.flush();
                self.over = true;
                let (code, reason) = match frame {
                    Some(frame) => (CloseCode(frame.code.into()), frame.reason.to_string()),
                    None => (CloseCode::NONE, String::new()),
                };
                Received::Close(code, reason)
            }
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                self.relax();
                return Ok(None);
            }
            Err(error) => {
                self.over = true;
                match violation(error) {
                    Some(violation) => return Err(violation),
                    None => Received::Ended,
                }
            }
        };
        Ok(Some(received))
    }

    /// Whether no part of a message has been received.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.socket.get_ref().gate.at_rest()
    }

    /// Puts a text message into the output, unless a Close frame is there already.
    pub(crate) fn send_text(&mut self, text: String) {
        self.stretched |= text.len() > LONG;
        self.send(Message::Text(text.into()));
    }

    /// Puts a binary message into the output, unless a Close frame is there already.
    pub(crate) fn send_binary(&mut self, bytes: Bytes) {
        self.stretched |= bytes.len() > LONG;
        self.send(Message::Binary(bytes));
    }

    /// Puts a ping into the output; `content` comes back with the pong, and has 125 bytes at most.
    pub(crate) fn send_ping(&mut self, content: Bytes) {
        self.send(Message::Ping(content));
    }

    fn send(&mut self, message: Message) {
        // The output takes everything; the only error is that the connection is closing.
        let _ = self.socket.write(message).and_then(|()| self.socket.flush());
    }

    /// Puts a Close frame into the output, unless one is there already.
    pub(crate) fn close(&mut self, code: CloseCode, reason: &str) {
        let frame = CloseFrame { code: code.0.into(), reason: fitting(reason).into() };
        // As for messages.
        let _ = self.socket.close(Some(frame));
    }

    /// Whether this is the side that does not mask what it sends.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn is_server(&self) -> bool {
        self.side == Side::Server
    }

    /// What has to be sent, in order. The caller takes it away.
    pub(crate) fn output(&mut self) -> &mut Vec<u8> {
        &mut self.socket.get_mut().output
    }

    /// Gives back the memory that a long message has left behind. The framing keeps its buffer,
    /// however long, so it is replaced where it holds no part of a message.
    fn relax(&mut self) {
        let pipe = self.socket.get_ref();
        self.stretched |= pipe.gate.passed_long;
        if self.stretched && pipe.gate.at_rest() && self.socket.can_write() {
            let output = std::mem::take(self.output());
            let pipe = Pipe { output, ..Pipe::new(self.limit) };
            self.socket = socket(self.side, self.limit, pipe);
            self.stretched = false;
        }
    }
}

fn socket(side: Side, limit: usize, pipe: Pipe) -> WebSocket<Pipe> {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_message_size(Some(limit))
        .max_frame_size(Some(limit));
    let role = match side {
        Side::Server => Role::Server,
        Side::Client => Role::Client,
    };
    WebSocket::from_raw_socket(pipe, role, Some(config))
}

/// `None` if nobody broke a rule.
fn violation(error: Error) -> Option<Violation> {
    use tungstenite::error::ProtocolError::ResetWithoutClosingHandshake;
    match error {
        Error::ConnectionClosed
        | Error::AlreadyClosed
        | Error::Protocol(ResetWithoutClosingHandshake) => None,
        Error::Protocol(error) => Some(Violation::new(CloseCode::PROTOCOL, error.to_string())),
        Error::Utf8(_) => {
            Some(Violation::new(CloseCode::INVALID_TEXT, "Invalid frame payload data: not UTF-8"))
        }
        Error::Capacity(error) => Some(Violation::new(CloseCode::TOO_BIG, error.to_string())),
        Error::Io(error) => Some(match error.downcast::<Violation>() {
            Ok(violation) => violation,
            Err(error) => Violation::new(CloseCode::INTERNAL, error.to_string()),
        }),
        error => Some(Violation::new(CloseCode::INTERNAL, error.to_string())),
    }
}

/// What the framing takes for its socket.
#[derive(Debug)]
struct Pipe {
    gate: Gate,
    ended: bool,
    output: Vec<u8>,
}

impl Pipe {
    fn new(limit: usize) -> Self {
        Self { gate: Gate::new(limit), ended: false, output: Vec::new() }
    }
}

impl Read for Pipe {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self.gate.read(into).map_err(io::Error::other)? {
            0 if !self.ended => Err(io::ErrorKind::WouldBlock.into()),
            count => Ok(count),
        }
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The opcode of a text message.
const TEXT: coding::OpCode = coding::OpCode::Data(coding::Data::Text);
