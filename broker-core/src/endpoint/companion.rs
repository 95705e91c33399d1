use super::shared::Shared;
use super::{Endpoint, Guard};
use crate::Reason;
use crate::event::{Event, LogEvent, LogId, Severity};
use std::sync::{Arc, Weak};
use tokio::task::JoinHandle;

/// What a service that belongs to an endpoint needs beyond what users do: such services end with
/// the endpoint, not the other way round.
impl Endpoint {
    /// A handle that does not keep the endpoint from shutting down when the last other one is gone.
    /// The same is true of the hubs and subscribers made from it.
    #[must_use]
    pub fn companion(&self) -> Self {
        Self::companion_of(Arc::clone(self.shared()))
    }

    pub(super) fn companion_of(shared: Arc<Shared>) -> Self {
        Self { guard: Arc::new(Guard { shared, owner: false }) }
    }

    /// A reference for places that the endpoint itself holds, like its transports.
    #[must_use]
    pub fn downgrade(&self) -> WeakEndpoint {
        WeakEndpoint { shared: Arc::downgrade(self.shared()) }
    }

    /// Waits until the endpoint begins to shut down: nothing new may begin any more, and
    /// [`Self::shutdown`] waits for what [`Self::spawn`] has started. Cancel safe.
    pub async fn stopping(&self) {
        self.shared().stopping.cancelled().await;
    }

    /// Waits until a peer comes or changes its filter, counted from the call. Cancel safe.
    pub fn peers_changed(&self) -> impl Future<Output = ()> + Send + '_ {
        self.shared().peers_changed.notified()
    }

    /// Runs a task that [`Self::shutdown`] waits for. It has to end by itself, soon after
    /// [`Self::stopping`] says so.
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.shared().spawn(task)
    }

    /// Adds an entry to the log of the endpoint. `reason` is the failure behind it.
    pub fn log(
        &self,
        level: Severity,
        id: impl Into<LogId>,
        description: impl Into<String>,
        reason: Option<Reason>,
    ) {
        let (id, description) = (id.into(), description.into());
        self.shared().emit(Event::Log(LogEvent { level, id, description, reason }));
    }
}

/// A reference to an endpoint that keeps nothing of it alive. See [`Endpoint::downgrade`].
#[derive(Debug, Clone, Default)]
pub struct WeakEndpoint {
    shared: Weak<Shared>,
}

impl WeakEndpoint {
    /// A handle like that of [`Endpoint::companion`], unless the endpoint is gone.
    #[must_use]
    pub fn upgrade(&self) -> Option<Endpoint> {
        self.shared.upgrade().map(Endpoint::companion_of)
    }
}
