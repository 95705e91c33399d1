//! The status of a node as JSON: written by the node, read by the commands that show it.

use broker::data::{BStr, Timestamp};
use broker::endpoint::ClientStatus;
use broker::{Direction, Endpoint, ListenerInfo, PeerInfo, PeeringStats, Reason};
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime};

/// As many entries of a filter are shown.
const FILTER_SHOWN: usize = 256;

/// What a node says about itself. The first five members are those of the C++ Broker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Status {
    pub(crate) id: String,
    /// The name of the node in a Zeek cluster, if it has one.
    pub(crate) cluster_node: String,
    pub(crate) time: String,
    pub(crate) native_connections: usize,
    pub(crate) web_socket_connections: usize,
    pub(crate) version: String,
    /// In seconds, like all times.
    pub(crate) uptime: f64,
    #[serde(flatten)]
    pub(crate) filter: Filter,
    /// Where it listens; nodes before this version do not say.
    #[serde(default)]
    pub(crate) listeners: Vec<ListenerReport>,
    pub(crate) peers: Vec<PeerReport>,
    pub(crate) clients: Vec<ClientReport>,
}

/// The topics that somebody wants: the first ones, and how many there are.
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

/// The statistics of a peering, by the names that they have in the library.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Statistics {
    pub(crate) num_queued: u64,
    pub(crate) max_queued_recently: u64,
    pub(crate) num_overflows: u64,
    pub(crate) queued_bytes: u64,
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
    /// How many messages were followed through the queue, how long that took them together, and how
    /// long it took the last one.
    pub(crate) waiting_samples: u64,
    pub(crate) waiting_total: f64,
    pub(crate) waiting_last: Option<f64>,
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
    pub(crate) fn of(endpoint: &Endpoint) -> Self {
        let mut statistics = endpoint.peering_stats();
        let report = |peer: PeerInfo| {
            let stats = peer.id.and_then(|id| statistics.remove(&id));
            let filter = peer.id.and_then(|id| endpoint.peer_filter(id));
            PeerReport::new(peer, stats, filter.map(Filter::of).unwrap_or_default())
        };
        let peers: Vec<PeerReport> = endpoint.peers().into_iter().map(report).collect();
        let clients: Vec<ClientReport> =
            endpoint.clients().into_iter().map(ClientReport::new).collect();
        Self {
            id: endpoint.id().to_string(),
            cluster_node: std::env::var("CLUSTER_NODE").unwrap_or_else(|_| "unknown".to_owned()),
            time: Timestamp::from(SystemTime::now()).to_string(),
            native_connections: peers.iter().filter(|peer| peer.statistics.is_some()).count(),
            web_socket_connections: clients
                .iter()
                .filter(|client| client.kind == "web-socket")
                .count(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime: seconds(endpoint.uptime()),
            filter: Filter::of(endpoint.filter()),
            listeners: endpoint.listeners().into_iter().map(ListenerReport::new).collect(),
            peers,
            clients,
        }
    }
}

impl Filter {
    fn of<T: AsRef<[u8]>>(topics: Vec<T>) -> Self {
        let text = |topic: &T| BStr::new(topic.as_ref()).to_string();
        let filter = topics.iter().take(FILTER_SHOWN).map(text).collect();
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
            address: peer.network.url.to_string(),
            status: peer.status.name().to_owned(),
            direction: Direction::name(peer.direction).to_owned(),
            protection: peer.protection.map(|protection| protection.to_string()),
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

impl From<PeeringStats> for Statistics {
    fn from(stats: PeeringStats) -> Self {
        Self {
            num_queued: stats.num_queued,
            max_queued_recently: stats.max_queued_recently,
            num_overflows: stats.num_overflows,
            queued_bytes: stats.queued_bytes,
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
            waiting_samples: stats.waiting.samples,
            waiting_total: seconds(stats.waiting.total),
            waiting_last: stats.waiting.last.map(seconds),
        }
    }
}

impl ClientReport {
    fn new(client: ClientStatus) -> Self {
        Self {
            id: client.info.id.to_string(),
            kind: client.info.label.kind.to_owned(),
            application: client.info.label.application.as_deref().map(str::to_owned),
            address: client.info.remote.to_string(),
            protection: client.info.protection.to_string(),
            age: seconds(client.age),
            filter: Filter::of(client.info.subscriptions),
            messages_in: client.messages_in,
            refused: client.refused,
            messages_out: client.messages_out,
            dropped: client.dropped,
            queued: client.queued,
            queued_bytes: client.queued_bytes,
        }
    }
}

/// Whole microseconds are enough for whoever looks at them.
fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e6
}
