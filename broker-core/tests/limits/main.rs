//! Every limit of `limits.rs`, set by its key and reached.
//!
//! Some are reached where they are enforced: `liveness` and `remembered-peers` in virtual time by
//! the tests of the control machine, `connect-time` by those of `tcp://`, `metrics-peers` by those
//! of the metrics, `routes-remembered` by those of the routing table, `streams-remembered` and
//! `overlay-endpoints` by those of the overlay.

#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../raw/mod.rs"]
mod raw;

mod handshakes;
mod overlay;
mod peerings;
mod queues;
mod reports;

use broker_core::endpoint::EventStream;
use broker_core::event::{Event, LogEvent, Severity};
use broker_core::transport::MemTransport;
use broker_core::{Address, Config, Endpoint, Limits};
use raw::OWN;
use std::collections::BTreeSet;

/// A topic that is longer than an entry of a filter may be by default.
const TOO_LONG: &str = match std::str::from_utf8(&[b'x'; 1025]) {
    Ok(topic) => topic,
    Err(_) => "",
};

/// An endpoint with the given keys in the table `limits`, the network it is in, where it listens,
/// and its events.
async fn endpoint(limits: &str) -> (Endpoint, MemTransport, Address, EventStream) {
    with(limits, |_| {}).await
}

async fn with(
    limits: &str,
    change: impl FnOnce(&mut Config),
) -> (Endpoint, MemTransport, Address, EventStream) {
    let mut config: Config = toml::from_str(&format!("[limits]\n{limits}")).unwrap();
    config.log_level = Severity::Info;
    change(&mut config);
    let net = MemTransport::new();
    let endpoint =
        Endpoint::builder().config(config).id(OWN).transport(net.clone()).build().unwrap();
    let events = endpoint.events();
    let url = endpoint.listen(Address::new("mem", "endpoint", 1)).await.unwrap();
    (endpoint, net, url, events)
}

/// The next log event with this id.
async fn log(events: &mut EventStream, id: &str) -> LogEvent {
    loop {
        match events.next().await.expect("the endpoint runs") {
            Event::Log(log) if log.id == id => return log,
            _ => {}
        }
    }
}

/// The reason of the next log event with this id.
async fn reason(events: &mut EventStream, id: &str) -> &'static str {
    log(events, id).await.reason.map_or("none", |reason| reason.name())
}

/// The keys and where they are reached. A limit that is added has to be reached somewhere, too.
const REACHED: [&str; 31] = [
    "bad-messages",
    "bye",
    "connect-time",
    "data-depth",
    "dial-time",
    "events",
    "filter-bytes",
    "filter-entries",
    "filter-entry",
    "frame",
    "frame-time",
    "half-open",
    "handshake-frame",
    "handshake-time",
    "linger",
    "liveness",
    "log-burst",
    "memory",
    "metrics-peers",
    "outbox-bytes",
    "outbox-control-bytes",
    "outbox-messages",
    "overlay-bytes",
    "overlay-endpoints",
    "peers",
    "remembered-peers",
    "routes-remembered",
    "stalled-write",
    "streams-remembered",
    "subscriber-bytes",
    "subscriber-messages",
];

#[test]
fn every_limit_has_a_key_and_a_test() {
    let keys = toml::Table::try_from(Limits::default()).unwrap();
    let keys: BTreeSet<&str> = keys.keys().map(String::as_str).collect();
    assert_eq!(keys, BTreeSet::from(REACHED));
}

#[test]
fn every_limit_can_be_set_and_nothing_else() {
    for key in REACHED {
        let time = toml::Table::try_from(Limits::default()).unwrap()[key].is_float();
        let text = format!("[limits]\n{key} = {}", if time { "0.5" } else { "5" });
        let config: Config = toml::from_str(&text).unwrap();
        assert_ne!(config, Config::default(), "{text}");
    }
    assert!(toml::from_str::<Config>("[limits]\nhalf_open = 5").is_err());
    assert!(toml::from_str::<Config>("[limits]\nbye = -1").is_err());
}

/// What is wrong with a limit, in a file or when the endpoint is started.
fn refusal(key: &str, value: &str) -> Option<String> {
    match toml::from_str::<Config>(&format!("[limits]\n{key} = {value}")) {
        Ok(config) => Endpoint::builder().config(config).build().err().map(|e| e.to_string()),
        Err(error) => Some(error.to_string()),
    }
}

#[tokio::test]
async fn a_limit_of_zero_that_would_stop_everything_is_refused_by_its_name() {
    // Without these an endpoint does less, and works.
    let may_be_zero = [
        "bad-messages",
        "bye",
        "data-depth",
        "filter-bytes",
        "filter-entries",
        "filter-entry",
        "frame-time",
        "linger",
        "liveness",
        "memory",
        "metrics-peers",
        "remembered-peers",
        "stalled-write",
    ];
    for key in REACHED {
        let refused = refusal(key, "0");
        assert_eq!(refused.is_none(), may_be_zero.contains(&key), "{key}: {refused:?}");
        assert!(refused.is_none_or(|text| text.contains(key)), "{key} is not named");
    }
}

#[tokio::test]
async fn a_limit_that_nothing_fits_in_is_refused_with_the_smallest_one_that_works() {
    for (key, value, least) in [
        ("frame", 1, 128),
        ("handshake-frame", 63, 64),
        ("outbox-control-bytes", 10, 256),
        ("memory", 1000, 1024 * 1024),
    ] {
        let refused = refusal(key, &value.to_string()).unwrap();
        assert!(refused.contains(key) && refused.contains(&least.to_string()), "{refused}");
        assert_eq!(refusal(key, &least.to_string()), None);
    }
    // The smallest ones work: a peering comes about, carries messages and ends.
    let (endpoint, net, url, _) =
        endpoint("frame = 128\nhandshake-frame = 64\noutbox-control-bytes = 256\nfilter-bytes = 0")
            .await;
    let other = Endpoint::builder().transport(net).build().unwrap();
    other.peer(&url, broker_core::endpoint::Retry::never()).await.unwrap();
    assert!(endpoint.publish("/t", &true).await.is_ok());
    endpoint.shutdown().await;
    assert!(other.peers().iter().all(|peer| peer.status.name() != "peered"));
}

#[tokio::test(start_paused = true)]
async fn times_without_end_can_be_set() {
    let times = "handshake-time = 1e18\nframe-time = 1e18\ndial-time = 1e18\nstalled-write = 1e18\nbye = 1e18\n\
                 liveness = 1e18\nlinger = 1e18";
    let (endpoint, net, url, _) = endpoint(times).await;
    let mut raw = raw::Raw::peer(&net, &url, raw::RAW, &[]).await;
    raw.settle().await;
    assert!(endpoint.unpeer_id(raw::RAW));
}
