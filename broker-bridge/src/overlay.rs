use crate::status::Counters;
use broker_core::EndpointId;
use broker_core::endpoint::{ServiceContext, WeakServiceContext};
use broker_core::event::{LogId, Severity};
use bytes::Bytes;
use std::sync::OnceLock;

/// What is wrong with a server that is reached without the bridge.
pub(crate) const IN_THE_OVERLAY: &str = "this server is the endpoint itself or one of its native \
    peers, and messages would go in circles; end that peering, or do without the bridge";

/// The endpoint that the bridges belong to, as soon as it runs and as long as it does.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    context: OnceLock<WeakServiceContext>,
}

/// What an endpoint is connected with, apart from one bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Around {
    /// Whether there are other peers or clients, to whom messages can go on.
    pub(crate) others: bool,
    /// Whether the other side of the bridge is one of them, or the endpoint itself.
    pub(crate) contains_other_side: bool,
}

impl Overlay {
    /// The first endpoint counts: a second one would need a transport of its own.
    pub(crate) fn join(&self, context: &ServiceContext) {
        let _ = self.context.set(context.downgrade());
    }

    /// The endpoint, while it runs. There is none where somebody only looks what is at an address.
    pub(crate) fn context(&self) -> Option<ServiceContext> {
        self.context.get().and_then(WeakServiceContext::upgrade)
    }

    /// Whether there was an endpoint and is none any more.
    pub(crate) fn has_ended(&self) -> bool {
        self.context.get().is_some() && self.context().is_none()
    }

    /// Runs a task that the end of the endpoint waits for.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        match self.context() {
            Some(context) => _ = context.spawn(task),
            None => _ = tokio::spawn(task),
        }
    }

    pub(crate) fn id(&self) -> Option<EndpointId> {
        self.context().map(|context| context.endpoint().id())
    }

    /// What the endpoint asks its peers for.
    pub(crate) fn wanted(&self) -> Vec<Bytes> {
        self.context().map(|context| context.endpoint().filter()).unwrap_or_default()
    }

    /// What the endpoint is connected with apart from the peer `bridge`, which stands for the
    /// endpoint `other`. Cheap enough to be asked for every message.
    pub(crate) fn around(&self, bridge: EndpointId, other: Option<EndpointId>) -> Around {
        let Some(context) = self.context() else { return Around::default() };
        let endpoint = context.endpoint();
        let own = usize::from(endpoint.is_peered(bridge));
        let others = endpoint.peer_count() > own || endpoint.client_count() > 0;
        let is_here = |id| id == endpoint.id() || endpoint.is_peered(id);
        Around { others, contains_other_side: other.is_some_and(is_here) }
    }

    /// Reports something that is as it should be.
    pub(crate) fn inform(&self, bridge: &Counters, what: &str) {
        self.log(Severity::Info, LogId::Bridge, bridge, what);
    }

    /// Reports something odd about a bridge; anybody outside can cause it, and the log has its
    /// limits for that.
    pub(crate) fn complain(&self, bridge: &Counters, what: &str) {
        self.log(Severity::Warning, LogId::Bridge, bridge, what);
    }

    /// Reports that the other side does not have something that it should have.
    pub(crate) fn lose(&self, bridge: &Counters, what: &str) {
        self.log(Severity::Warning, LogId::BridgeLoss, bridge, what);
    }

    fn log(&self, severity: Severity, id: LogId, bridge: &Counters, what: &str) {
        if let Some(context) = self.context() {
            let text = format!("bridge to {}: {what}", bridge.server());
            context.log(severity, id, text, None);
        }
    }
}
