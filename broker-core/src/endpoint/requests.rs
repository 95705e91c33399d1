//! Requests for peerings: what users wait for, and the dialling that fulfils them.

use super::connection;
use super::shared::Shared;
use crate::event::{ErrorEvent, Event};
use crate::transport::{Connection, TransportError};
use crate::{Address, EndpointId, ErrorCode, Failure, PeerError, PeerStatus, Reason};
use broker_proto::InvalidAddress;
use broker_proto::peering::{DialId, Opened, Unpeer};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
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
#[derive(Debug)]
pub struct PeerHandle {
    outcome: oneshot::Receiver<Result<EndpointId, Failure>>,
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

pub(super) fn peer(
    shared: &Arc<Shared>,
    url: Result<Address, InvalidAddress>,
    retry: Retry,
) -> PeerHandle {
    let (waiter, outcome) = oneshot::channel();
    match url {
        Ok(url) => shared.decide(|state, now| {
            let dial = state.table.machine.peer(url, retry.0, now);
            state.dials.entry(dial).or_default().waiters.push(waiter);
        }),
        Err(invalid) => {
            let failure = Failure::from(TransportError::from(invalid));
            let message = format!("unable to connect to remote peer: {failure}");
            report(shared, ErrorCode::PeerUnavailable, message, &failure);
            // The handle that gets it is about to be returned.
            let _ = waiter.send(Err(failure));
        }
    }
    PeerHandle { outcome }
}

/// Ends the peering with an address. Returns whether there was something to end.
pub(super) fn unpeer(shared: &Arc<Shared>, url: Result<Address, InvalidAddress>) -> bool {
    match url {
        Ok(url) => shared.control(|control, now| control.unpeer(&url, now)) != Unpeer::Unknown,
        Err(invalid) => {
            let failure = Failure::from(TransportError::from(invalid));
            let message = format!("cannot unpeer from unknown peer: {failure}");
            report(shared, ErrorCode::PeerInvalid, message, &failure);
            false
        }
    }
}

/// Reports an address that is none.
fn report(shared: &Shared, code: ErrorCode, message: String, failure: &Failure) {
    let reason = failure.reason().into();
    shared.emit(Event::Error(ErrorEvent { code, endpoint: None, message, reason }));
}

pub(super) async fn await_peer(shared: &Shared, id: EndpointId) -> bool {
    let peered = || shared.registry.status(id) == Some(PeerStatus::Peered);
    loop {
        let changed = shared.reporting.peers_changed.notified();
        if peered() {
            return true;
        }
        if shared.tasks.stopping.is_cancelled() {
            return false;
        }
        tokio::select! {
            () = changed => {}
            () = shared.tasks.stopping.cancelled() => return peered(),
        }
    }
}

/// Opens a connection and drives it.
pub(super) fn dial(shared: &Arc<Shared>, dial: DialId, url: Address) -> AbortHandle {
    let dialling = Arc::clone(shared);
    let task = shared.tasks.spawn(async move {
        let shared = dialling;
        match open(&shared, &url).await {
            Ok(connection) => {
                // From here on the machine ends the connection, not whoever gives up the request.
                let opened = Opened::Dialled(dial);
                let run = connection::run(Arc::clone(&shared), connection, opened, None);
                shared.tasks.spawn(run);
            }
            Err(error) => {
                shared.control(|control, now| control.dial_failed(dial, error.into(), now));
            }
        }
    });
    task.abort_handle()
}

async fn open(shared: &Shared, url: &Address) -> Result<Connection, TransportError> {
    let transport = shared.transport(url)?;
    let limit = shared.config.limits.dial_time;
    timeout(limit, transport.connect(url)).await.unwrap_or_else(|_| {
        let detail = format!("connecting to {url}: no connection within {} s", limit.as_secs_f64());
        Err(TransportError::new(Reason::TimedOut, detail))
    })
}
