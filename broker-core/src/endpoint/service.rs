use super::shared::Shared;
use super::{ClientCounters, ClientInfo, Endpoint, Guard};
use crate::Reason;
use crate::event::{
    EndpointInfo, Event, LogEvent, LogId, NetworkInfo, Severity, Status, StatusCode,
};
use broker_proto::memory::MemoryBudget;
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
        self.shared().tasks.stopping.cancelled().await;
    }

    /// Waits until a peer comes, goes or changes its filter, counted from the call. Cancel safe.
    pub fn peers_changed(&self) -> impl Future<Output = ()> + Send + '_ {
        self.shared().reporting.peers_changed.notified()
    }

    /// The memory that connections and consumers may hold in all, which the queues of clients are a
    /// part of.
    #[must_use]
    pub fn memory(&self) -> &Arc<MemoryBudget> {
        &self.shared().memory
    }

    /// The deepest nesting of values that the endpoint takes, which goes for those of clients too.
    #[must_use]
    pub fn data_depth(&self) -> usize {
        self.shared().config.limits.data_depth
    }

    /// Reports a client in the events, with the texts of the C++ Broker, and lists it until its
    /// session is dropped. Subscriptions and messages are the business of a [`Hub`](super::Hub).
    #[must_use]
    pub fn attach_client(&self, info: ClientInfo) -> ClientSession {
        let shared = self.shared();
        let counters = shared.clients.attach(info.clone(), shared.tasks.now());
        let session = ClientSession { context: self.clone(), info, counters, removed: None };
        session.report(StatusCode::EndpointDiscovered, "found a new client in the network");
        session.report(StatusCode::PeerAdded, "handshake successful");
        session
    }

    /// Runs a task that [`Endpoint::shutdown`] waits for. It has to end by itself, soon after
    /// [`Self::stopping`] says so.
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.shared().tasks.spawn(task)
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

/// The time during which a client is attached. See [`ServiceContext::attach_client`].
///
/// Dropping it reports the end: as lost, unless [`Self::removed`] has said otherwise.
#[derive(Debug)]
pub struct ClientSession {
    context: ServiceContext,
    info: ClientInfo,
    counters: Arc<ClientCounters>,
    removed: Option<String>,
}

impl ClientSession {
    /// Who the client is.
    #[must_use]
    pub fn info(&self) -> &ClientInfo {
        &self.info
    }

    /// The counters that [`Endpoint::clients`] shows.
    #[must_use]
    pub fn counters(&self) -> &Arc<ClientCounters> {
        &self.counters
    }

    /// Ends the session because this side does not want the client any more.
    pub fn removed(mut self, reason: &str) {
        self.removed = Some(format!("client removed: {reason}"));
    }

    fn report(&self, code: StatusCode, message: &str) {
        let with_network =
            !matches!(code, StatusCode::EndpointDiscovered | StatusCode::EndpointUnreachable);
        let network = with_network.then(|| NetworkInfo::new(self.info.remote.clone()));
        self.shared().emit(Event::Status(Status {
            cause: None,
            code,
            endpoint: EndpointInfo { id: self.info.id, network },
            client: Some(self.info.label.clone()),
            protection: (code == StatusCode::PeerAdded).then(|| self.info.protection.clone()),
            message: message.to_owned(),
        }));
    }

    fn shared(&self) -> &Arc<Shared> {
        self.context.shared()
    }
}

impl Drop for ClientSession {
    fn drop(&mut self) {
        let shared = self.shared();
        shared.clients.leave(self.info.id);
        match &self.removed {
            Some(message) => self.report(StatusCode::PeerRemoved, message),
            None => self.report(StatusCode::PeerLost, "lost connection to client"),
        }
        self.report(StatusCode::EndpointUnreachable, "lost the last path");
    }
}
