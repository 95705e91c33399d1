use super::client_totals::{ClientTotals, Counted, Totals};
use super::shared::Shared;
use super::{Endpoint, ServiceContext};
use crate::event::{ClientLabel, EndpointInfo, Event, NetworkInfo, Status, StatusCode};
use crate::transport::Protection;
use crate::{EndpointId, Url};
use broker_proto::peering::Time;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// A client of an endpoint: a program that is attached to it by another protocol than that of the
/// overlay.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientInfo {
    /// The id under which it appears in events. It is random, and other endpoints never see it.
    pub id: EndpointId,
    /// The protocol, and what the client calls itself.
    pub label: ClientLabel,
    /// Where it connects from.
    pub remote: Url,
    /// What protects the link.
    pub protection: Protection,
    /// The topic prefixes it subscribed to.
    pub subscriptions: Vec<Bytes>,
}

/// What a client has sent and received, counted by whoever runs its session.
#[derive(Debug, Default)]
pub struct ClientCounters {
    /// Messages from the client that were published.
    pub messages_in: AtomicU64,
    /// Messages from the client that were refused.
    pub refused: AtomicU64,
    /// Messages queued for the client.
    pub messages_out: AtomicU64,
    /// Messages for the client that its queue had no room for.
    pub dropped: AtomicU64,
    /// Messages that wait for the client.
    pub queued: AtomicU64,
    /// Bytes of memory that wait for the client.
    pub queued_bytes: AtomicU64,
}

/// A client as [`Endpoint::clients`] shows it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ClientStatus {
    /// Who it is.
    pub info: ClientInfo,
    /// For how long it has been attached.
    pub age: Duration,
    /// Messages from the client that were published.
    pub messages_in: u64,
    /// Messages from the client that were refused.
    pub refused: u64,
    /// Messages queued for the client.
    pub messages_out: u64,
    /// Messages for the client that its queue had no room for.
    pub dropped: u64,
    /// Messages that wait for the client.
    pub queued: u64,
    /// Bytes of memory that wait for the client.
    pub queued_bytes: u64,
}

/// All clients of an endpoint.
#[derive(Debug)]
pub(super) struct Clients {
    attached: Mutex<BTreeMap<EndpointId, Record>>,
    totals: Mutex<ClientTotals>,
}

#[derive(Debug)]
struct Record {
    info: ClientInfo,
    since: Time,
    counters: Arc<ClientCounters>,
    /// The name under which it is counted, once that is decided.
    counted_as: Option<Arc<str>>,
}

impl ServiceContext {
    /// Reports a client in the events, with the texts of the C++ Broker, and lists it until its
    /// session is dropped. Subscriptions and messages are the business of a [`Hub`](super::Hub).
    #[must_use]
    pub fn attach_client(&self, info: ClientInfo) -> ClientSession {
        let shared = self.shared();
        let counters = Arc::<ClientCounters>::default();
        let record = Record {
            info: info.clone(),
            since: shared.now(),
            counters: Arc::clone(&counters),
            counted_as: None,
        };
        shared.clients.attached.lock().insert(info.id, record);
        let session = ClientSession { context: self.clone(), info, counters, removed: None };
        session.report(StatusCode::EndpointDiscovered, "found a new client in the network");
        session.report(StatusCode::PeerAdded, "handshake successful");
        session
    }
}

impl Endpoint {
    /// All clients that are attached now. They are not among the peers, as in the C++ Broker.
    #[must_use]
    pub fn clients(&self) -> Vec<ClientStatus> {
        let now = self.shared().now();
        let attached = self.shared().clients.attached.lock();
        attached.values().map(|record| record.status(now)).collect()
    }

    /// How many endpoints are peered with this one.
    #[must_use]
    pub fn peer_count(&self) -> usize {
        self.shared().registry.peered()
    }

    /// Whether this endpoint is peered with another one.
    #[must_use]
    pub fn is_peered(&self, id: EndpointId) -> bool {
        self.shared().registry.status(id) == Some(crate::PeerStatus::Peered)
    }

    /// How many clients are attached now.
    #[must_use]
    pub fn client_count(&self) -> usize {
        self.shared().clients.attached.lock().len()
    }
}

impl Clients {
    /// No clients yet; `names` is how many of their names are told apart when they are counted.
    pub(super) fn new(names: usize) -> Self {
        Self { attached: Mutex::default(), totals: Mutex::new(ClientTotals::new(names)) }
    }

    /// How many there are of each kind.
    pub(super) fn kinds(&self) -> BTreeMap<&'static str, usize> {
        let mut kinds = BTreeMap::new();
        for record in self.attached.lock().values() {
            *kinds.entry(record.info.label.kind).or_default() += 1;
        }
        kinds
    }

    /// What clients have sent and received so far, by what they call themselves.
    pub(super) fn totals(&self) -> BTreeMap<Arc<str>, Totals> {
        // Whoever leaves is either among the attached or among those who have left.
        let mut attached = self.attached.lock();
        let clients = attached.values_mut().map(|record| Counted {
            label: &record.info.label,
            counters: &record.counters,
            name: &mut record.counted_as,
        });
        self.totals.lock().with(clients)
    }

    fn leave(&self, id: EndpointId) {
        let mut attached = self.attached.lock();
        if let Some(Record { info, counters, counted_as, .. }) = attached.remove(&id) {
            self.totals.lock().leave(&info.label, &counters, counted_as);
        }
    }
}

impl Record {
    fn status(&self, now: Time) -> ClientStatus {
        let counters = &self.counters;
        ClientStatus {
            info: self.info.clone(),
            age: now.saturating_sub(self.since),
            messages_in: counters.messages_in.load(Relaxed),
            refused: counters.refused.load(Relaxed),
            messages_out: counters.messages_out.load(Relaxed),
            dropped: counters.dropped.load(Relaxed),
            queued: counters.queued.load(Relaxed),
            queued_bytes: counters.queued_bytes.load(Relaxed),
        }
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
