//! Peerings over WebSocket: the frames of the native protocol as binary messages.
//!
//! Messages are pieces of one stream of length-prefixed frames, cut anywhere, as over TCP. The
//! receiver gives up on a message above [`MESSAGE_MAX`]; the sender stays far below.

use crate::framing::{CloseCode, Framing, Received, Side, Violation};
use crate::stream::{ReadHalf, Stream, WriteHalf, receive};
use async_trait::async_trait;
use broker_core::transport::{
    Connection, FrameReader, FrameWriter, Link, ReadBuffer, TransportError, WriteBatch,
};
use bytes::{Buf, Bytes};
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::io::AsyncWriteExt;

/// The longest message that is accepted.
const MESSAGE_MAX: usize = 1024 * 1024;

/// How much goes into one message, so that a slow link shows progress.
const MESSAGE: usize = 16 * 1024;

/// Output of the framing from which on pings get no answer of their own. That leaves room for a
/// message beside the answers to many pings; and who sends more of them without reading need not
/// get them all.
const ANSWERS_MAX: usize = 2 * MESSAGE;

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
            is_answering: false,
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

impl Shared {
    /// The next message. So many pings are answered as may wait for the other side to read that.
    fn next(&self) -> Result<Option<Received>, Violation> {
        let mut framing = self.framing.lock();
        let before = framing.output().len();
        let received = framing.next();
        if before > ANSWERS_MAX && matches!(received, Ok(Some(Received::SignOfLife))) {
            framing.output().truncate(before);
        }
        received
    }
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
    /// Whether an answer may not have been sent completely.
    is_answering: bool,
    /// Why nothing more will come.
    end: Option<TransportError>,
}

impl Reader {
    /// Appends what has been received, and says whether that was anything.
    fn take(&mut self, buffer: &mut ReadBuffer) -> bool {
        use broker_core::Reason::{Closed, NotBroker};
        let mut any = false;
        while self.end.is_none() {
            let received = self.shared.next();
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
                    Some(TransportError::new(NotBroker, detail))
                }
                Ok(Some(Received::Close(code, reason))) if !reason.is_empty() => {
                    let detail = format!("the peer closed with code {code}: {reason}");
                    Some(TransportError::new(Closed, detail))
                }
                Ok(Some(Received::Close(..) | Received::Ended)) => Some(TransportError::closed()),
                Err(violation) => {
                    self.shared.framing.lock().close(violation.code, &violation.reason);
                    Some(TransportError::new(NotBroker, violation.to_string()))
                }
            };
        }
        any
    }
}

#[async_trait]
impl FrameReader for Reader {
    async fn recv(&mut self, buffer: &mut ReadBuffer) -> Result<(), TransportError> {
        loop {
            let any = self.take(buffer);
            let Self { shared, half, socket, is_answering, end } = self;
            *is_answering |= !shared.framing.lock().output().is_empty();
            let is_over = any || end.is_some();
            // The other side may not read its answers, and is read from nevertheless.
            tokio::select! {
                biased;
                () = answer(shared, socket), if *is_answering => *is_answering = false,
                () = std::future::ready(()), if is_over => {}
                received = receive(half, |bytes| shared.framing.lock().push(bytes)) => {
                    match received {
                        Ok(0) => shared.framing.lock().end(),
                        Ok(_) => {}
                        Err(error) => return Err(TransportError::from_io(&error, "receiving")),
                    }
                    continue;
                }
            }
            if any {
                return Ok(());
            }
            if let Some(end) = end {
                return Err(end.clone());
            }
        }
    }
}

/// Sends what the framing has for the other side, as soon as the writer lets it. Cancel safe.
async fn answer(shared: &Shared, socket: &tokio::sync::Mutex<Socket>) {
    // A socket that takes nothing more shows when it is read from.
    let _ = socket.lock().await.send(shared).await;
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

#[cfg(test)]
mod tests {
    use super::*;
    use broker_core::Address;
    use broker_core::transport::Protection;
    use std::io;
    use std::pin::Pin;
    use std::task::{Context, Poll, ready};
    use std::time::Duration;
    use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, DuplexStream, ReadBuf};
    use tokio::time::{Sleep, sleep, timeout};

    fn accepted(stream: impl crate::stream::Duplex + 'static) -> Connection {
        let link =
            Link { remote: Address::new("ws", "127.0.0.1", 1), protection: Protection::Plain };
        connection(Box::new(stream), Side::Server, b"", link)
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_pings_and_does_not_read_is_still_read_from() {
        let (ours, mut theirs) = tokio::io::duplex(1000);
        let mut connection = accepted(ours);
        let mut peer = Framing::new(Side::Client, 1000);
        (0..1000).for_each(|_| peer.send_ping(Bytes::from_static(&[b'p'; 125])));
        peer.send_binary(Bytes::from_static(b"message"));
        let bytes = std::mem::take(peer.output());
        let writing = tokio::spawn(async move {
            theirs.write_all(&bytes).await.unwrap();
            theirs
        });
        let mut buffer = ReadBuffer::new();
        let received = timeout(Duration::from_secs(60), connection.reader.recv(&mut buffer)).await;
        received.expect("the message behind the pings").unwrap();
        // What it has caused is bounded, and the last ping is answered as soon as it reads.
        let mut theirs = writing.await.unwrap();
        let reading = tokio::spawn(async move { connection.reader.recv(&mut buffer).await });
        let mut pongs = 0;
        let mut bytes = [0; 1000];
        while let Ok(Ok(count)) = timeout(Duration::from_secs(1), theirs.read(&mut bytes)).await {
            pongs += count;
        }
        assert!((127..50_000).contains(&pongs), "{pongs}");
        assert!(!reading.is_finished());
    }

    /// A stream that takes its time to flush, as an encryption may.
    struct SlowFlush {
        stream: DuplexStream,
        flushing: Option<Pin<Box<Sleep>>>,
    }

    const FLUSH: Duration = Duration::from_secs(10);

    impl AsyncRead for SlowFlush {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            into: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Pin::new(&mut self.stream).poll_read(cx, into)
        }
    }

    impl AsyncWrite for SlowFlush {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            Pin::new(&mut self.stream).poll_write(cx, bytes)
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            let flushing = self.flushing.get_or_insert_with(|| Box::pin(sleep(FLUSH)));
            ready!(flushing.as_mut().poll(cx));
            self.flushing = None;
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_ping_is_answered_when_the_writer_is_busy_at_that_moment() {
        let (ours, mut theirs) = tokio::io::duplex(10_000);
        let Connection { mut reader, mut writer, .. } =
            accepted(SlowFlush { stream: ours, flushing: None });
        let mut batch = WriteBatch::new();
        batch.append(broker_core::transport::Chunk::Segment(vec![0; 10]));
        let sending = tokio::spawn(async move { writer.send(&mut batch).await });
        let receiving = tokio::spawn(async move { reader.recv(&mut ReadBuffer::new()).await });
        sleep(FLUSH + FLUSH / 2).await;
        assert!(!sending.is_finished(), "it is at its last flush, with nothing left to write");
        let mut peer = Framing::new(Side::Client, 10_000);
        peer.send_ping(Bytes::from_static(b"?"));
        theirs.write_all(&std::mem::take(peer.output())).await.unwrap();
        let pong = async {
            loop {
                let mut bytes = [0; 1000];
                let count = theirs.read(&mut bytes).await.unwrap();
                peer.push(&bytes[..count]);
                while let Some(received) = peer.next().unwrap() {
                    if received == Received::Pong(Bytes::from_static(b"?")) {
                        return;
                    }
                }
            }
        };
        timeout(10 * FLUSH, pong).await.expect("a pong");
        sending.await.unwrap().unwrap();
        assert!(!receiving.is_finished());
    }
}
