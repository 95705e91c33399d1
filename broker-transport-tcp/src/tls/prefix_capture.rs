use crate::persistent;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// How many first bytes tell who speaks.
pub(super) const PREFIX_LEN: usize = 16;

/// A socket that remembers the first bytes it received: if they are not TLS they tell what else
/// the other side speaks. Bytes that were looked at before ([`Self::look`]) are read again.
pub(super) struct PrefixCapture {
    socket: TcpStream,
    prefix: [u8; PREFIX_LEN],
    captured: usize,
    seen: Vec<u8>,
}

/// How much is read at once of what is looked at.
const LOOK: usize = 2048;

impl PrefixCapture {
    pub(super) fn new(socket: TcpStream) -> Self {
        Self { socket, prefix: [0; PREFIX_LEN], captured: 0, seen: Vec::new() }
    }

    /// Reads until `judge` comes to a verdict about everything that has arrived so far, and leaves
    /// all of it to be read. At the end of the stream there is none.
    pub(super) async fn look<T>(
        &mut self,
        judge: impl Fn(&[u8]) -> Option<T>,
    ) -> io::Result<Option<T>> {
        loop {
            if let Some(verdict) = judge(&self.seen) {
                return Ok(Some(verdict));
            }
            self.seen.reserve(LOOK);
            if self.socket.read_buf(&mut self.seen).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// The address of the other side.
    pub(super) fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.peer_addr()
    }

    /// The first bytes, as far as they have arrived. The stream is of no use any more after this,
    /// as bytes that have arrived and were not asked for may be taken from it.
    pub(super) fn prefix(&mut self) -> &[u8] {
        let room = self.prefix.get_mut(self.captured..).unwrap_or_default();
        self.captured += self.socket.try_read(room).unwrap_or_default();
        self.prefix.get(..self.captured).unwrap_or_default()
    }
}

impl AsyncRead for PrefixCapture {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.seen.is_empty() {
            let count = self.seen.len().min(buffer.remaining());
            buffer.put_slice(self.seen.get(..count).unwrap_or_default());
            self.seen.drain(..count);
            if self.seen.is_empty() {
                self.seen = Vec::new();
            }
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(cx, buffer))?;
        let this = &mut *self;
        let arrived = buffer.filled().get(before..).unwrap_or_default();
        let room = this.prefix.get_mut(this.captured..).unwrap_or_default();
        for (to, from) in room.iter_mut().zip(arrived) {
            *to = *from;
            this.captured += 1;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for PrefixCapture {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        persistent::poll_write(&self.socket, cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        persistent::poll_write(&self.socket, cx, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
