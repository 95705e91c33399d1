use async_trait::async_trait;
use broker_core::Address;
use broker_core::transport::{
    Connection, FrameWriter, Link, Protection, StreamReader, StreamWriter, TransportError,
    WriteBatch,
};
use broker_tls::HandshakeReport;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, WriteHalf};
use tokio::time::timeout;

/// How long the other side may take to accept the end of the encrypted stream.
const SHUTDOWN_TIME: Duration = Duration::from_secs(1);

/// How a handshake ends: what is made of the encrypted stream, whatever its type.
pub(super) trait Finish {
    type Output;

    fn finish<S>(self, stream: S, report: HandshakeReport) -> Self::Output
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + Sync + 'static;
}

/// Makes a connection with this other side.
pub(super) struct Connected(pub(super) Address);

impl Finish for Connected {
    type Output = Connection;

    fn finish<S>(self, stream: S, report: HandshakeReport) -> Connection
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + Sync + 'static,
    {
        let protection = report.protection();
        let (reader, writer) = tokio::io::split(Explained { stream, report });
        Connection {
            reader: Box::new(StreamReader(reader)),
            writer: Box::new(TlsWriter(StreamWriter(writer))),
            link: Link { remote: self.0, protection },
        }
    }
}

/// A stream of bytes, whatever is below it.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin + Send + Sync {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + Sync> Duplex for S {}

/// An encrypted stream whose handshake is done. Its errors are [`TransportError`]s inside of
/// [`io::Error`]s, with the reason in words.
#[non_exhaustive]
pub struct Encrypted {
    /// The bytes inside.
    pub stream: Box<dyn Duplex>,
    /// What the handshake found out about the other side.
    pub protection: Protection,
}

/// Leaves the stream to a layer above.
pub(super) struct Layered;

impl Finish for Layered {
    type Output = Encrypted;

    fn finish<S>(self, stream: S, report: HandshakeReport) -> Encrypted
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + Sync + 'static,
    {
        let protection = report.protection();
        Encrypted { stream: Box::new(Explained { stream, report }), protection }
    }
}

/// Each write makes records of its own, so what one `send` has sent needs nothing of the next one
/// to be decrypted.
struct TlsWriter<S>(StreamWriter<WriteHalf<Explained<S>>>);

#[async_trait]
impl<S: AsyncRead + AsyncWrite + Unpin + Send> FrameWriter for TlsWriter<S> {
    async fn send(&mut self, batch: &mut WriteBatch) -> Result<(), TransportError> {
        self.0.send(batch).await
    }

    async fn shutdown(&mut self) {
        // Unlike that of a socket, the end of an encrypted stream takes bytes, for which there may
        // be no room.
        let _ = timeout(SHUTDOWN_TIME, self.0.shutdown()).await;
    }
}

/// An encrypted stream whose errors are explained.
struct Explained<S> {
    stream: S,
    report: HandshakeReport,
}

impl<S> Explained<S> {
    fn explain<T>(&self, outcome: Poll<io::Result<T>>, doing: &str) -> Poll<io::Result<T>> {
        outcome.map_err(|error| io::Error::other(self.report.explain(&error, doing)))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Explained<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.explain(outcome, "receiving")
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Explained<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.explain(outcome, "sending")
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.explain(outcome, "sending")
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.stream).poll_flush(cx);
        self.explain(outcome, "sending")
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
