//! The clients of an endpoint, which are no peers.

use super::client_totals::{ClientTotals, Counted, Totals};
use crate::event::ClientLabel;
use crate::transport::Protection;
use crate::{Address, EndpointId};
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
#[non_exhaustive]
pub struct ClientInfo {
    /// The id under which it appears in events. It is random, and other endpoints never see it.
    pub id: EndpointId,
    /// The protocol, and what the client calls itself.
    pub label: ClientLabel,
    /// Where it connects from.
    pub remote: Address,
    /// What protects the link.
    pub protection: Protection,
    /// The topic prefixes it subscribed to.
    pub subscriptions: Vec<Bytes>,
}

impl ClientInfo {
    /// A client, with all that there is to say about it.
    #[must_use]
    pub fn new(
        id: EndpointId,
        label: ClientLabel,
        remote: Address,
        protection: Protection,
        subscriptions: Vec<Bytes>,
    ) -> Self {
        Self { id, label, remote, protection, subscriptions }
    }
}

/// What a client has sent and received, counted by whoever runs its session.
#[derive(Debug, Default)]
#[non_exhaustive]
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

/// A client as [`Endpoint::clients`](super::Endpoint::clients) shows it.
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

    /// Lists a client from now on, and returns its counters.
    pub(super) fn attach(&self, info: ClientInfo, since: Time) -> Arc<ClientCounters> {
        let counters = Arc::<ClientCounters>::default();
        let (id, counted) = (info.id, Arc::clone(&counters));
        let record = Record { info, since, counters: counted, counted_as: None };
        self.attached.lock().insert(id, record);
        counters
    }

    /// What is known about every client at this time.
    pub(super) fn list(&self, now: Time) -> Vec<ClientStatus> {
        self.attached.lock().values().map(|record| record.status(now)).collect()
    }

    pub(super) fn count(&self) -> usize {
        self.attached.lock().len()
    }

    pub(super) fn leave(&self, id: EndpointId) {
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
