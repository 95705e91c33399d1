//! The status of a node as JSON: written by the node, read by the commands that show it.

use super::window::Load;
use crate::names::{Names, protection_text};
use broker::ClientStatus;
use broker::data::{BStr, Timestamp};
use broker::{Direction, Endpoint, ListenerInfo, PeerInfo, PeeringStats, PrefixCount, Reason};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

/// As many entries of a filter are shown, if they are short.
const FILTER_SHOWN: usize = 256;

/// How this node and others are called, and its bridges and certificates.
#[derive(Debug, Clone, Default)]
pub(crate) struct Called {
    pub(crate) own: Option<String>,
    pub(crate) others: Names,
    pub(crate) bridges: BridgeList,
    pub(crate) certificates: Certificates,
}

/// The certificates of a node, where this build has any.
#[derive(Debug, Clone, Default)]
pub(crate) struct Certificates {
    #[cfg(any(feature = "tls", feature = "quic"))]
    pub(crate) tls: Option<broker::tls::Tls>,
}

/// The bridges of a node, where this build has any.
#[derive(Debug, Clone, Default)]
pub(crate) struct BridgeList {
    #[cfg(feature = "bridge")]
    pub(crate) bridges: broker::bridge::Bridges,
}

impl BridgeList {
    fn report(&self) -> Vec<BridgeReport> {
        #[cfg(feature = "bridge")]
        let list = self.bridges.status().into_iter().map(BridgeReport::from).collect();
        #[cfg(not(feature = "bridge"))]
        let list = Vec::new();
        list
    }
}

/// How much of what there is goes on a page, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    /// For the peers, and as much for the clients.
    pub(crate) list: usize,
    /// For the topics of each filter.
    pub(crate) filter: usize,
}

/// What a node says about itself. The first five members are those of the C++ Broker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Status {
    pub(crate) id: String,
    /// What the node is called; empty if it has no name.
    #[serde(default)]
    pub(crate) name: String,
    /// The name of the node in a Zeek cluster, if it has one.
    pub(crate) cluster_node: String,
    pub(crate) time: String,
    pub(crate) native_connections: usize,
    pub(crate) web_socket_connections: usize,
    pub(crate) version: String,
    /// In seconds, like all times.
    pub(crate) uptime: f64,
    /// Whether it accepts nobody any more, and is about to end.
    #[serde(default)]
    pub(crate) draining: bool,
    #[serde(flatten)]
    pub(crate) filter: Filter,
    /// Where it listens; nodes before this version do not say.
    #[serde(default)]
    pub(crate) listeners: Vec<ListenerReport>,
    pub(crate) peers: Vec<PeerReport>,
    pub(crate) clients: Vec<ClientReport>,
    /// Peers that are no endpoints but servers or clusters of another kind.
    #[serde(default)]
    pub(crate) bridges: Vec<BridgeReport>,
    /// What has passed on topics with the prefixes that are counted.
    #[serde(default)]
    pub(crate) prefixes: Vec<PrefixReport>,
    /// Which topics carry the load; messages are looked at only while somebody asks for that.
    #[serde(default)]
    pub(crate) load: Load,
    /// Peers and clients for which there is no room here.
    #[serde(default)]
    pub(crate) peers_left_out: usize,
    #[serde(default)]
    pub(crate) clients_left_out: usize,
}

/// A filter: the first topics for which there is room, and how many there are.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Filter {
    pub(crate) filter: Vec<String>,
    pub(crate) filter_entries: usize,
}

/// An address at which peers are accepted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ListenerReport {
    pub(crate) url: String,
    pub(crate) protection: String,
}

/// A peer, or an address that is being tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PeerReport {
    pub(crate) id: Option<String>,
    /// The name of the peer, if it is known.
    #[serde(default)]
    pub(crate) name: Option<String>,
    pub(crate) address: String,
    pub(crate) status: String,
    pub(crate) direction: String,
    pub(crate) protection: Option<String>,
    pub(crate) age: f64,
    pub(crate) retry: Option<f64>,
    pub(crate) failures: u32,
    pub(crate) reconnects: u64,
    pub(crate) last_error: Option<String>,
    pub(crate) last_reason: Option<String>,
    #[serde(flatten)]
    pub(crate) filter: Filter,
    pub(crate) statistics: Option<Statistics>,
}

/// A bridge, and what became of messages at it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct BridgeReport {
    pub(crate) kind: String,
    pub(crate) address: String,
    pub(crate) version: String,
    pub(crate) to: Vec<String>,
    /// Without any, whatever the node wants.
    pub(crate) from: Vec<String>,
    /// By the outcomes that metrics have.
    pub(crate) messages: BTreeMap<String, u64>,
    pub(crate) last_refusal: Option<String>,
    /// The ids of the members of what is at the other side, with the names that are known.
    pub(crate) members: BTreeMap<String, Option<String>>,
}

/// What has passed on topics with one prefix, by the names that the numbers have in the library.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PrefixReport {
    pub(crate) prefix: String,
    pub(crate) messages_in: u64,
    pub(crate) bytes_in: u64,
    pub(crate) messages_out: u64,
    pub(crate) bytes_out: u64,
}

/// The statistics of a peering, by the names that they have in the library.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Statistics {
    pub(crate) num_queued: u64,
    pub(crate) max_queued_recently: u64,
    pub(crate) num_overflows: u64,
    pub(crate) queued_bytes: u64,
    /// `offered = delivered + dropped + num_queued`
    #[serde(default)]
    pub(crate) offered: u64,
    #[serde(default)]
    pub(crate) delivered: u64,
    pub(crate) dropped: u64,
    pub(crate) policy: String,
    pub(crate) messages_out: u64,
    pub(crate) bytes_out: u64,
    pub(crate) messages_in: u64,
    pub(crate) bytes_in: u64,
    pub(crate) malformed: u64,
    pub(crate) forged: u64,
    pub(crate) internal: u64,
    pub(crate) expired: u64,
    #[serde(default)]
    pub(crate) duplicates: u64,
    #[serde(default)]
    pub(crate) looped: u64,
    #[serde(default)]
    pub(crate) looped_from: Option<String>,
    /// Messages for this node that the peer has dropped.
    #[serde(default)]
    pub(crate) missed: u64,
    #[serde(default)]
    pub(crate) not_permitted: u64,
    /// How many messages were followed through the queue, how long that took them together, and how
    /// long it took the last one.
    pub(crate) waiting_samples: u64,
    pub(crate) waiting_total: f64,
    pub(crate) waiting_last: Option<f64>,
    /// About the age of the oldest message in the queue.
    #[serde(default)]
    pub(crate) oldest: f64,
}

/// A program that is attached by another protocol.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ClientReport {
    pub(crate) id: String,
    #[serde(rename = "client_type")]
    pub(crate) kind: String,
    pub(crate) application: Option<String>,
    pub(crate) address: String,
    pub(crate) protection: String,
    pub(crate) age: f64,
    #[serde(flatten)]
    pub(crate) filter: Filter,
    pub(crate) messages_in: u64,
    pub(crate) refused: u64,
    pub(crate) messages_out: u64,
    pub(crate) dropped: u64,
    pub(crate) queued: u64,
    pub(crate) queued_bytes: u64,
}

impl Status {
    /// What there is to say of an endpoint, as far as there is room for it. Takes its time, and
    /// should not take that of a thread that has messages to move.
    pub(crate) fn of(endpoint: &Endpoint, called: &Called, room: Room) -> Self {
        let mut statistics = endpoint.peering_stats();
        let native_connections = statistics.len();
        let peers = endpoint.peers().into_iter().map(|peer| {
            let stats = peer.id.and_then(|id| statistics.remove(&id));
            let filter = peer.id.and_then(|id| endpoint.peer_filter(id));
            let filter = filter.map(|filter| Filter::of(&filter, room.filter));
            let name = called.others.of(peer.id, Some(&peer.network.url));
            PeerReport { name, ..PeerReport::new(peer, stats, filter.unwrap_or_default()) }
        });
        let (peers, peers_left_out) = those_with_room(peers, room.list);
        let mut web_socket_connections = 0;
        let clients = endpoint.clients().into_iter().map(|client| {
            web_socket_connections += usize::from(client.info.label.kind == "web-socket");
            ClientReport::new(client, room.filter)
        });
        let (clients, clients_left_out) = those_with_room(clients, room.list);
        Self {
            id: endpoint.id().to_string(),
            name: called.own.clone().unwrap_or_default(),
            cluster_node: std::env::var("CLUSTER_NODE").unwrap_or_else(|_| "unknown".to_owned()),
            time: Timestamp::from(SystemTime::now()).to_string(),
            native_connections,
            web_socket_connections,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime: seconds(endpoint.uptime()),
            draining: endpoint.is_draining(),
            filter: Filter::of(&endpoint.filter(), room.filter),
            listeners: endpoint.listeners().into_iter().map(ListenerReport::new).collect(),
            peers,
            clients,
            bridges: called.bridges.report(),
            prefixes: endpoint.prefix_counts().into_iter().map(PrefixReport::from).collect(),
            load: Load::default(),
            peers_left_out,
            clients_left_out,
        }
    }
}

impl Status {
    /// The name of the node itself or of a peer, or else the id.
    #[cfg(feature = "tcp")]
    pub(crate) fn name_of(&self, id: &str) -> String {
        let own = (self.id == id && !self.name.is_empty()).then_some(&self.name);
        let peer = || self.peers.iter().find(|peer| peer.id.as_deref() == Some(id));
        own.or_else(|| peer()?.name.as_ref()).map_or_else(|| id.to_owned(), Clone::clone)
    }
}

/// The first reports that fit in so many bytes, and how many do not.
fn those_with_room<T: Serialize>(
    reports: impl Iterator<Item = T>,
    mut room: usize,
) -> (Vec<T>, usize) {
    let (mut shown, mut left_out) = (Vec::new(), 0);
    for report in reports {
        match room.checked_sub(Length::of(&report)) {
            Some(rest) if left_out == 0 => {
                room = rest;
                shown.push(report);
            }
            _ => left_out += 1,
        }
    }
    (shown, left_out)
}

/// Counts what is written, as it is on a page: each line further to the right than by itself.
struct Length(usize);

impl Length {
    fn of(report: &impl Serialize) -> usize {
        let mut length = Self(0);
        // Neither these reports nor counting can fail.
        let _ = serde_json::to_writer_pretty(&mut length, report);
        length.0 + INDENT + ",\n".len()
    }
}

/// How far to the right a report in a list is.
const INDENT: usize = 4;

impl std::io::Write for Length {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
        self.0 += bytes.len() + INDENT * lines;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Filter {
    fn of<T: AsRef<[u8]>>(topics: &[T], mut room: usize) -> Self {
        let mut filter = Vec::new();
        for topic in topics {
            if filter.len() == FILTER_SHOWN {
                break;
            }
            // One that is too long does not keep the others out.
            if let Some(rest) = room.checked_sub(topic.as_ref().len()) {
                room = rest;
                filter.push(BStr::new(topic.as_ref()).to_string());
            }
        }
        Self { filter, filter_entries: topics.len() }
    }
}

impl ListenerReport {
    fn new(listener: ListenerInfo) -> Self {
        Self { url: listener.url.to_string(), protection: listener.protection.to_string() }
    }
}

impl PeerReport {
    fn new(peer: PeerInfo, stats: Option<PeeringStats>, filter: Filter) -> Self {
        Self {
            id: peer.id.map(|id| id.to_string()),
            name: None,
            address: peer.network.url.to_string(),
            status: peer.status.name().to_owned(),
            direction: Direction::name(peer.direction).to_owned(),
            protection: peer.protection.as_ref().map(protection_text),
            age: seconds(peer.age),
            retry: peer.network.retry.map(seconds),
            failures: peer.failures,
            reconnects: peer.reconnects,
            last_error: peer.last_error,
            last_reason: peer.last_reason.map(|reason| Reason::name(reason).to_owned()),
            filter,
            statistics: stats.map(Statistics::from),
        }
    }
}

#[cfg(feature = "bridge")]
impl From<broker::bridge::BridgeStatus> for BridgeReport {
    fn from(bridge: broker::bridge::BridgeStatus) -> Self {
        let messages = bridge.counts.iter().map(|(outcome, count)| (outcome.to_owned(), count));
        Self {
            kind: bridge.kind.to_owned(),
            address: bridge.server.to_string(),
            messages: messages.collect(),
            version: bridge.version,
            to: bridge.directions.to,
            from: bridge.directions.from.unwrap_or_default(),
            last_refusal: bridge.last_refusal,
            members: bridge.members.into_iter().map(|member| (member.id, member.name)).collect(),
        }
    }
}

impl From<PrefixCount> for PrefixReport {
    fn from(count: PrefixCount) -> Self {
        let PrefixCount { prefix, messages_in, bytes_in, messages_out, bytes_out, .. } = count;
        Self { prefix, messages_in, bytes_in, messages_out, bytes_out }
    }
}

impl From<PeeringStats> for Statistics {
    fn from(stats: PeeringStats) -> Self {
        Self {
            num_queued: stats.num_queued,
            max_queued_recently: stats.max_queued_recently,
            num_overflows: stats.num_overflows,
            queued_bytes: stats.queued_bytes,
            offered: stats.offered,
            delivered: stats.delivered,
            dropped: stats.dropped,
            policy: stats.policy.name().to_owned(),
            messages_out: stats.messages_out,
            bytes_out: stats.bytes_out,
            messages_in: stats.messages_in,
            bytes_in: stats.bytes_in,
            malformed: stats.malformed,
            forged: stats.forged,
            internal: stats.internal,
            expired: stats.expired,
            duplicates: stats.duplicates,
            looped: stats.looped,
            looped_from: stats.looped_from.map(|id| id.to_string()),
            missed: stats.missed,
            not_permitted: stats.not_permitted,
            waiting_samples: stats.waiting.samples,
            waiting_total: seconds(stats.waiting.total),
            waiting_last: stats.waiting.last.map(seconds),
            oldest: seconds(stats.waiting.oldest),
        }
    }
}

impl ClientReport {
    fn new(client: ClientStatus, room: usize) -> Self {
        Self {
            id: client.info.id.to_string(),
            kind: client.info.label.kind.to_owned(),
            application: client.info.label.application.as_deref().map(str::to_owned),
            address: client.info.remote.to_string(),
            protection: client.info.protection.to_string(),
            age: seconds(client.age),
            filter: Filter::of(&client.info.subscriptions, room),
            messages_in: client.messages_in,
            refused: client.refused,
            messages_out: client.messages_out,
            dropped: client.dropped,
            queued: client.queued,
            queued_bytes: client.queued_bytes,
        }
    }
}

/// Rounded to microseconds, which is enough for readers.
fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_filter_those_topics_are_shown_for_which_there_is_room() {
        let long = "x".repeat(90);
        let shown = |topics: &[&str]| Filter::of(topics, 100);
        let some = shown(&["/a", &long, &long, "/b"]);
        assert_eq!((some.filter, some.filter_entries), (vec!["/a".into(), long, "/b".into()], 4));
        let many = shown(&vec![""; 2 * FILTER_SHOWN]);
        assert_eq!((many.filter.len(), many.filter_entries), (FILTER_SHOWN, 2 * FILTER_SHOWN));
    }

    #[test]
    fn a_list_is_as_long_as_it_may_be_and_says_how_many_are_left_out() {
        let report = |number: u64| {
            let topics = vec!["\u{1}".repeat(100), "\u{fffd}".repeat(100)];
            let filter = Filter { filter: topics, filter_entries: 2 };
            let listener = ListenerReport { url: number.to_string(), protection: "x".into() };
            (listener, filter)
        };
        let (all, left_out) = those_with_room((0..50).map(report), usize::MAX);
        assert_eq!((all.len(), left_out), (50, 0));
        for room in [0, 5_000, 20_000] {
            let (some, left_out) = those_with_room((0..50).map(report), room);
            assert_eq!(some.len() + left_out, 50);
            assert_eq!(some[..], all[..some.len()]);
            let page = |list: &[_]| {
                let page = serde_json::json!({ "peers": list });
                serde_json::to_string_pretty(&page).unwrap().len()
            };
            let empty = page(&[]) + "\n  ".len();
            assert!(page(&some) <= room + empty, "{} of {room}", page(&some));
            assert!(page(&all[..=some.len()]) > room, "there was room for one more");
        }
    }
}
