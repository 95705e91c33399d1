use crate::demultiplexer::{Demultiplexer, End, Step};
use crate::errors::CLOSED;
use crate::link::{Link, url_of};
use crate::wire::{CONTROL, STREAMS};
use async_trait::async_trait;
use broker_core::memory::{Holder, MemoryBudget, Registration, Share};
use broker_core::transport::{FrameReader, ReadBuffer, TransportError};
use broker_core::{Address, Reason};
use bytes::BufMut;
use quinn::{AcceptUni, ConnectionError, ReadError, RecvStream, VarInt};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};
use tokio::io::AsyncReadExt;

/// The receiving half of a connection.
pub(crate) struct QuicReader {
    link: Arc<Link>,
    /// In the order of their numbers.
    streams: Vec<RecvStream>,
    demultiplexer: Demultiplexer,
    /// The stream that is looked at first, so that a busy one does not starve the others.
    first: usize,
    /// What all streams together may hold once the other side is a peer.
    window: VarInt,
    /// The other side's address when it was asked for last.
    remote: SocketAddr,
    held: Option<(Arc<Held>, Registration)>,
}

/// The memory of frames that are being put together, within the budget of the endpoint.
struct Held {
    share: Share,
    /// Whether it is the other side that is waited for.
    awaited: AtomicBool,
    /// How much it was when the connection had to give way.
    evicted: AtomicUsize,
    connection: quinn::Connection,
}

impl Holder for Held {
    fn held(&self) -> usize {
        if self.awaited.load(Relaxed) { self.share.bytes() } else { 0 }
    }

    fn give_way(&self, _: usize) -> usize {
        let held = self.held();
        if held > 0 {
            self.evicted.store(held, Relaxed);
            self.awaited.store(false, Relaxed);
            self.connection.close(CLOSED, b"unfinished frames hold too much memory");
            let _ = self.share.set(0);
        }
        held
    }
}

impl Held {
    /// Takes note of what is held now.
    fn set(&self, bytes: usize, awaited: bool) {
        if self.evicted.load(Relaxed) > 0 {
            return;
        }
        self.awaited.store(awaited, Relaxed);
        if self.share.set(bytes) {
            self.share.relieve();
        }
    }

    /// Why the connection had to give way, if it had to.
    fn why(&self) -> Option<TransportError> {
        let held = self.evicted.load(Relaxed);
        (held > 0).then(|| {
            let detail = format!(
                "receiving: the connections of this endpoint hold more memory than the limit \
                 memory allows, and unfinished frames of this one are the largest part of it: \
                 {held} bytes"
            );
            TransportError::new(Reason::OutOfResources, detail)
        })
    }
}

impl QuicReader {
    /// Reads the streams behind `control`, which is at its first item.
    pub(crate) fn new(
        link: Arc<Link>,
        control: RecvStream,
        mut demultiplexer: Demultiplexer,
        window: VarInt,
    ) -> Self {
        demultiplexer.add_stream();
        let remote = link.connection.remote_address();
        let streams = vec![control];
        Self { link, streams, demultiplexer, first: 0, window, remote, held: None }
    }

    fn poll<'a>(
        &mut self,
        cx: &mut Context<'_>,
        accept: Pin<&mut AcceptUni<'a>>,
        link: &'a Link,
        out: &mut ReadBuffer,
    ) -> Poll<Result<(), TransportError>> {
        let mut lost = self.accept(cx, accept, link);
        let handshake = self.demultiplexer.is_handshake();
        let topic_streams = self.streams.len() - 1;
        self.first += 1;
        let first = self.first;
        let order = (0..topic_streams).map(|stream| CONTROL + 1 + (first + stream) % topic_streams);
        for stream in std::iter::once(CONTROL).chain(order) {
            match self.read(stream, cx, out) {
                Ok(Step::Full) => break,
                Ok(_) => {}
                Err(Failure::Lost(error)) => lost = Some(error),
                Err(Failure::Misbehaved(what)) => return Poll::Ready(Err(link.misbehaved(what))),
            }
        }
        if handshake && !self.demultiplexer.is_handshake() {
            link.connection.set_receive_window(self.window);
        }
        if !out.is_empty() {
            return Poll::Ready(Ok(()));
        }
        if self.demultiplexer.end() == Some(End::Closed) {
            return Poll::Ready(Err(TransportError::closed()));
        }
        // Only now, as what had arrived before is worth having.
        if let Some(error) = lost {
            return Poll::Ready(Err(link.explain(&error, "receiving")));
        }
        self.demultiplexer.release();
        out.release();
        Poll::Pending
    }

    /// Takes in the streams that the other side has opened.
    fn accept<'a>(
        &mut self,
        cx: &mut Context<'_>,
        mut accept: Pin<&mut AcceptUni<'a>>,
        link: &'a Link,
    ) -> Option<ConnectionError> {
        while self.streams.len() < STREAMS {
            match accept.as_mut().poll(cx) {
                Poll::Ready(Ok(stream)) => {
                    self.streams.push(stream);
                    self.demultiplexer.add_stream();
                    accept.set(link.connection.accept_uni());
                }
                Poll::Ready(Err(error)) => return Some(error),
                Poll::Pending => break,
            }
        }
        None
    }

    /// Hands up what a stream has and may. Returns what it needs, if that is not more bytes.
    fn read(
        &mut self,
        stream: usize,
        cx: &mut Context<'_>,
        out: &mut ReadBuffer,
    ) -> Result<Step, Failure> {
        loop {
            let limit =
                match self.demultiplexer.advance(stream, out).map_err(Failure::Misbehaved)? {
                    Step::Read(limit) => limit,
                    other => return Ok(other),
                };
            let Some(source) = self.streams.get_mut(stream) else { return Ok(Step::Wait) };
            let mut room = self.demultiplexer.spare(stream).limit(limit);
            let read = pin!(source.read_buf(&mut room)).poll(cx);
            match read {
                Poll::Pending => return Ok(Step::Read(limit)),
                Poll::Ready(Ok(0)) => self.demultiplexer.finish(stream),
                Poll::Ready(Ok(count)) => self.demultiplexer.filled(stream, count),
                Poll::Ready(Err(error)) => return Err(Failure::from(error)),
            }
        }
    }
}

enum Failure {
    Lost(ConnectionError),
    Misbehaved(&'static str),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<ReadError>());
        match inner {
            Some(ReadError::ConnectionLost(error)) => Self::Lost(error.clone()),
            _ => Self::Misbehaved("a stream that breaks off"),
        }
    }
}

#[async_trait]
impl FrameReader for QuicReader {
    async fn recv(&mut self, buffer: &mut ReadBuffer) -> Result<(), TransportError> {
        if self.demultiplexer.end() == Some(End::TooLarge) {
            let detail = "receiving: the frame that comes next is larger than allowed";
            return Err(TransportError::new(Reason::NotBroker, detail));
        }
        let link = self.link.clone();
        let mut accept = pin!(link.connection.accept_uni());
        poll_fn(|cx| {
            let outcome = self.poll(cx, accept.as_mut(), &link, buffer);
            let Some((held, _)) = &self.held else { return outcome };
            held.set(self.demultiplexer.memory(), outcome.is_pending());
            match outcome {
                Poll::Ready(Err(error)) => Poll::Ready(Err(held.why().unwrap_or(error))),
                outcome => outcome,
            }
        })
        .await
    }

    fn moved(&mut self) -> Option<Address> {
        let now = self.link.connection.remote_address();
        let before = std::mem::replace(&mut self.remote, now);
        (now != before).then(|| url_of(now))
    }

    fn within(&mut self, budget: &Arc<MemoryBudget>) {
        let held = Arc::new(Held {
            share: Share::of(budget),
            awaited: AtomicBool::new(false),
            evicted: AtomicUsize::new(0),
            connection: self.link.connection.clone(),
        });
        let holder: Arc<dyn Holder> = held.clone();
        let registration = budget.register(Arc::downgrade(&holder));
        self.held = Some((held, registration));
    }
}
