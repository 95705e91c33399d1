use super::names::{METRICS, MetricKind};
use crate::endpoint::{EndpointBuilder, Retry};
use crate::event::Event;
use crate::transport::MemTransport;
use crate::{Address, Config, Endpoint, OverflowPolicy};
use metrics_util::MetricKind as Kind;
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use std::collections::BTreeMap;
use std::num::NonZeroUsize;

/// A recorder for the tasks of one test, which all run in its thread.
pub(super) struct Recorder {
    snapshotter: Snapshotter,
    _guard: metrics::LocalRecorderGuard<'static>,
}

impl Recorder {
    pub(super) fn install() -> Self {
        // The guard borrows it, and a test ends with the process.
        let recorder: &'static DebuggingRecorder = Box::leak(Box::new(DebuggingRecorder::new()));
        let snapshotter = recorder.snapshotter();
        Self { snapshotter, _guard: metrics::set_default_local_recorder(recorder) }
    }

    /// All numbers by name and labels, as in `name{label=value}`, and how many samples there are in
    /// a distribution. What has been counted is counted from there on.
    pub(super) fn numbers(&self) -> BTreeMap<String, f64> {
        let mut numbers = BTreeMap::new();
        for (key, unit, description, value) in self.snapshotter.snapshot().into_vec() {
            let (kind, key) = key.into_parts();
            check_described(kind, &key, unit.is_some() && description.is_some());
            let labels: Vec<String> =
                key.labels().map(|label| format!("{}={}", label.key(), label.value())).collect();
            let value = match value {
                DebugValue::Counter(count) => count as f64,
                DebugValue::Gauge(number) => number.into_inner(),
                DebugValue::Histogram(samples) => samples.len() as f64,
            };
            numbers.insert(format!("{}{{{}}}", key.name(), labels.join(",")), value);
        }
        numbers
    }
}

/// Everything that is recorded is in the table of metrics, with its labels.
fn check_described(kind: Kind, key: &metrics::Key, described: bool) {
    let metric = METRICS.iter().find(|metric| metric.name == key.name());
    let metric = metric.unwrap_or_else(|| panic!("{} is in no table", key.name()));
    let labels: Vec<&str> = key.labels().map(metrics::Label::key).collect();
    assert_eq!(labels, metric.labels, "{}", metric.name);
    assert!(described, "{} has no description", metric.name);
    let expected = match metric.kind {
        MetricKind::Counter => Kind::Counter,
        MetricKind::Gauge => Kind::Gauge,
        MetricKind::Histogram => Kind::Histogram,
    };
    assert_eq!(kind, expected, "{}", metric.name);
}

fn builder(net: &MemTransport) -> EndpointBuilder {
    Endpoint::builder().transport(net.clone())
}

async fn listening(endpoint: &Endpoint, name: &str) -> Address {
    endpoint.listen(Address::new("mem", name, 0)).await.unwrap()
}

async fn until(endpoint: &Endpoint, condition: impl Fn(&Endpoint) -> bool) {
    let mut events = endpoint.events();
    while !condition(endpoint) {
        events.next().await.unwrap();
    }
}

#[tokio::test]
async fn counters_move_by_what_happened_since_the_last_time() {
    let recorder = Recorder::install();
    let net = MemTransport::new();
    let hub = builder(&net).build().unwrap();
    // Relays also tell each other of the overlay.
    let sensor = builder(&net).forwarding(false).build().unwrap();
    let mut received = hub.subscribe(["/t"]);
    sensor.peer(&listening(&hub, "hub").await, Retry::never()).await.unwrap();
    for round in [3, 4] {
        for number in 0..round {
            sensor.publish("/t", &number).await.unwrap();
        }
        for _ in 0..round {
            received.recv().await.unwrap();
        }
        sensor.record_metrics();
        let numbers = recorder.numbers();
        let peer = |name: &str, more: &str| numbers[&format!("{name}{{peer={}{more}}}", hub.id())];
        let sent = peer("broker_peer_messages_total", ",direction=out");
        assert_eq!(sent, f64::from(round));
        assert!(peer("broker_peer_bytes_total", ",direction=out") > 40.0 * sent);
        assert!(peer("broker_peer_queue_seconds", "") >= 1.0);
        assert_eq!(peer("zeek_broker_peer_buffer_messages", ""), 0.0);
        assert_eq!(
            peer("broker_peer_dropped_messages_total", ",policy=drop_oldest,cause=full"),
            0.0
        );
        assert_eq!(numbers["broker_processed_messages_total{type=data}"], f64::from(round));
        assert_eq!(numbers["broker_connections{type=native}"], 1.0);
        assert_eq!(numbers["zeek_broker_peers{}"], 1.0);
    }
    hub.record_metrics();
    let numbers = recorder.numbers();
    let from = format!("broker_peer_messages_total{{peer={},direction=in}}", sensor.id());
    assert_eq!(numbers[&from], 7.0);
    hub.shutdown().await;
    until(&sensor, |sensor| sensor.peering_stats().is_empty()).await;
    sensor.record_metrics();
    let numbers = recorder.numbers();
    assert_eq!(numbers["broker_connections{type=native}"], 0.0);
    assert_eq!(numbers["broker_events_total{event=peer_lost}"], 1.0);
}

#[tokio::test]
async fn failed_handshakes_are_counted_by_side_and_reason_and_reconnects_as_such() {
    let recorder = Recorder::install();
    let net = MemTransport::new();
    let mut config = Config { retry_jitter: 0.0, ..Config::default() };
    config.limits.peers = NonZeroUsize::MIN;
    let hub = builder(&net).config(config).build().unwrap();
    let url = listening(&hub, "hub").await;
    let sensor = builder(&net).build().unwrap();
    sensor.peer(Address::new("mem", "nobody", 1), Retry::never()).await.unwrap_err();
    let retry = Retry::every(std::time::Duration::from_millis(1));
    sensor.peer(&url, retry).await.unwrap();
    let late = builder(&net).build().unwrap();
    late.peer(&url, Retry::never()).await.unwrap_err();
    // The hub does not want the sensor, which comes back by itself.
    let mut events = hub.events();
    hub.unpeer_id(sensor.id());
    while events.next().await.unwrap().name() != "peer_added" {}
    tokio::time::timeout(std::time::Duration::from_secs(10), sensor.await_peer(hub.id()))
        .await
        .unwrap();
    for endpoint in [&hub, &sensor, &late] {
        endpoint.record_metrics();
    }
    let numbers = recorder.numbers();
    let failures = |side: &str, reason: &str| {
        numbers[&format!("broker_handshake_failures_total{{side={side},reason={reason}}}")]
    };
    assert_eq!(failures("dialled", "refused"), 1.0);
    assert_eq!(failures("accepted", "limit-reached"), 1.0);
    assert_eq!(failures("dialled", "refused-by-peer"), 1.0);
    // Both sides know each other from before.
    assert_eq!(numbers["broker_reconnects_total{}"], 2.0);
    let reconnects = |endpoint: &Endpoint| endpoint.peers()[0].reconnects;
    assert_eq!((reconnects(&hub), reconnects(&sensor)), (1, 1));
}

#[tokio::test]
async fn peers_above_the_limit_share_one_label_and_their_gauges_are_added_up() {
    let recorder = Recorder::install();
    let net = MemTransport::new();
    let mut config = Config { overflow_policy: OverflowPolicy::Disconnect, ..Config::default() };
    config.limits.metrics_peers = 1;
    config.limits.outbox_messages = NonZeroUsize::new(3).unwrap();
    let hub = builder(&net).config(config).build().unwrap();
    let url = listening(&hub, "hub").await;
    let mut peers = Vec::new();
    for _ in 0..3 {
        let peer = builder(&net).build().unwrap();
        let subscriber = peer.subscribe(["/t"]);
        peer.peer(&url, Retry::never()).await.unwrap();
        assert!(
            tokio::time::timeout(std::time::Duration::from_secs(10), hub.await_peer(peer.id()))
                .await
                .unwrap()
        );
        peers.push((peer, subscriber));
        // The first one to be recorded is the one with a label.
        hub.record_metrics();
    }
    // Nothing is written before this task waits for something.
    for _ in 0..2 {
        hub.publish("/t", &1).await.unwrap();
    }
    hub.record_metrics();
    let numbers = recorder.numbers();
    let queued = |peer: &str| numbers[&format!("zeek_broker_peer_buffer_messages{{peer={peer}}}")];
    assert_eq!(queued(&peers[0].0.id().to_string()), 2.0);
    assert_eq!(queued("other"), 4.0);
    assert_eq!(numbers["zeek_broker_peer_buffer_recent_max_messages{peer=other}"], 2.0);
    let labels = numbers.keys().filter(|key| key.starts_with("broker_peer_queued_bytes"));
    assert_eq!(labels.count(), 2);

    // Two more make the queues overflow, which cuts all three.
    let mut events = hub.events();
    for _ in 0..2 {
        hub.publish("/t", &1).await.unwrap();
    }
    for _ in 0..3 {
        while !matches!(events.next().await.unwrap(), Event::Status(status)
            if status.message.contains("backpressure_overflow"))
        {}
    }
    hub.record_metrics();
    let numbers = recorder.numbers();
    let cut =
        |peer: &str| numbers[&format!("zeek_broker_backpressure_disconnects_total{{peer={peer}}}")];
    assert_eq!((cut(&peers[0].0.id().to_string()), cut("other")), (1.0, 2.0));
    assert_eq!(numbers["zeek_broker_peer_buffer_messages{peer=other}"], 0.0);
    let dropped = |cause: &str| {
        let labels = format!("peer=other,policy=disconnect,cause={cause}");
        numbers[&format!("broker_peer_dropped_messages_total{{{labels}}}")]
    };
    assert_eq!((dropped("discarded"), dropped("full")), (6.0, 2.0));
}

#[test]
fn the_documentation_lists_every_metric_as_it_is_here() {
    const PAGE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md"));
    let row = |metric: &super::Metric| {
        let kind = format!("{:?}", metric.kind).to_lowercase();
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let labels = if labels.is_empty() { "-".to_owned() } else { labels.join(", ") };
        format!("| `{}` | {kind} | {labels} | {} |\n", metric.name, metric.help)
    };
    let table: String = METRICS.iter().map(row).collect();
    assert!(PAGE.contains(&table), "the table in docs/metrics.md has to be:\n{table}");
}
