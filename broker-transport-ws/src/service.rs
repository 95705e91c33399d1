use crate::WsOptions;
use crate::bridge::Around;
use crate::server::{Accepted, Exchange, serve};
use broker_core::endpoint::WeakEndpoint;
use broker_core::event::Severity;
use broker_core::{Endpoint, EndpointId, PeerStatus};
use parking_lot::Mutex;
use std::sync::{Arc, Weak};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The clients of one endpoint.
#[derive(Debug)]
pub(crate) struct Service {
    endpoint: WeakEndpoint,
    options: Arc<WsOptions>,
    /// Lives as long as there are clients.
    exchange: Mutex<Weak<Exchange>>,
    /// One permit for each client that may be there.
    places: Arc<Semaphore>,
}

/// The place of one client, which is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place(#[expect(dead_code, reason = "held")] OwnedSemaphorePermit);

impl Service {
    pub(crate) fn new(endpoint: &Endpoint, options: Arc<WsOptions>) -> Self {
        let endpoint = endpoint.downgrade();
        let places = Arc::new(Semaphore::new(options.clients.min(Semaphore::MAX_PERMITS)));
        Self { endpoint, options, exchange: Mutex::default(), places }
    }

    /// The id of the endpoint, while it runs.
    pub(crate) fn endpoint_id(&self) -> Option<EndpointId> {
        self.endpoint.upgrade().map(|endpoint| endpoint.id())
    }

    /// What the endpoint asks its peers for.
    pub(crate) fn wanted(&self) -> Option<Vec<bytes::Bytes>> {
        self.endpoint.upgrade().map(|endpoint| endpoint.filter())
    }

    /// What the endpoint is connected with apart from the peer `bridge`, which stands for the
    /// endpoint `server`.
    pub(crate) fn around(&self, bridge: EndpointId, server: Option<EndpointId>) -> Around {
        let Some(endpoint) = self.endpoint.upgrade() else {
            return Around { others: false, server: false };
        };
        let peers = endpoint.peers();
        let ids = || peers.iter().filter(|peer| peer.status == PeerStatus::Peered).map(|p| p.id);
        let others = ids().any(|id| id != Some(bridge)) || endpoint.client_count() > 0;
        let is_server = server.is_some() && ids().any(|id| id == server);
        Around { others, server: is_server || server == Some(endpoint.id()) }
    }

    /// Whether another client can be served now.
    pub(crate) fn has_room(&self) -> bool {
        self.places.available_permits() > 0
    }

    /// Takes the place of a client, unless all are taken.
    pub(crate) fn take_place(&self) -> Option<Place> {
        Arc::clone(&self.places).try_acquire_owned().ok().map(Place)
    }

    /// Runs the session of a client in a task of the endpoint.
    pub(crate) fn attach(&self, client: Accepted) {
        let Some(endpoint) = self.endpoint.upgrade() else { return };
        let exchange = {
            let mut current = self.exchange.lock();
            current.upgrade().unwrap_or_else(|| {
                let exchange = Exchange::start(&endpoint);
                *current = Arc::downgrade(&exchange);
                exchange
            })
        };
        let options = Arc::clone(&self.options);
        endpoint.spawn(serve(client, endpoint.clone(), exchange, options));
    }

    /// Adds to the log of the endpoint.
    pub(crate) fn log(
        &self,
        level: Severity,
        id: &'static str,
        text: impl Into<String>,
        reason: Option<&'static str>,
    ) {
        if let Some(endpoint) = self.endpoint.upgrade() {
            endpoint.log(level, id, text, reason);
        }
    }

    /// Warns of something that anybody outside can cause; the log has its limits for that.
    pub(crate) fn complain(&self, id: &'static str, text: String, reason: Option<&'static str>) {
        self.log(Severity::Warning, id, text, reason);
    }
}
