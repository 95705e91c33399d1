use crate::errors::ABORTED;
use crate::link::Link;
use crate::outgoing::Outgoing;
use crate::wire::STREAMS;
use broker_core::Reason;
use broker_core::transport::TransportError;
use bytes::Bytes;
use quinn::{SendStream, StoppedError, WriteError};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::timeout;

/// Moves sorted bytes into the streams as these accept them, each at its own pace.
///
/// It is a task of its own because streams have to make progress while the writer waits for
/// something to write, and after the writer has been dropped.
pub(crate) struct Pump {
    pub(crate) link: Arc<Link>,
    pub(crate) streams: Vec<SendStream>,
    pub(crate) outgoing: Arc<Outgoing>,
    /// How long the rest may take once nothing more comes.
    pub(crate) linger: Duration,
}

/// What waits for each stream.
type Queues = [VecDeque<Bytes>; STREAMS];

impl Pump {
    pub(crate) async fn run(mut self) {
        let mut queues = Queues::default();
        let outgoing = self.outgoing.clone();
        let end = self.pump(&mut queues).await;
        if end.is_err() {
            self.link.connection.close(ABORTED, b"");
        }
        outgoing.end(end);
    }

    async fn pump(&mut self, queues: &mut Queues) -> Result<(), TransportError> {
        self.write(queues, false).await?;
        timeout(self.linger, self.finish(queues)).await.unwrap_or_else(|_| {
            let detail = format!(
                "sending: what was in flight did not arrive within {:?} of the end",
                self.linger
            );
            Err(TransportError::new(Reason::TimedOut, detail))
        })
    }

    /// Writes until nothing more comes or, if `all`, until everything has been accepted then.
    async fn write(&mut self, queues: &mut Queues, all: bool) -> Result<(), TransportError> {
        let outgoing = self.outgoing.clone();
        loop {
            let mut filled = pin!(outgoing.filled());
            let ending = poll_fn(|cx| self.poll(cx, queues, filled.as_mut(), all)).await;
            if ending.map_err(|error| self.explain(error))? {
                return Ok(());
            }
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        queues: &mut Queues,
        filled: Pin<&mut impl Future<Output = ()>>,
        all: bool,
    ) -> Poll<Result<bool, WriteError>> {
        let ending = self.outgoing.fetch(queues);
        for (stream, queue) in self.streams.iter_mut().zip(queues.iter_mut()) {
            poll_stream(cx, stream, queue, &self.outgoing)?;
        }
        if ending && (!all || queues.iter().all(VecDeque::is_empty)) {
            return Poll::Ready(Ok(true));
        }
        filled.poll(cx).map(|()| Ok(false))
    }

    /// Writes the rest, and waits until the other side has it.
    async fn finish(&mut self, queues: &mut Queues) -> Result<(), TransportError> {
        self.write(queues, true).await?;
        for stream in &mut self.streams {
            // The other side may have stopped it already, which is as good an end.
            let _ = stream.finish();
        }
        for stream in &self.streams {
            match stream.stopped().await {
                Ok(_) | Err(StoppedError::ZeroRttRejected) => {}
                Err(StoppedError::ConnectionLost(error)) => {
                    return Err(self.link.explain(&error, "sending"));
                }
            }
        }
        Ok(())
    }

    fn explain(&self, error: WriteError) -> TransportError {
        match error {
            WriteError::ConnectionLost(error) => self.link.explain(&error, "sending"),
            other => {
                let detail = format!("sending: the other side takes nothing more ({other})");
                TransportError::new(Reason::Reset, detail)
            }
        }
    }
}

/// Writes as much as one stream accepts.
fn poll_stream(
    cx: &mut Context<'_>,
    stream: &mut SendStream,
    queue: &mut VecDeque<Bytes>,
    outgoing: &Outgoing,
) -> Result<(), WriteError> {
    while !queue.is_empty() {
        let written = pin!(stream.write_chunks(queue.make_contiguous())).poll(cx);
        let Poll::Ready(written) = written else { break };
        let written = written?;
        queue.drain(..written.chunks);
        outgoing.accept(written.bytes);
    }
    Ok(())
}
