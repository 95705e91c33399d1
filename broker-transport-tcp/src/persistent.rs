use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;

/// Writes to a socket, even before the system calls it writable.
///
/// That it does only when a third of the buffer is free, and with a slow peer that may take longer
/// than a peer that reads nothing is given. So whoever asks again before that offers bytes all the
/// same: there is room for as many as the peer has got in the meantime.
pub(crate) fn poll_write(
    socket: &TcpStream,
    cx: &mut Context<'_>,
    pieces: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    if socket.poll_write_ready(cx)?.is_pending() {
        return would_block(offer(socket, pieces));
    }
    loop {
        let written = would_block(socket.try_write_vectored(pieces));
        // Now that it is full, this sees to it that somebody is told when there is room.
        if written.is_ready() || socket.poll_write_ready(cx)?.is_pending() {
            return written;
        }
    }
}

fn would_block(outcome: io::Result<usize>) -> Poll<io::Result<usize>> {
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
        outcome => Poll::Ready(outcome),
    }
}

#[cfg(unix)]
fn offer(socket: &TcpStream, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
    use rustix::net::{SendFlags, send};
    let first = pieces.iter().find(|piece| !piece.is_empty());
    let first = first.map_or(&[][..], |piece| piece);
    Ok(send(socket, first, SendFlags::NOSIGNAL | SendFlags::DONTWAIT)?)
}

#[cfg(not(unix))]
fn offer(_: &TcpStream, _: &[IoSlice<'_>]) -> io::Result<usize> {
    Err(io::ErrorKind::WouldBlock.into())
}

/// The sending half of a socket, see [`poll_write`].
pub(crate) struct PersistentWriter(pub(crate) OwnedWriteHalf);

impl AsyncWrite for PersistentWriter {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        poll_write(self.0.as_ref(), cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        poll_write(self.0.as_ref(), cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
