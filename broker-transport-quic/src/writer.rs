use crate::link::Link;
use crate::multiplexer::Multiplexer;
use crate::outgoing::Outgoing;
use async_trait::async_trait;
use broker_core::transport::{FrameWriter, TransportError, WriteBatch};
use std::sync::Arc;

/// The sending half of a connection.
///
/// Dropping it ends the direction like [`FrameWriter::shutdown`], without waiting.
pub(crate) struct QuicWriter {
    multiplexer: Multiplexer,
    outgoing: Arc<Outgoing>,
    /// Bytes beyond which streams wait for each other.
    backlog: usize,
    ended: bool,
    /// The connection goes on as long as this half exists.
    _link: Arc<Link>,
}

impl QuicWriter {
    pub(crate) fn new(
        multiplexer: Multiplexer,
        outgoing: Arc<Outgoing>,
        backlog: usize,
        link: Arc<Link>,
    ) -> Self {
        Self { multiplexer, outgoing, backlog, ended: false, _link: link }
    }

    fn end(&mut self) {
        if !std::mem::replace(&mut self.ended, true) {
            self.multiplexer.end();
            self.outgoing.add(self.multiplexer.take(), true);
        }
    }

    /// Moves pieces of the batch to the streams while there is room.
    fn sort(&mut self, batch: &mut WriteBatch) -> Result<(), TransportError> {
        while !batch.is_empty() {
            let waiting = self.outgoing.waiting()?;
            if waiting > 0 && waiting >= self.backlog {
                return Ok(());
            }
            match batch.first_shared() {
                Some(frame) => self.multiplexer.add_shared(frame),
                None => self.multiplexer.add(batch.first()),
            }
            batch.advance(batch.first().len());
            self.outgoing.add(self.multiplexer.take(), false);
        }
        Ok(())
    }
}

#[async_trait]
impl FrameWriter for QuicWriter {
    async fn send(&mut self, batch: &mut WriteBatch) -> Result<(), TransportError> {
        loop {
            let before = self.outgoing.accepted();
            self.sort(batch)?;
            if batch.is_empty() {
                return self.outgoing.waiting().map(drop);
            }
            self.outgoing.progress(before).await;
            batch.note_progress();
        }
    }

    async fn shutdown(&mut self) {
        self.end();
        self.outgoing.ended().await;
    }
}

impl Drop for QuicWriter {
    fn drop(&mut self) {
        self.end();
    }
}
