use super::shared::{ConnHandle, Shared};
use super::writer;
use crate::event::{Event, LogEvent, Severity};
use crate::peering::{ConnId, DialId, Failure, Time, sniff};
use crate::queue::{BoundedQueue, Closing};
use crate::routing::{Inbound, Notice, Peer, Progress};
use crate::transport::{Connection, FrameReader, FrameTooLarge, Link, ReadBuffer};
use crate::wire::frame::PREFIX;
use parking_lot::Mutex;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Where a connection comes from.
pub(super) enum Opened {
    /// From a listener; its time for the handshake began then, and it counts as half open as long
    /// as it holds its permit.
    Accepted { began: Time, permit: OwnedSemaphorePermit },
    /// From a request.
    Dialled(DialId),
}

/// Drives a connection from its first octet to its last.
pub(super) async fn run(shared: Arc<Shared>, connection: Connection, opened: Opened) {
    let Connection { reader, writer, link } = connection;
    let queue = Arc::new(BoundedQueue::new(shared.outbox_bounds()));
    let stop = Arc::new(Notify::new());
    let (source, permit) = match opened {
        Opened::Accepted { began, permit } => (Source::Accepted(began), Some(permit)),
        Opened::Dialled(dial) => (Source::Dialled(dial), None),
    };
    let Some(id) = register(&shared, source, link.clone(), &queue, &stop) else { return };
    let failure = Arc::new(Mutex::new(None));
    let stalled = shared.config.limits.stalled_write;
    let output = writer::Output { writer, queue: Arc::clone(&queue), stalled };
    let writer = shared.tasks.spawn(output.run(Arc::clone(&failure), Arc::clone(&stop)));
    let guard = Guard { shared: &shared, id, queue: &queue, closed: false };
    let mut input = Input {
        shared: &shared,
        id,
        link: &link,
        reader,
        buffer: ReadBuffer::new(),
        permit,
        stop: Box::pin(stop.notified()),
    };
    let ended = input.run().await;
    // If the writer has given up, its reason is the better one.
    let failure = failure.lock().take().unwrap_or(ended);
    guard.close(failure);
    let Input { reader, permit, .. } = input;
    linger(&shared, reader, writer).await;
    drop(permit);
}

enum Source {
    Accepted(Time),
    Dialled(DialId),
}

/// Makes the connection known to the machine and its handle to those who perform what the machine
/// decides about it, in one step.
fn register(
    shared: &Arc<Shared>,
    source: Source,
    link: Link,
    queue: &Arc<BoundedQueue>,
    stop: &Arc<Notify>,
) -> Option<ConnId> {
    let mut state = shared.lock();
    let now = shared.now();
    let id = match source {
        Source::Accepted(began) => state.control.accepted(link, began, now),
        Source::Dialled(dial) => state.control.dialled(dial, link, now),
    }?;
    let (queue, stop) = (Arc::clone(queue), Arc::clone(stop));
    state.conns.insert(id, ConnHandle { queue, stop, closing: None, peer: None });
    shared.perform(&mut state);
    Some(id)
}

/// Reports the end of a connection even if its task is dropped.
struct Guard<'a> {
    shared: &'a Arc<Shared>,
    id: ConnId,
    queue: &'a BoundedQueue,
    closed: bool,
}

impl Guard<'_> {
    fn close(mut self, failure: Failure) {
        self.finish(failure);
    }

    fn finish(&mut self, failure: Failure) {
        if std::mem::replace(&mut self.closed, true) {
            return;
        }
        let flush = self.shared.connection_closed(self.id, failure);
        if flush != Some(crate::peering::Close::Flush) {
            self.queue.close(Closing::Now);
        }
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.finish(Failure::Cancelled);
    }
}

/// Lets the writer finish and takes in what the other side still sends, so that the last octets
/// get there instead of being cut off by a reset.
async fn linger(shared: &Shared, mut reader: Box<dyn FrameReader>, mut writer: JoinHandle<()>) {
    let finished = async {
        // The writer's outcome has been taken note of already.
        let _ = (&mut writer).await;
        let mut ignored = ReadBuffer::new();
        while reader.recv(&mut ignored).await.is_ok() {
            ignored.consume(usize::MAX);
        }
    };
    if timeout(shared.config.limits.linger, finished).await.is_err() {
        writer.abort();
    }
}

/// The receiving half of a connection and everything needed to understand it.
struct Input<'a> {
    shared: &'a Arc<Shared>,
    id: ConnId,
    link: &'a Link,
    reader: Box<dyn FrameReader>,
    buffer: ReadBuffer,
    permit: Option<OwnedSemaphorePermit>,
    stop: Pin<Box<Notified<'a>>>,
}

impl Input<'_> {
    /// Reads until the connection ends, and says why it did.
    async fn run(&mut self) -> Failure {
        let peer = match self.shake_hands().await {
            Ok(peer) => peer,
            Err(failure) => return failure,
        };
        self.permit = None;
        match self.receive(peer).await {
            Err(failure) => failure,
            Ok(never) => match never {},
        }
    }

    async fn more(&mut self) -> Result<(), Failure> {
        tokio::select! {
            biased;
            () = &mut self.stop => Err(Failure::Cancelled),
            received = self.reader.recv(&mut self.buffer) => received.map_err(Failure::from),
        }
    }

    async fn shake_hands(&mut self) -> Result<Arc<Peer>, Failure> {
        let limit = self.shared.config.limits.handshake_frame;
        loop {
            match self.buffer.next_frame(limit) {
                Ok(None) => self.more().await?,
                Ok(Some(frame)) => {
                    let payload = frame.get(PREFIX..).unwrap_or_default();
                    let mut state = self.shared.lock();
                    let now = self.shared.now();
                    state.control.handshake_frame(self.id, payload, now);
                    self.shared.perform(&mut state);
                    let handle = state.conns.get(&self.id);
                    match handle.map(|handle| (&handle.peer, handle.closing)) {
                        Some((Some(peer), _)) => return Ok(Arc::clone(peer)),
                        Some((None, None)) => {}
                        _ => return Err(Failure::Cancelled),
                    }
                }
                Err(too_large) => return Err(self.too_large(too_large)),
            }
        }
    }

    /// A frame that is too large for a handshake is mostly no frame at all.
    fn too_large(&self, FrameTooLarge { length, limit }: FrameTooLarge) -> Failure {
        let fresh = self.shared.lock().control.is_fresh(self.id);
        match sniff(self.buffer.pending()).filter(|_| fresh) {
            Some(protocol) => Failure::NotBroker(protocol),
            None => Failure::FrameTooLarge { length, limit },
        }
    }

    async fn receive(&mut self, peer: Arc<Peer>) -> Result<std::convert::Infallible, Failure> {
        let limits = &self.shared.config.limits;
        let mut inbound = Inbound::new(Arc::clone(&peer), limits.filter_entries);
        loop {
            let region = self.buffer.complete_frames(limits.frame).map_err(
                |FrameTooLarge { length, limit }| Failure::FrameTooLarge { length, limit },
            )?;
            let mut at = 0;
            loop {
                let rest = region.get_mut(at..).unwrap_or_default();
                let (done, progress) = inbound.step(&self.shared.router, rest);
                at += done;
                self.shared.cut(&mut inbound.cut);
                match progress {
                    Progress::Done => break,
                    Progress::Wait(sink) => tokio::select! {
                        biased;
                        () = &mut self.stop => return Err(Failure::Cancelled),
                        () = sink.queue.room() => {}
                    },
                    Progress::Notice(notice) => {
                        if !notice_taken(self.shared, self.id, self.link, &peer, notice) {
                            return Err(Failure::Cancelled);
                        }
                    }
                }
            }
            self.buffer.consume(at);
            self.more().await?;
        }
    }
}

/// Passes on what the data path has noticed. Returns whether the connection goes on.
fn notice_taken(
    shared: &Arc<Shared>,
    id: ConnId,
    link: &Link,
    peer: &Peer,
    notice: Notice,
) -> bool {
    match notice {
        Notice::RoutingUpdate(filter) => {
            shared.control(|control, _| control.routing_update(id, filter));
        }
        Notice::Pong(payload) => {
            if !shared.pings.answered(&payload) {
                shared.control(|control, _| control.pong(id, &payload));
            }
        }
        Notice::ControlOverflow => shared.control(|control, _| control.overflow(id)),
        Notice::Misbehaved { id, what } => {
            let description = format!("{} at {} {what}", peer.id, link.remote);
            let level = Severity::Warning;
            shared.emit(Event::Log(LogEvent { level, id, description, reason: None }));
        }
    }
    shared.lock().conns.get(&id).is_some_and(|handle| handle.closing.is_none())
}
