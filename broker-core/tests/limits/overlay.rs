//! How much an endpoint remembers of what is behind its peers.

use super::{endpoint, log};
use broker_core::endpoint::Retry;
use broker_core::{Address, Endpoint, Reason};

/// An endpoint with a limit is peered with a relay that serves four others, each of which wants a
/// topic; returns why the peering has ended.
async fn cut_because_of(limits: &str) -> String {
    let (endpoint, net, url, mut events) = endpoint(limits).await;
    let relay = Endpoint::builder().transport(net.clone()).build().unwrap();
    let at = relay.listen(Address::new("mem", "relay", 1)).await.unwrap();
    let mut leaves = Vec::new();
    for number in 0..4 {
        let leaf = Endpoint::builder().transport(net.clone()).forwarding(false).build().unwrap();
        let topic = format!("/{number}/{}", "x".repeat(100));
        let subscriber = leaf.subscribe([topic.as_str()]);
        leaf.peer(at.clone(), Retry::never()).await.unwrap();
        leaves.push((leaf, subscriber));
    }
    relay.peer(url, Retry::never()).await.unwrap();
    let lost = log(&mut events, "peer-lost").await;
    assert_eq!(lost.reason, Some(Reason::LimitReached));
    drop((endpoint, leaves));
    lost.description
}

#[tokio::test]
async fn a_relay_that_tells_more_than_allowed_is_cut() {
    let why = cut_because_of("overlay-bytes = 500").await;
    assert!(why.contains("the limit overlay-bytes is 500"), "{why}");
}
