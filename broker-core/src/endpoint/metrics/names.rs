use broker_proto::queue::WAIT_BOUNDS;
use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// What a metric measures, for documentation and for checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metric {
    /// The name.
    pub name: &'static str,
    /// What kind of number it is.
    pub kind: MetricKind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it measures.
    pub help: &'static str,
}

/// The kinds of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetricKind {
    /// A number that only grows.
    Counter,
    /// A number as it is now.
    Gauge,
    /// A distribution.
    Histogram,
}

macro_rules! metrics_table {
    ($($constant:ident = $name:literal, $kind:ident, [$($label:literal),*], $help:literal;)*) => {
        $(pub(super) const $constant: &str = $name;)*

        /// Every metric of an endpoint.
        pub const METRICS: &[Metric] = &[$(Metric {
            name: $name,
            kind: MetricKind::$kind,
            labels: &[$($label),*],
            help: $help,
        },)*];
    };
}

metrics_table! {
    CONNECTIONS = "broker_connections", Gauge, ["type"],
        "Number of active network connections.";
    PROCESSED = "broker_processed_messages_total", Counter, ["type"],
        "Total number of processed messages.";
    PEERS = "zeek_broker_peers", Gauge, [],
        "Current number of peers connected via broker";
    BUFFER_MESSAGES = "zeek_broker_peer_buffer_messages", Gauge, ["peer"],
        "Number of messages queued in Broker's send buffers";
    BUFFER_MAX = "zeek_broker_peer_buffer_recent_max_messages", Gauge, ["peer"],
        "Maximum number of messages recently queued in Broker's send buffers";
    OVERFLOWS = "zeek_broker_peer_buffer_overflows_total", Counter, ["peer"],
        "Number of overflows in Broker's send buffers";
    BACKPRESSURE = "zeek_broker_backpressure_disconnects_total", Counter, ["peer"],
        "Number of Broker peerings dropped due to a neighbor falling behind in message I/O";
    QUEUED_BYTES = "broker_peer_queued_bytes", Gauge, ["peer"],
        "Bytes of memory that hold messages queued for a peer";
    OFFERED = "broker_peer_offered_messages_total", Counter, ["peer"],
        "Messages for a peer, whatever became of them";
    DELIVERED = "broker_peer_delivered_messages_total", Counter, ["peer"],
        "Messages for a peer that have left its queue to be written";
    DROPPED = "broker_peer_dropped_messages_total", Counter, ["peer", "policy", "cause"],
        "Messages for a peer that were dropped";
    MESSAGES = "broker_peer_messages_total", Counter, ["peer", "direction"],
        "Messages received from a peer (in) and queued for it (out)";
    BYTES = "broker_peer_bytes_total", Counter, ["peer", "direction"],
        "Bytes received from a peer (in) and queued for it (out)";
    REFUSED = "broker_peer_refused_messages_total", Counter, ["peer"],
        "Messages from a peer that were dropped for being malformed, forged, internal, not permitted \
         or out of hops";
    DUPLICATES = "broker_peer_duplicate_messages_total", Counter, ["peer"],
        "Messages from a peer that were dropped because they had come before, by another path";
    LOOPED = "broker_peer_looped_messages_total", Counter, ["peer"],
        "Messages from a peer of version 1 that had come before, with more hops left";
    MISSED = "broker_peer_missed_messages_total", Counter, ["peer"],
        "Messages for this endpoint that a peer has dropped, as far as it has said so";
    QUEUE_TIME = "broker_peer_queue_seconds", Histogram, ["peer"],
        "Time that messages wait for a peer before they are written; sampled under load";
    CLIENT_MESSAGES = "broker_client_messages_total", Counter, ["application", "outcome"],
        "Messages from clients (in, refused) and for them (out, dropped)";
    PREFIX_MESSAGES = "broker_prefix_messages_total", Counter, ["prefix", "direction"],
        "Messages on topics with a prefix that came from peers or were published (in), and copies \
         of them for peers (out)";
    PREFIX_BYTES = "broker_prefix_bytes_total", Counter, ["prefix", "direction"],
        "Bytes of messages on topics with a prefix that came from peers or were published (in), and \
         of copies of them for peers (out)";
    PENDING = "broker_pending_peerings", Gauge, [],
        "Addresses that are being dialled or wait for their next attempt";
    RECONNECTS = "broker_reconnects_total", Counter, [],
        "Peerings that were made again after they had ended";
    HANDSHAKE_FAILURES = "broker_handshake_failures_total", Counter, ["side", "reason"],
        "Connections that did not become a peering";
    EVENTS = "broker_events_total", Counter, ["event"],
        "Events, by the name that they have in Zeek";
    LOG_EVENTS = "broker_log_events_total", Counter, ["level", "id"],
        "Log events, whatever level is shown";
}

/// The one metric of [`METRICS`] that is a distribution.
pub const QUEUE_SECONDS: &str = QUEUE_TIME;

/// The bounds that the samples of [`QUEUE_SECONDS`] are collected in, in seconds: with these, or
/// some of these, as the buckets of a recorder nothing is lost.
#[must_use]
pub fn queue_seconds_buckets() -> Vec<f64> {
    WAIT_BOUNDS.iter().map(std::time::Duration::as_secs_f64).collect()
}

/// Hands the descriptions to the recorder.
pub(super) fn describe() {
    for metric in METRICS {
        let unit = match metric.name {
            name if name.ends_with("_seconds") => Unit::Seconds,
            name if name.contains("bytes") => Unit::Bytes,
            _ => Unit::Count,
        };
        match metric.kind {
            MetricKind::Counter => describe_counter!(metric.name, unit, metric.help),
            MetricKind::Gauge => describe_gauge!(metric.name, unit, metric.help),
            MetricKind::Histogram => describe_histogram!(metric.name, unit, metric.help),
        }
    }
}
