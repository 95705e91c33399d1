use super::ping::ping;
use super::shared::Shared;
use crate::{EndpointId, Url};
use broker_proto::Failure;
use broker_proto::PeerError;
use broker_proto::peering::PeerStatus;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// How often a peering is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry(Option<Duration>);

impl Retry {
    /// Once, and never again after a loss.
    #[must_use]
    pub const fn never() -> Self {
        Self(None)
    }

    /// Until it works, with this time between the attempts, and again after every loss. Zero is
    /// [`Self::never`].
    #[must_use]
    pub const fn every(time: Duration) -> Self {
        if time.is_zero() { Self(None) } else { Self(Some(time)) }
    }
}

impl Default for Retry {
    /// Every ten seconds, as in the C++ Broker.
    fn default() -> Self {
        Self::every(Duration::from_secs(10))
    }
}

/// The outcome of a request for a peering: the id of the peer, or why there is none.
///
/// With a retry time it is decided by the first success, or when the request is given up. Dropping
/// the handle changes nothing for the request.
///
/// The peering exists then, and this side knows what the peer wants. The peer may have to wait for
/// the last message of the handshake before it can say the same; see [`Self::settled`].
#[derive(Debug)]
pub struct PeerHandle {
    shared: Arc<Shared>,
    outcome: oneshot::Receiver<Result<EndpointId, Failure>>,
}

impl PeerHandle {
    /// Waits for the outcome, and if that is a peering until the peer has said that it exists for
    /// it too: then both sides know each other's filter, and what either publishes from now on
    /// reaches the other. A peer that does not answer within the time for a handshake is not waited
    /// for.
    ///
    /// # Errors
    ///
    /// There is no peering.
    pub async fn settled(mut self) -> Result<EndpointId, PeerError> {
        let id = (&mut self).await?;
        let _ = ping(&self.shared, id, self.shared.config.limits.handshake_time).await;
        Ok(id)
    }
}

impl Future for PeerHandle {
    type Output = Result<EndpointId, PeerError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.outcome).poll(context).map(|outcome| {
            let outcome = outcome.unwrap_or(Err(Failure::ShuttingDown));
            outcome.map_err(|failure| PeerError { failure })
        })
    }
}

pub(super) fn peer(shared: &Arc<Shared>, url: &Url, retry: Retry) -> PeerHandle {
    let (waiter, outcome) = oneshot::channel();
    shared.decide(|state, now| {
        let dial = state.table.machine.peer(url.clone(), retry.0, now);
        state.dials.entry(dial).or_default().waiters.push(waiter);
    });
    PeerHandle { shared: Arc::clone(shared), outcome }
}

pub(super) async fn await_peer(shared: &Arc<Shared>, id: EndpointId, limit: Duration) -> bool {
    let peered = || shared.registry.status(id) == Some(PeerStatus::Peered);
    let wait = async {
        loop {
            let changed = shared.peers_changed.notified();
            if peered() {
                return true;
            }
            if shared.stopping.is_cancelled() {
                return false;
            }
            tokio::select! {
                () = changed => {}
                () = shared.stopping.cancelled() => return peered(),
            }
        }
    };
    timeout(limit, wait).await.unwrap_or(false)
}
