use crate::{EndpointId, PeerStatus};
use broker_proto::peering::{DialId, PeerRecord, PendingDial};
use dashmap::DashMap;
use std::hash::Hash;

/// What is known about peers, and about requests that have no peering, for those who only want to
/// look. The machine tells it every change, so nobody has to wait for the control lock to read.
#[derive(Debug, Default)]
pub(super) struct PeerRegistry {
    peers: DashMap<EndpointId, PeerRecord>,
    dials: DashMap<DialId, PendingDial>,
}

impl PeerRegistry {
    pub(super) fn set_peer(&self, id: EndpointId, record: Option<PeerRecord>) {
        set(&self.peers, id, record);
    }

    pub(super) fn set_dial(&self, id: DialId, dial: Option<PendingDial>) {
        set(&self.dials, id, dial);
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

fn set<K: Eq + Hash, V>(map: &DashMap<K, V>, key: K, value: Option<V>) {
    match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key).map(|(_, value)| value),
    };
}

fn snapshot<K: Copy + Eq + Hash + Ord, V: Clone>(map: &DashMap<K, V>) -> Vec<(K, V)> {
    let mut all: Vec<_> = map.iter().map(|entry| (*entry.key(), entry.value().clone())).collect();
    all.sort_by_key(|(key, _)| *key);
    all
}
