use crate::EndpointId;
use broker_proto::routing::{Peer, Router};
use broker_proto::wire::envelope::ping_frame;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Why there is no round-trip time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PingError {
    /// There is no such peer (any more).
    #[error("{0} is not a peer")]
    NotPeered(EndpointId),
}

/// Pings that have not been answered.
#[derive(Debug, Default)]
pub(super) struct Pings {
    open: Mutex<HashMap<Vec<u8>, Waiter>>,
}

/// Who waits for an answer, and from whom.
#[derive(Debug)]
struct Waiter {
    peer: Arc<Peer>,
    answered: oneshot::Sender<()>,
}

impl Pings {
    /// Takes a pong. Returns whether it answers a ping that this peer got from here.
    pub(super) fn answered(&self, peer: &Peer, payload: &[u8]) -> bool {
        let mut open = self.open.lock();
        if !open.get(payload).is_some_and(|waiter| std::ptr::eq(&*waiter.peer, peer)) {
            return false;
        }
        // Nobody may be waiting any more, but the answer was for this ping all the same.
        open.remove(payload).map(|waiter| waiter.answered.send(())).is_some()
    }

    /// Wakes those who wait for a peer that is not one any more.
    pub(super) fn ended(&self, peer: &Peer) {
        self.open.lock().retain(|_, waiter| !std::ptr::eq(&*waiter.peer, peer));
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

/// Measures the round trip to a peer of the endpoint that has this router. Cancel safe.
pub(super) async fn ping(
    pings: &Pings,
    router: &Router,
    id: EndpointId,
) -> Result<Duration, PingError> {
    let peer = router.peer(id).ok_or(PingError::NotPeered(id))?;
    let payload = [&b"PING"[..], &fastrand::u128(..).to_be_bytes()].concat();
    let (answered, answer) = oneshot::channel();
    let waiter = Waiter { peer: Arc::clone(&peer), answered };
    pings.open.lock().insert(payload.clone(), waiter);
    let open = Open { pings, payload };
    // Whoever ended before this is not going to wake anybody.
    if router.peer(id).is_none_or(|now| !Arc::ptr_eq(&now, &peer)) {
        return Err(PingError::NotPeered(id));
    }
    let began = Instant::now();
    peer.queue.push_control(&ping_frame(router.id, id, &open.payload));
    answer.await.map(|()| began.elapsed()).map_err(|_| PingError::NotPeered(id))
}
