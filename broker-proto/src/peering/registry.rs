use super::tracked::Tracked;
use super::{ConnectionId, Direction, PeerStatus, Time};
use crate::Failure;
use crate::fact::NetworkInfo;
use crate::{Address, EndpointId, Protection};

/// What is known about one peer.
#[derive(Debug, Clone)]
pub struct PeerRecord {
    /// Where the relation stands.
    pub status: PeerStatus,
    /// The connection that shakes hands with it, or is peered with it.
    pub conn: ConnectionId,
    /// The address under which it is known.
    pub network: NetworkInfo,
    /// Which side dialled.
    pub direction: Direction,
    /// What protects the link.
    pub protection: Protection,
    /// Since when it has had this status.
    pub since: Time,
    /// What went wrong last.
    pub last_error: Option<Failure>,
    /// How often the peering was made again after it had ended.
    pub reconnects: u64,
}

/// All peers that the machine knows, by id.
pub(super) type Peers = Tracked<EndpointId, PeerRecord>;

impl Peers {
    pub(super) fn status(&self, id: EndpointId) -> Option<PeerStatus> {
        self.get(id).map(|record| record.status)
    }

    /// The installed peer that is known under this address; the latest, should there be several.
    pub(super) fn peered_at(&self, url: &Address) -> Option<(EndpointId, ConnectionId)> {
        self.iter()
            .filter(|(_, peer)| {
                peer.status == PeerStatus::Peered && same_address(&peer.network.url, url)
            })
            .max_by_key(|(id, peer)| (peer.since, **id))
            .map(|(id, peer)| (*id, peer.conn))
    }

    /// Forgets the peers that have been disconnected for longest until at most `keep` are left.
    pub(super) fn forget_disconnected(&mut self, keep: usize) {
        let ended = self.iter().filter(|(_, peer)| peer.status == PeerStatus::Disconnected);
        let mut ended: Vec<(Time, EndpointId)> =
            ended.map(|(id, peer)| (peer.since, *id)).collect();
        if ended.len() > keep {
            ended.sort_unstable();
            for (_, id) in ended.drain(..ended.len() - keep) {
                self.remove(id);
            }
        }
    }
}

/// Whether two addresses are the same text, where an IPv4 address and its IPv6-mapped form count as
/// one: listeners of both families show IPv4 clients in the latter.
pub(super) fn same_address(a: &Address, b: &Address) -> bool {
    fn host(url: &Address) -> &str {
        url.host().strip_prefix("::ffff:").filter(|v4| v4.contains('.')).unwrap_or(url.host())
    }
    a.scheme() == b.scheme() && a.port() == b.port() && host(a) == host(b)
}
