use async_trait::async_trait;
use broker_core::EndpointId;
use broker_core::transport::{FrameReader, ReadBuffer, TransportError};
use broker_core::wire::envelope::{EnvelopeType, HEADER_LEN, is_from};
use broker_core::wire::frame::{PREFIX, frame_length};
use std::collections::VecDeque;
use tokio::sync::{mpsc, oneshot};

/// The receiving half of a bridge's connection. It holds back the pongs of the endpoint in between
/// until the other side has confirmed what came before the ping: a pong says that everything was
/// read.
pub(crate) struct Reader {
    inner: Box<dyn FrameReader>,
    bridge: EndpointId,
    /// Asks for a confirmation.
    asks: mpsc::UnboundedSender<oneshot::Sender<()>>,
    received: ReadBuffer,
    /// What is left of a frame that is let through.
    passing: usize,
    held: VecDeque<(Vec<u8>, oneshot::Receiver<()>)>,
}

impl Reader {
    pub(crate) fn new(
        inner: Box<dyn FrameReader>,
        bridge: EndpointId,
        asks: mpsc::UnboundedSender<oneshot::Sender<()>>,
    ) -> Self {
        let (received, held) = (ReadBuffer::new(), VecDeque::new());
        Self { inner, bridge, asks, received, passing: 0, held }
    }

    /// Lets through what may pass. Returns whether there was anything.
    fn pass(&mut self, buffer: &mut ReadBuffer) -> bool {
        let mut any = false;
        loop {
            let pending = self.received.pending();
            if self.passing == 0 {
                let Some(length) = frame_length(pending) else { return any };
                let Some(head) = pending.get(..length.min(PREFIX + HEADER_LEN)) else { return any };
                if self.is_pong(head) {
                    let Some(pong) = pending.get(..length) else { return any };
                    self.hold(pong.to_vec());
                    self.received.consume(length);
                    continue;
                }
                self.passing = length;
            }
            let now = pending.get(..self.passing.min(pending.len())).unwrap_or_default();
            if now.is_empty() {
                return any;
            }
            buffer.spare().extend_from_slice(now);
            let count = now.len();
            self.received.consume(count);
            self.passing -= count;
            any = true;
        }
    }

    /// Messages of the handshake have no sender in front.
    fn is_pong(&self, head: &[u8]) -> bool {
        head.get(PREFIX..).is_some_and(|head| is_from(head, self.bridge, EnvelopeType::Pong))
    }

    fn hold(&mut self, pong: Vec<u8>) {
        let (asked_by, confirmed) = oneshot::channel();
        // If nobody can confirm any more, that shows in the answer.
        let _ = self.asks.send(asked_by);
        self.held.push_back((pong, confirmed));
    }
}

#[async_trait]
impl FrameReader for Reader {
    async fn recv(&mut self, buffer: &mut ReadBuffer) -> Result<(), TransportError> {
        loop {
            if self.pass(buffer) {
                return Ok(());
            }
            // A pong that is not confirmed is never given: the connection is about to end.
            let received = match self.held.front_mut() {
                Some((_, confirmed)) if self.passing == 0 => tokio::select! {
                    biased;
                    answer = confirmed => {
                        if let Some((pong, _)) = self.held.pop_front()
                            && answer.is_ok()
                        {
                            buffer.spare().extend_from_slice(&pong);
                            return Ok(());
                        }
                        continue;
                    }
                    received = self.inner.recv(&mut self.received) => received,
                },
                _ => self.inner.recv(&mut self.received).await,
            };
            if let Err(error) = received {
                self.pass(buffer);
                return Err(error);
            }
        }
    }
}
