use super::shared::Shared;
use crate::EndpointId;
use crate::wire::envelope::ping_frame;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

/// Why there is no round-trip time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PingError {
    /// There is no such peer (any more).
    #[error("{0} is not a peer")]
    NotPeered(EndpointId),
    /// The peer did not answer in time.
    #[error("no answer within {} s", .0.as_secs_f64())]
    TimedOut(Duration),
}

/// Pings that have not been answered.
#[derive(Debug, Default)]
pub(super) struct Pings {
    open: Mutex<HashMap<Vec<u8>, oneshot::Sender<()>>>,
}

impl Pings {
    /// Takes a pong. Returns whether it answers a ping from here.
    pub(super) fn answered(&self, payload: &[u8]) -> bool {
        // Nobody may be waiting any more, but the answer was for this ping all the same.
        self.open.lock().remove(payload).map(|waiter| waiter.send(())).is_some()
    }
}

/// Forgets a ping that nobody waits for any more.
struct Open<'a> {
    pings: &'a Pings,
    payload: Vec<u8>,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.pings.open.lock().remove(&self.payload);
    }
}

pub(super) async fn ping(
    shared: &Arc<Shared>,
    id: EndpointId,
    limit: Duration,
) -> Result<Duration, PingError> {
    let peer = shared.router.peer(id).ok_or(PingError::NotPeered(id))?;
    let payload = [&b"PING"[..], &fastrand::u128(..).to_be_bytes()].concat();
    let (waiter, answer) = oneshot::channel();
    shared.pings.open.lock().insert(payload.clone(), waiter);
    let open = Open { pings: &shared.pings, payload };
    let began = Instant::now();
    peer.queue.push_control(&ping_frame(shared.id, id, &open.payload));
    let gone = async {
        while shared.router.peer(id).is_some_and(|now| Arc::ptr_eq(&now, &peer)) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        answered = timeout(limit, answer) => match answered {
            Ok(_) => Ok(began.elapsed()),
            Err(_) => Err(PingError::TimedOut(limit)),
        },
        () = gone => Err(PingError::NotPeered(id)),
    }
}
