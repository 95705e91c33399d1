use crate::Failure;
use crate::transport::{FrameWriter, WriteBatch};
use broker_proto::queue::{BoundedQueue, Closing, Taken};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How long a link has to be idle before the memory of its last burst is given back.
const RELEASE_AFTER: Duration = Duration::from_secs(1);

/// The sending half of a connection.
pub(super) struct Output {
    pub(super) writer: Box<dyn FrameWriter>,
    pub(super) queue: Arc<BoundedQueue>,
    /// How long the other side may accept nothing at all; zero is forever.
    pub(super) stalled: Duration,
}

impl Output {
    /// Writes what is queued until the queue is closed or the link fails. In the latter case the
    /// reason is left in `failure`, and the queue is closed, which stops the reader.
    pub(super) async fn run(mut self, failure: Arc<Mutex<Option<Failure>>>) {
        let mut batch = WriteBatch::new();
        loop {
            match self.queue.take(&mut batch) {
                Taken::Some => {
                    if let Err(error) = self.send(&mut batch).await {
                        *failure.lock() = Some(error);
                        self.queue.close(Closing::Now);
                        return;
                    }
                }
                Taken::Idle => idle(&self.queue).await,
                Taken::Closed => break,
            }
        }
        self.writer.shutdown().await;
    }

    async fn send(&mut self, batch: &mut WriteBatch) -> Result<(), Failure> {
        if self.stalled.is_zero() {
            return self.writer.send(batch).await.map_err(Failure::from);
        }
        loop {
            let before = batch.progress();
            match timeout(self.stalled, self.writer.send(batch)).await {
                Ok(sent) => return sent.map_err(Failure::from),
                Err(_) if batch.progress() != before => {}
                Err(_) => return Err(Failure::StalledWrite(self.stalled)),
            }
        }
    }
}

async fn idle(queue: &BoundedQueue) {
    if queue.has_large_spare() && timeout(RELEASE_AFTER, queue.changed()).await.is_ok() {
        return;
    }
    queue.release();
    queue.changed().await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OverflowPolicy;
    use crate::transport::{Chunk, TransportError};
    use async_trait::async_trait;
    use broker_proto::queue::Bounds;
    use std::future::pending;
    use tokio::time::sleep;

    const STALLED: Duration = Duration::from_secs(10);

    /// Keeps bytes of its own, and hands some of them to the link every few seconds until it has
    /// room for the batch.
    struct Slow {
        times: u32,
    }

    #[async_trait]
    impl FrameWriter for Slow {
        async fn send(&mut self, batch: &mut WriteBatch) -> Result<(), TransportError> {
            while self.times > 0 {
                sleep(STALLED - Duration::from_secs(1)).await;
                self.times -= 1;
                batch.note_progress();
            }
            batch.advance(batch.remaining());
            Ok(())
        }

        async fn shutdown(&mut self) {}
    }

    /// Accepts one byte and nothing more.
    struct Stuck;

    #[async_trait]
    impl FrameWriter for Stuck {
        async fn send(&mut self, batch: &mut WriteBatch) -> Result<(), TransportError> {
            if batch.remaining() == 10 {
                batch.advance(1);
            }
            pending().await
        }

        async fn shutdown(&mut self) {}
    }

    async fn send(writer: Box<dyn FrameWriter>) -> Result<(), Failure> {
        let policy = OverflowPolicy::DropOldest;
        let bounds = Bounds { messages: 1, memory: 1, control: 1, policy };
        let queue = Arc::new(BoundedQueue::new(bounds));
        let mut batch = WriteBatch::new();
        batch.append(Chunk::Segment(vec![0; 10]));
        Output { writer, queue, stalled: STALLED }.send(&mut batch).await
    }

    #[tokio::test(start_paused = true)]
    async fn a_link_that_takes_bytes_now_and_then_is_not_stalled() {
        send(Box::new(Slow { times: 20 })).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_link_that_takes_nothing_for_too_long_is_stalled() {
        let failure = send(Box::new(Stuck)).await.unwrap_err();
        assert!(matches!(failure, Failure::StalledWrite(STALLED)), "{failure}");
    }
}
