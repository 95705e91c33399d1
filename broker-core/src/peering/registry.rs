use super::{ConnId, Direction, Failure, PeerStatus, Time};
use crate::event::NetworkInfo;
use crate::transport::Protection;
use crate::{EndpointId, Url};
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

/// What is known about one peer.
#[derive(Debug, Clone)]
pub(crate) struct PeerRecord {
    pub(crate) status: PeerStatus,
    /// The connection that shakes hands with it, or is peered with it.
    pub(crate) conn: ConnId,
    pub(crate) network: NetworkInfo,
    pub(crate) direction: Direction,
    pub(crate) protection: Protection,
    /// Since when it has had this status.
    pub(crate) since: Time,
    pub(crate) last_error: Option<Failure>,
    /// How often the peering was made again after it had ended.
    pub(crate) reconnects: u64,
}

/// All peers by id. Readers get copies, and writers a closure, so that no lock outlives a call.
#[derive(Debug, Default)]
pub(crate) struct PeerRegistry {
    peers: DashMap<EndpointId, PeerRecord>,
}

impl PeerRegistry {
    /// Reads one record.
    pub(crate) fn read<R>(&self, id: EndpointId, f: impl FnOnce(&PeerRecord) -> R) -> Option<R> {
        self.peers.get(&id).map(|record| f(&record))
    }

    /// Changes one record.
    pub(crate) fn update<R>(
        &self,
        id: EndpointId,
        f: impl FnOnce(&mut PeerRecord) -> R,
    ) -> Option<R> {
        self.peers.get_mut(&id).map(|mut record| f(&mut record))
    }

    pub(crate) fn status(&self, id: EndpointId) -> Option<PeerStatus> {
        self.read(id, |record| record.status)
    }

    /// Inserts or replaces a record.
    pub(crate) fn insert(&self, id: EndpointId, record: PeerRecord) {
        self.peers.insert(id, record);
    }

    /// Removes a record if `f` says so.
    pub(crate) fn remove_if(&self, id: EndpointId, f: impl FnOnce(&PeerRecord) -> bool) {
        if let Entry::Occupied(entry) = self.peers.entry(id)
            && f(entry.get())
        {
            entry.remove();
        }
    }

    /// A copy of everything, by id.
    pub(crate) fn snapshot(&self) -> Vec<(EndpointId, PeerRecord)> {
        let copy = |entry: dashmap::mapref::multiple::RefMulti<'_, _, PeerRecord>| {
            (*entry.key(), entry.value().clone())
        };
        let mut peers: Vec<_> = self.peers.iter().map(copy).collect();
        peers.sort_by_key(|(id, _)| *id);
        peers
    }

    /// The installed peer that is known under this address; the latest, should there be several.
    pub(crate) fn peered_at(&self, url: &Url) -> Option<(EndpointId, ConnId)> {
        self.peers
            .iter()
            .filter(|peer| {
                peer.status == PeerStatus::Peered && same_address(&peer.network.url, url)
            })
            .max_by_key(|peer| (peer.since, *peer.key()))
            .map(|peer| (*peer.key(), peer.conn))
    }

    /// Forgets the peers that have been disconnected for longest until at most `keep` are left.
    pub(crate) fn forget_disconnected(&self, keep: usize) {
        let mut ended: Vec<(Time, EndpointId)> = self
            .peers
            .iter()
            .filter(|peer| peer.status == PeerStatus::Disconnected)
            .map(|peer| (peer.since, *peer.key()))
            .collect();
        if ended.len() > keep {
            ended.sort_unstable();
            for (_, id) in ended.drain(..ended.len() - keep) {
                self.remove_if(id, |record| record.status == PeerStatus::Disconnected);
            }
        }
    }
}

/// Whether two addresses are the same text, where an IPv4 address and its IPv6-mapped form count as
/// one: listeners of both families show IPv4 clients in the latter.
pub(crate) fn same_address(a: &Url, b: &Url) -> bool {
    fn host(url: &Url) -> &str {
        url.host().strip_prefix("::ffff:").filter(|v4| v4.contains('.')).unwrap_or(url.host())
    }
    a.scheme() == b.scheme() && a.port() == b.port() && host(a) == host(b)
}
