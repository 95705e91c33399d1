use crate::{EndpointId, PeerStatus};
use broker_proto::peering::{DialId, PeerRecord, PendingDial};
use dashmap::DashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// What is known about peers, and about requests that have no peering, for those who only want to
/// look. The machine tells it every change, so nobody has to wait for the control lock to read.
#[derive(Debug, Default)]
pub(super) struct PeerRegistry {
    peers: DashMap<EndpointId, PeerRecord>,
    /// How many of them are peered.
    peered: AtomicUsize,
    dials: DashMap<DialId, PendingDial>,
}

impl PeerRegistry {
    pub(super) fn set_peer(&self, id: EndpointId, record: Option<PeerRecord>) {
        let is_peered = |record: &PeerRecord| record.status == PeerStatus::Peered;
        let now = record.as_ref().is_some_and(is_peered);
        let before = set(&self.peers, id, record).as_ref().is_some_and(is_peered);
        match (before, now) {
            (false, true) => _ = self.peered.fetch_add(1, Relaxed),
            (true, false) => _ = self.peered.fetch_sub(1, Relaxed),
            _ => {}
        }
    }

    /// How many peers are peered.
    pub(super) fn peered(&self) -> usize {
        self.peered.load(Relaxed)
    }

    pub(super) fn set_dial(&self, id: DialId, dial: Option<PendingDial>) {
        let _ = set(&self.dials, id, dial);
    }

    pub(super) fn status(&self, id: EndpointId) -> Option<PeerStatus> {
        self.peers.get(&id).map(|record| record.status)
    }

    /// A copy of what is known about peers, by id.
    pub(super) fn peers(&self) -> Vec<(EndpointId, PeerRecord)> {
        snapshot(&self.peers)
    }

    /// The requests that have no peering, the oldest first.
    pub(super) fn dials(&self) -> Vec<(DialId, PendingDial)> {
        snapshot(&self.dials)
    }

    /// How many requests have no peering.
    pub(super) fn pending(&self) -> usize {
        self.dials.len()
    }
}

/// Returns what was there before.
fn set<K: Eq + Hash, V>(map: &DashMap<K, V>, key: K, value: Option<V>) -> Option<V> {
    match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key).map(|(_, value)| value),
    }
}

fn snapshot<K: Copy + Eq + Hash + Ord, V: Clone>(map: &DashMap<K, V>) -> Vec<(K, V)> {
    let mut all: Vec<_> = map.iter().map(|entry| (*entry.key(), entry.value().clone())).collect();
    all.sort_by_key(|(key, _)| *key);
    all
}
