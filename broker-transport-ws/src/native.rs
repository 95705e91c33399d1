//! Peerings over WebSocket: the frames of the native protocol as binary messages.
//!
//! Messages are pieces of one stream of length-prefixed frames, cut anywhere, as over TCP. The
//! receiver gives up on a message above [`MESSAGE_MAX`]; the sender stays far below.

use crate::framing::{CloseCode, Framing, Received, Side};
use crate::stream::{ReadHalf, Stream, WriteHalf, receive};
use async_trait::async_trait;
use broker_core::transport::{
    Connection, FrameReader, FrameWriter, Link, ReadBuffer, TransportError, TransportErrorKind,
    WriteBatch,
};
use bytes::{Buf, Bytes};
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::io::AsyncWriteExt;

/// The longest message that is accepted.
const MESSAGE_MAX: usize = 1024 * 1024;

/// How much goes into one message, so that a slow link shows progress.
const MESSAGE: usize = 16 * 1024;

/// A connection after its opening handshake; `rest` has been received behind it.
pub(crate) fn connection(stream: Stream, side: Side, rest: &[u8], link: Link) -> Connection {
    let (reader, writer) = tokio::io::split(stream);
    let mut framing = Framing::new(side, MESSAGE_MAX);
    framing.push(rest);
    let shared = Arc::new(Shared { framing: Mutex::new(framing) });
    let writer = Arc::new(tokio::sync::Mutex::new(Socket { half: writer, pending: Bytes::new() }));
    Connection {
        reader: Box::new(Reader {
            shared: Arc::clone(&shared),
            half: reader,
            socket: Arc::clone(&writer),
            end: None,
        }),
        writer: Box::new(Writer { shared, socket: writer }),
        link,
    }
}

/// The framing, which both halves need: what is received may have to be answered.
struct Shared {
    framing: Mutex<Framing>,
}

/// The socket for sending, and what it has not taken yet of the framing's output.
struct Socket {
    half: WriteHalf,
    pending: Bytes,
}

impl Socket {
    /// Sends everything that the framing has for the other side. Cancel safe.
    async fn send(&mut self, shared: &Shared) -> Result<(), TransportError> {
        loop {
            if self.pending.is_empty() {
                self.pending = std::mem::take(shared.framing.lock().output()).into();
            }
            if self.pending.is_empty() {
                break;
            }
            let written = self.half.write(&self.pending).await;
            match written.map_err(|error| TransportError::from_io(&error, "sending"))? {
                0 => return Err(TransportError::closed()),
                count => self.pending.advance(count),
            }
        }
        let flushed = self.half.flush().await;
        flushed.map_err(|error| TransportError::from_io(&error, "sending"))
    }
}

struct Reader {
    shared: Arc<Shared>,
    half: ReadHalf,
    socket: Arc<tokio::sync::Mutex<Socket>>,
    /// Why nothing more will come.
    end: Option<TransportError>,
}

impl Reader {
    /// Appends what has been received, and says whether that was anything.
    fn take(&mut self, buffer: &mut ReadBuffer) -> bool {
        use TransportErrorKind::{Closed, WrongProtocol};
        let mut any = false;
        while self.end.is_none() {
            let received = self.shared.framing.lock().next();
            self.end = match received {
                Ok(None) => break,
                Ok(Some(Received::Binary(bytes))) => {
                    buffer.spare().extend_from_slice(&bytes);
                    any |= !bytes.is_empty();
                    None
                }
                Ok(Some(Received::SignOfLife | Received::Pong(_))) => None,
                Ok(Some(Received::Text(_))) => {
                    let reason = "a text message, which is for the JSON API";
                    self.shared.framing.lock().close(CloseCode::POLICY, reason);
                    let detail = format!("the peer sent {reason}");
                    Some(TransportError::new(WrongProtocol, detail))
                }
                Ok(Some(Received::Close(code, reason))) if !reason.is_empty() => {
                    let detail = format!("the peer closed with code {code}: {reason}");
                    Some(TransportError::new(Closed, detail))
                }
                Ok(Some(Received::Close(..) | Received::Ended)) => Some(TransportError::closed()),
                Err(violation) => {
                    self.shared.framing.lock().close(violation.code, &violation.reason);
                    Some(TransportError::new(WrongProtocol, violation.to_string()))
                }
            };
        }
        any
    }

    /// Sends answers, unless the writer is at it, which then sends them as well.
    async fn answer(&self) {
        if self.shared.framing.lock().output().is_empty() {
            return;
        }
        if let Ok(mut socket) = self.socket.try_lock() {
            // A socket that takes nothing more shows when it is read from.
            let _ = socket.send(&self.shared).await;
        }
    }
}

#[async_trait]
impl FrameReader for Reader {
    async fn recv(&mut self, buffer: &mut ReadBuffer) -> Result<(), TransportError> {
        loop {
            let any = self.take(buffer);
            self.answer().await;
            if any {
                return Ok(());
            }
            if let Some(end) = &self.end {
                return Err(end.clone());
            }
            let shared = &self.shared;
            let received = receive(&mut self.half, |bytes| shared.framing.lock().push(bytes)).await;
            match received {
                Ok(0) => self.shared.framing.lock().end(),
                Ok(_) => {}
                Err(error) => return Err(TransportError::from_io(&error, "receiving")),
            }
        }
    }
}

struct Writer {
    shared: Arc<Shared>,
    socket: Arc<tokio::sync::Mutex<Socket>>,
}

#[async_trait]
impl FrameWriter for Writer {
    async fn send(&mut self, batch: &mut WriteBatch) -> Result<(), TransportError> {
        let mut socket = self.socket.lock().await;
        // A call that was cancelled may have left something behind.
        socket.send(&self.shared).await?;
        while !batch.is_empty() {
            let piece = batch.first();
            let piece = piece.get(..MESSAGE).unwrap_or(piece);
            let count = piece.len();
            let message = Bytes::copy_from_slice(piece);
            self.shared.framing.lock().send_binary(message);
            batch.advance(count);
            socket.send(&self.shared).await?;
        }
        Ok(())
    }

    async fn shutdown(&mut self) {
        let mut socket = self.socket.lock().await;
        self.shared.framing.lock().close(CloseCode::NORMAL, "");
        // Whoever shuts down no longer cares whether the other side is still there.
        let _ = socket.send(&self.shared).await;
        let _ = socket.half.shutdown().await;
    }
}
