use super::{FrameReader, FrameWriter, ReadBuffer, TransportError, WriteBatch};
use async_trait::async_trait;
use broker_proto::limits::READ_CHUNK_MAX;
use bytes::BufMut;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::pin;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Pieces handed to one vectored write.
const SLICES: usize = 64;

/// The receiving half over any byte stream.
#[derive(Debug)]
pub struct StreamReader<R>(pub R);

#[async_trait]
impl<R: AsyncRead + Unpin + Send> FrameReader for StreamReader<R> {
    async fn recv(&mut self, buffer: &mut ReadBuffer) -> Result<(), TransportError> {
        let outcome = poll_fn(|cx| {
            // Some streams write zeros into all the room they are given.
            let mut room = buffer.spare().limit(READ_CHUNK_MAX);
            let outcome = pin!(self.0.read_buf(&mut room)).poll(cx);
            if outcome.is_pending() {
                buffer.release();
            }
            outcome
        });
        match outcome.await {
            Ok(0) => Err(TransportError::closed()),
            Ok(count) => {
                buffer.filled(count);
                Ok(())
            }
            Err(error) => Err(TransportError::from_io(&error, "receiving")),
        }
    }
}

/// The sending half over any byte stream.
#[derive(Debug)]
pub struct StreamWriter<W>(pub W);

#[async_trait]
impl<W: AsyncWrite + Unpin + Send> FrameWriter for StreamWriter<W> {
    async fn send(&mut self, batch: &mut WriteBatch) -> Result<(), TransportError> {
        write_all(&mut self.0, batch)
            .await
            .map_err(|error| TransportError::from_io(&error, "sending"))
    }

    async fn shutdown(&mut self) {
        // Whoever shuts down no longer cares whether the other side is still there.
        let _ = self.0.shutdown().await;
    }
}

async fn write_all<W: AsyncWrite + Unpin>(io: &mut W, batch: &mut WriteBatch) -> io::Result<()> {
    while !batch.is_empty() {
        let written = if io.is_write_vectored() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = batch.io_slices(&mut slices);
            io.write_vectored(slices.get(..count).unwrap_or_default()).await?
        } else {
            io.write(batch.first()).await?
        };
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        batch.advance(written);
    }
    io.flush().await
}
