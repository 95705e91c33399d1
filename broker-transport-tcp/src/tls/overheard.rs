use crate::persistent;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// How many first bytes tell who speaks.
pub(super) const HEAD: usize = 16;

/// A socket that remembers the first bytes it received: if they are not TLS they tell what else
/// the other side speaks.
pub(super) struct Overheard {
    socket: TcpStream,
    head: [u8; HEAD],
    heard: usize,
}

impl Overheard {
    pub(super) fn new(socket: TcpStream) -> Self {
        Self { socket, head: [0; HEAD], heard: 0 }
    }

    /// The first bytes, as far as they have arrived. The stream is of no use any more after this,
    /// as bytes that have arrived and were not asked for may be taken from it.
    pub(super) fn head(&mut self) -> &[u8] {
        let room = self.head.get_mut(self.heard..).unwrap_or_default();
        self.heard += self.socket.try_read(room).unwrap_or_default();
        self.head.get(..self.heard).unwrap_or_default()
    }
}

impl AsyncRead for Overheard {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(cx, buffer))?;
        let this = &mut *self;
        let arrived = buffer.filled().get(before..).unwrap_or_default();
        let room = this.head.get_mut(this.heard..).unwrap_or_default();
        for (to, from) in room.iter_mut().zip(arrived) {
            *to = *from;
            this.heard += 1;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Overheard {
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
