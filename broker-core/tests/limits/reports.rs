//! What is said about all this.

use super::raw::Raw;
use super::{endpoint, log};
use broker_core::event::Event;

#[tokio::test]
async fn a_stream_of_events_that_is_not_read_keeps_the_newest() {
    let (endpoint, _net, _url, mut events) = endpoint("events = 4").await;
    for number in 0..10 {
        endpoint.unpeer(format!("mem://nobody:{number}"));
    }
    let kept: Vec<Event> = std::iter::from_fn(|| events.try_next()).collect();
    let ports: Vec<u16> = kept
        .iter()
        .filter_map(Event::endpoint)
        .map(|endpoint| endpoint.network.as_ref().unwrap().url.port())
        .collect();
    assert_eq!((kept.len(), ports), (4, vec![8, 9]), "errors are logged as well");
    assert_eq!(events.missed(), 17, "one for the listener");
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_failed_handshakes_is_a_few_events_and_a_count() {
    let (_endpoint, net, url, mut events) = endpoint("log-burst = 3").await;
    for _ in 0..100 {
        let mut raw = Raw::dial(&net, &url).await;
        raw.send(&[0, 0, 0, 1, 99]).await.unwrap();
        raw.until_closed().await;
    }
    for _ in 0..3 {
        let log = log(&mut events, "handshake-failed").await;
        assert!(!log.description.contains("more of this kind"), "{}", log.description);
    }
    // Time stands still as long as there is something to do, so these came within one second.
    let log = log(&mut events, "handshake-failed").await;
    assert!(log.description.ends_with("(and 96 more of this kind before)"), "{}", log.description);
    assert!(events.try_next().is_none());
}
