use super::actions::OwnEndpoint;
use super::listener;
use super::shared::Shared;
use super::writer;
use crate::transport::{Connection, Evicted, FrameReader, Link, Place, ReadBuffer};
use broker_proto::Failure;
use broker_proto::memory::Holder;
use broker_proto::peering::{ConnectionId, Opened};
use broker_proto::queue::BoundedQueue;
use broker_proto::session::{self, ReadInterest, Receiver};
use parking_lot::Mutex;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

/// Drives a connection from its first byte to its last. One that was accepted has a place.
pub(super) async fn run(
    shared: Arc<Shared>,
    connection: Connection,
    opened: Opened,
    place: Option<Place>,
) {
    let Connection { mut reader, writer, link } = connection;
    reader.within(&shared.memory);
    let queue = BoundedQueue::with_clock(shared.outbox_bounds(), shared.tasks.clock());
    let queue = Arc::new(queue.within(&shared.memory));
    let holder: Arc<dyn Holder> = queue.clone();
    let _queue_held = shared.memory.register(Arc::downgrade(&holder));
    let Some(id) = register(&shared, opened, link.clone(), &queue) else { return };
    let failure = Arc::new(Mutex::new(None));
    let stalled = shared.config.limits.stalled_write;
    let output = writer::Output { writer, queue: Arc::clone(&queue), stalled };
    let writer = shared.tasks.spawn(output.run(Arc::clone(&failure)));
    let guard = Guard { shared: &shared, id, queue: &queue, closed: false };
    let remote = link.remote.clone();
    let limits = &shared.config.limits;
    let reception = Receiver::new(id, link, limits, &shared.memory, &queue);
    let _frame_held = shared.memory.register(reception.memory());
    let late = None;
    let mut input = Input { shared: &shared, reader, reception, place, queue: &queue, late };
    let ended = input.run().await;
    // If the writer has given up, its reason is the better one.
    let failure = failure.lock().take().unwrap_or(ended);
    guard.close(failure);
    let Input { reader, place, .. } = input;
    let place = match place {
        Some(mut place) => {
            place.close();
            Some(place)
        }
        // How many are dialled is decided here and not outside, so that it is no matter of
        // descriptors.
        None if !shared.tasks.stopping.is_cancelled() => {
            Some(shared.admission.enter(&remote, false))
        }
        None => None,
    };
    linger(&shared, place, reader, writer).await;
}

/// Makes the connection known to the machine and its handle to those who perform what the machine
/// decides about it, in one step.
fn register(
    shared: &Arc<Shared>,
    opened: Opened,
    link: Link,
    queue: &Arc<BoundedQueue>,
) -> Option<ConnectionId> {
    shared.decide(|state, now| {
        let id = state.table.machine.opened(opened, link, now)?;
        state.table.register(id, queue);
        Some(id)
    })
}

/// Reports the end of a connection even if its task is dropped.
struct Guard<'a> {
    shared: &'a Arc<Shared>,
    id: ConnectionId,
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
        session::finish(&OwnEndpoint(self.shared), self.id, self.queue, failure);
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.finish(Failure::Cancelled);
    }
}

/// Lets the writer finish and takes in what the other side still sends, so that the last bytes
/// get there instead of being cut off by a reset.
///
/// For that time a connection counts as half open, whatever it was before.
async fn linger(
    shared: &Shared,
    place: Option<Place>,
    mut reader: Box<dyn FrameReader>,
    mut writer: JoinHandle<()>,
) {
    let finished = async {
        // The writer's outcome has been taken note of already.
        let _ = (&mut writer).await;
        let mut ignored = ReadBuffer::new();
        while reader.recv(&mut ignored).await.is_ok() {
            ignored.consume(usize::MAX);
        }
    };
    let finished = tokio::select! {
        biased;
        _ = lost(place.as_ref()) => false,
        finished = timeout(shared.config.limits.linger, finished) => finished.is_ok(),
    };
    if !finished {
        writer.abort();
    }
}

/// Waits until the connection has lost the place it has.
async fn lost(place: Option<&Place>) -> Evicted {
    match place {
        Some(place) => place.lost().await,
        None => std::future::pending().await,
    }
}

/// The receiving half of a connection and everything needed to understand it.
struct Input<'a> {
    shared: &'a Arc<Shared>,
    reader: Box<dyn FrameReader>,
    reception: Receiver,
    place: Option<Place>,
    /// Its end is the end of the connection.
    queue: &'a BoundedQueue,
    /// Wakes when a frame may have been incomplete for too long; set anew only when it does.
    late: Option<Pin<Box<Sleep>>>,
}

impl Input<'_> {
    /// Reads until the connection ends, and says why it did.
    async fn run(&mut self) -> Failure {
        loop {
            let wants = match self.reception.advance(&OwnEndpoint(self.shared)) {
                Ok(wants) => wants,
                Err(failure) => return failure,
            };
            if self.reception.is_peered() {
                self.place.iter_mut().for_each(Place::establish);
            }
            let limit = self.shared.config.limits.frame_time;
            let since = self.reception.incomplete_since().filter(|_| !limit.is_zero());
            let deadline =
                since.map(|since| self.shared.tasks.instant(since.saturating_add(limit)));
            let satisfied = tokio::select! {
                biased;
                () = self.queue.closed() => Err(self.reception.why_closed()),
                why = lost(self.place.as_ref()) => Err(listener::failure(why)),
                satisfied = satisfy(wants, &mut self.reader, &mut self.reception) => satisfied,
                () = reached(&mut self.late, deadline) => Err(incomplete(limit)),
            };
            if let Err(failure) = satisfied {
                return failure;
            }
            if let Some(remote) = self.reader.moved() {
                self.reception.moved(&OwnEndpoint(self.shared), remote);
            }
        }
    }
}

/// Waits until a deadline is reached, if there is one.
async fn reached(late: &mut Option<Pin<Box<Sleep>>>, deadline: Option<Instant>) {
    let Some(deadline) = deadline else { return std::future::pending().await };
    let late = late.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
    loop {
        late.as_mut().await;
        if late.deadline() >= deadline {
            return;
        }
        late.as_mut().reset(deadline);
    }
}

fn incomplete(limit: Duration) -> Failure {
    let limit = limit.as_secs_f64();
    Failure::LimitReached(format!(
        "a frame of the peer is incomplete after {limit} s, the limit frame-time"
    ))
}

async fn satisfy(
    wants: ReadInterest,
    reader: &mut Box<dyn FrameReader>,
    reception: &mut Receiver,
) -> Result<(), Failure> {
    match wants {
        ReadInterest::Bytes => reader.recv(reception.buffer()).await.map_err(Failure::from),
        ReadInterest::Room(sink) => {
            sink.queue.room().await;
            Ok(())
        }
    }
}
