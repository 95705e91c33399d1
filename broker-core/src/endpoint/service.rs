use super::shared::Shared;
use super::{Endpoint, Guard};
use crate::Reason;
use crate::event::{Event, LogEvent, LogId, Severity};
use std::sync::{Arc, Weak};
use tokio::task::JoinHandle;

/// What a service or transport that belongs to an endpoint needs beyond what users do. See
/// [`EndpointBuilder::on_start`](super::EndpointBuilder::on_start).
///
/// Services end with the endpoint and not the other way round: this handle, the endpoint that it
/// hands out, and the hubs and subscribers made from that do not keep the endpoint from shutting
/// down when the last handle of a user is gone. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ServiceContext {
    endpoint: Endpoint,
}

impl ServiceContext {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { endpoint: Endpoint { guard: Arc::new(Guard { shared, owner: false }) } }
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        self.endpoint.shared()
    }

    /// The endpoint.
    #[must_use]
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// A reference for places that the endpoint itself holds, like its transports.
    #[must_use]
    pub fn downgrade(&self) -> WeakServiceContext {
        WeakServiceContext { shared: Arc::downgrade(self.shared()) }
    }

    /// Waits until the endpoint begins to shut down: nothing new may begin any more, and
    /// [`Endpoint::shutdown`] waits for what [`Self::spawn`] has started. Cancel safe.
    pub async fn stopping(&self) {
        self.shared().stopping.cancelled().await;
    }

    /// Waits until a peer comes or changes its filter, counted from the call. Cancel safe.
    pub fn peers_changed(&self) -> impl Future<Output = ()> + Send + '_ {
        self.shared().peers_changed.notified()
    }

    /// The deepest nesting of values that the endpoint takes, which goes for those of clients too.
    #[must_use]
    pub fn data_depth(&self) -> usize {
        self.shared().config.limits.data_depth
    }

    /// Runs a task that [`Endpoint::shutdown`] waits for. It has to end by itself, soon after
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

/// A reference to an endpoint that keeps nothing of it alive. See [`ServiceContext::downgrade`].
#[derive(Debug, Clone, Default)]
pub struct WeakServiceContext {
    shared: Weak<Shared>,
}

impl WeakServiceContext {
    /// The context, unless the endpoint is gone.
    #[must_use]
    pub fn upgrade(&self) -> Option<ServiceContext> {
        self.shared.upgrade().map(ServiceContext::new)
    }
}
