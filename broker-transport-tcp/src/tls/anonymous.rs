//! A stream around a connection of anonymous TLS.

use broker_tls::anonymous::{AnonymousConnection, AnonymousStatus};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

/// An encrypted stream whose handshake is done.
pub(super) struct AnonymousStream<S> {
    socket: S,
    connection: AnonymousConnection,
}

/// Runs the handshake. With an error the socket comes back, and the alert that says why has been
/// sent.
pub(super) async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(
    mut connection: AnonymousConnection,
    mut socket: S,
) -> Result<AnonymousStream<S>, (io::Error, S)> {
    match run(&mut connection, &mut socket).await {
        Ok(()) => Ok(AnonymousStream { socket, connection }),
        Err(error) => Err((error, socket)),
    }
}

async fn run<S: AsyncRead + AsyncWrite + Unpin>(
    connection: &mut AnonymousConnection,
    socket: &mut S,
) -> io::Result<()> {
    loop {
        while !connection.output().is_empty() {
            let count = socket.write(connection.output()).await?;
            if count == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            connection.sent(count);
        }
        socket.flush().await?;
        if connection.is_established() {
            return Ok(());
        }
        let count = socket.read(connection.room()).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        connection.arrived(count);
        if let Err(error) = connection.process() {
            // It ends in any case; the other side learns why if it still listens.
            let _ = socket.write_all(connection.output()).await;
            return Err(io::Error::other(error));
        }
    }
}

impl<S: AsyncWrite + Unpin> AnonymousStream<S> {
    /// Writes what is sealed.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.connection.output().is_empty() {
            let socket = Pin::new(&mut self.socket);
            let count = ready!(socket.poll_write(cx, self.connection.output()))?;
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.connection.sent(count);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for AnonymousStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            match this.connection.process() {
                Ok(AnonymousStatus::Data) => {
                    let plain = this.connection.plaintext();
                    let count = plain.len().min(buffer.remaining());
                    buffer.put_slice(plain.get(..count).unwrap_or_default());
                    this.connection.consume(count);
                    return Poll::Ready(Ok(()));
                }
                // Answers are sent with the next write or the end: a read that waited to write
                // would take the place of whoever does write.
                Ok(AnonymousStatus::Closed) => return Poll::Ready(Ok(())),
                Ok(AnonymousStatus::Input) => {}
                Err(error) => {
                    // One attempt to say why; nothing else is written any more.
                    let _ = this.poll_drain(cx);
                    return Poll::Ready(Err(io::Error::other(error)));
                }
            }
            let mut room = ReadBuf::new(this.connection.room());
            let outcome = Pin::new(&mut this.socket).poll_read(cx, &mut room);
            let count = room.filled().len();
            match outcome {
                Poll::Pending => {
                    this.connection.release();
                    return Poll::Pending;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                // Without a close_notify somebody else may have cut the stream.
                Poll::Ready(Ok(())) if count == 0 => {
                    return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                }
                Poll::Ready(Ok(())) => this.connection.arrived(count),
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for AnonymousStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    /// Seals as much as makes some records, once those before are written.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_drain(cx))?;
        let taken = self.connection.send(pieces).map_err(io::Error::other)?;
        if taken == 0 && pieces.iter().any(|piece| !piece.is_empty()) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        // What the socket does not take now goes with the next write or flush.
        match self.poll_drain(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(taken)),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        self.connection.release();
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.close();
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
