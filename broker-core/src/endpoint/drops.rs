use super::table::{PeeringStats, peer_stats};
use crate::EndpointId;
use crate::event::{Event, LogEvent, LogId, Severity};
use broker_proto::peering::ConnectionId;
use broker_proto::routing::Peer;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// How often it is said that messages are being dropped.
pub(super) const INTERVAL: Duration = Duration::from_secs(5);

/// What has been said about messages that did not get through, for each peering.
#[derive(Debug, Default)]
pub(super) struct Drops {
    said: Mutex<HashMap<ConnectionId, Said>>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq)]
struct Said {
    dropped: u64,
    refused: u64,
    missed: u64,
}

impl Drops {
    /// What there is to say for each peer of how many messages have been dropped since it was said
    /// last, on their way to the peer or by the peer, or because of what the peer sent.
    ///
    /// The peers are asked for under the lock: so none of them has got to [`Self::ended`] yet.
    pub(super) fn report(&self, installed: impl FnOnce() -> Vec<Arc<Peer>>) -> Vec<Event> {
        let mut said = self.said.lock();
        installed().iter().flat_map(|peer| news(&mut said, peer)).collect()
    }

    #[cfg(test)]
    pub(super) fn is_locked(&self) -> bool {
        self.said.is_locked()
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.said.lock().is_empty()
    }

    /// The same for a peering that has ended.
    pub(super) fn ended(&self, peer: &Peer) -> Vec<Event> {
        let mut said = self.said.lock();
        let news = news(&mut said, peer);
        said.remove(&peer.conn);
        news
    }
}

fn news(said: &mut HashMap<ConnectionId, Said>, peer: &Peer) -> Vec<Event> {
    let stats = peer_stats(peer);
    let refused = refused_messages(&stats);
    // What comes when a peering is ending is no matter of how fast the peer reads.
    let now = Said { dropped: stats.dropped - stats.drops.late, refused, missed: stats.missed };
    let mut news = Vec::new();
    if now == Said::default() {
        return news;
    }
    let before = said.insert(peer.conn, now).unwrap_or_default();
    let lost = now.dropped.saturating_sub(before.dropped);
    if lost > 0 {
        let total = now.dropped;
        news.push(warning(
            LogId::MessagesDropped,
            format!(
                "{}: dropped {lost} messages for this peer, which does not read fast enough \
                 (policy {}; {total} since it was peered)",
                peer.id, stats.policy
            ),
        ));
    }
    let missed = now.missed.saturating_sub(before.missed);
    if missed > 0 {
        let (peer, total) = (peer.id, now.missed);
        news.push(warning(
            LogId::MessagesMissed,
            format!(
                "{peer}: dropped {missed} messages for this endpoint, which did not read fast \
                 enough ({total} since it was peered)"
            ),
        ));
    }
    // The first one has been reported with its cause when it came.
    if now.refused > before.refused.max(1) {
        news.push(warning(LogId::MessagesRefused, refusal(peer.id, &stats)));
    }
    news
}

/// Messages of a peer that were dropped because of what they are.
pub(super) fn refused_messages(stats: &PeeringStats) -> u64 {
    stats.malformed + stats.forged + stats.internal + stats.not_permitted + stats.expired
}

fn refusal(peer: EndpointId, stats: &PeeringStats) -> String {
    format!(
        "{peer}: messages of this peer that were dropped since it was peered: {} malformed, {} in \
         another name, {} on internal topics, {} that it may not send, {} without a hop left",
        stats.malformed, stats.forged, stats.internal, stats.not_permitted, stats.expired
    )
}

fn warning(id: LogId, description: String) -> Event {
    let level = Severity::Warning;
    Event::Log(LogEvent { level, id, description, reason: None })
}
