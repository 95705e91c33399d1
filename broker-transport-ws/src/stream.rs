//! The byte streams under a WebSocket.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A connection, plain or encrypted.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Duplex for T {}

pub(crate) type Stream = Box<dyn Duplex>;
pub(crate) type ReadHalf = tokio::io::ReadHalf<Stream>;
pub(crate) type WriteHalf = tokio::io::WriteHalf<Stream>;

/// The most that is read at once.
const READ: usize = 16 * 1024;

/// Waits for bytes and hands them to `take`; returns how many there were, 0 at the end.
///
/// The buffer lives on the stack, so a connection that waits holds none. Cancel safe.
pub(crate) async fn receive(
    stream: &mut (impl AsyncRead + Unpin + ?Sized),
    mut take: impl FnMut(&[u8]),
) -> io::Result<usize> {
    poll_fn(|cx| {
        let mut room = [const { MaybeUninit::uninit() }; READ];
        let mut buffer = ReadBuf::uninit(&mut room);
        Pin::new(&mut *stream).poll_read(cx, &mut buffer).map_ok(|()| {
            take(buffer.filled());
            buffer.filled().len()
        })
    })
    .await
}
