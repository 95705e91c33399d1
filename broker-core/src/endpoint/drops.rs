use super::shared::Shared;
use super::table::{PeeringStats, peer_stats};
use crate::EndpointId;
use crate::event::{Event, LogEvent, LogId, Severity};
use broker_proto::routing::Peer;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::time::Duration;

/// How often it is said that messages are being dropped.
pub(super) const INTERVAL: Duration = Duration::from_secs(5);

/// What has been said about messages that did not get through, for each peering.
#[derive(Debug, Default)]
pub(super) struct Drops {
    said: Mutex<HashMap<EndpointId, Said>>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Said {
    dropped: u64,
    refused: u64,
}

impl Drops {
    /// Says for each peer how many messages have been dropped since it was said last, on their way
    /// to the peer or because of what the peer sent.
    pub(super) fn report(&self, shared: &Shared) {
        for peer in shared.router.peers() {
            self.report_peer(shared, &peer);
        }
    }

    /// The same for a peering that has ended.
    pub(super) fn ended(&self, shared: &Shared, peer: &Peer) {
        self.report_peer(shared, peer);
        self.said.lock().remove(&peer.id);
    }

    fn report_peer(&self, shared: &Shared, peer: &Peer) {
        let stats = peer_stats(peer);
        let refused = stats.malformed + stats.forged + stats.internal + stats.expired;
        let now = Said { dropped: stats.dropped, refused };
        if now.dropped == 0 && now.refused == 0 {
            return;
        }
        let before = self.said.lock().insert(peer.id, now).unwrap_or_default();
        let lost = now.dropped.saturating_sub(before.dropped);
        if lost > 0 {
            let total = now.dropped;
            say(
                shared,
                LogId::MessagesDropped,
                format!(
                    "{}: dropped {lost} messages for this peer, which does not read fast enough \
                 (policy {}; {total} since it was peered)",
                    peer.id, stats.policy
                ),
            );
        }
        // The first one has been reported with its cause when it came.
        if now.refused > before.refused.max(1) {
            say(shared, LogId::MessagesRefused, refusal(peer.id, &stats));
        }
    }
}

fn refusal(peer: EndpointId, stats: &PeeringStats) -> String {
    format!(
        "{peer}: messages of this peer that were dropped since it was peered: {} malformed, {} in \
         another name, {} on internal topics, {} without a hop left",
        stats.malformed, stats.forged, stats.internal, stats.expired
    )
}

fn say(shared: &Shared, id: LogId, description: String) {
    let level = Severity::Warning;
    shared.emit(Event::Log(LogEvent { level, id, description, reason: None }));
}
