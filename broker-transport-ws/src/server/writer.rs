use super::queue::{Interrupt, Outgoing, Taken};
use crate::stream::WriteHalf;
use bytes::{Buf, Bytes};
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;
use tokio::io::{AsyncWrite, AsyncWriteExt};

/// Pieces handed to one vectored write.
const SLICES: usize = 64;

/// Writes what is queued until the queue is over, and gives the connection back then; `None` if
/// the connection has failed.
pub(crate) async fn run(mut writer: WriteHalf, queue: Arc<Outgoing>) -> Option<WriteHalf> {
    let mut batch = VecDeque::new();
    loop {
        match queue.take(&mut batch) {
            Taken::Some => {
                if write_all(&mut writer, &mut batch, &queue).await.is_err() {
                    queue.interrupt(Interrupt::Broken);
                    return None;
                }
            }
            Taken::Idle => {
                batch = VecDeque::new();
                queue.ready().await;
            }
            Taken::Over => return Some(writer),
        }
    }
}

async fn write_all(
    writer: &mut WriteHalf,
    batch: &mut VecDeque<Bytes>,
    queue: &Outgoing,
) -> io::Result<()> {
    while !batch.is_empty() {
        let mut slices = [IoSlice::new(&[]); SLICES];
        for (slot, frame) in slices.iter_mut().zip(batch.iter()) {
            *slot = IoSlice::new(frame);
        }
        let count = batch.len().min(SLICES);
        let mut written = if writer.is_write_vectored() {
            writer.write_vectored(slices.get(..count).unwrap_or_default()).await?
        } else {
            writer.write(batch.front().map(Bytes::as_ref).unwrap_or_default()).await?
        };
        if written == 0 && batch.iter().any(|frame| !frame.is_empty()) {
            return Err(io::ErrorKind::WriteZero.into());
        }
        queue.wrote(written);
        while let Some(frame) = batch.front_mut() {
            if written < frame.len() {
                frame.advance(written);
                break;
            }
            written -= frame.len();
            batch.pop_front();
        }
    }
    writer.flush().await
}
