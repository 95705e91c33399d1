//! Transports that fail, hang and trickle, under a clock that only moves when nothing else does.

#![allow(clippy::unwrap_used)]

mod support;

use broker_core::endpoint::{Endpoint, Retry};
use broker_core::event::StatusCode;
use broker_core::transport::{MemTransport, Transport};
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;
use support::{Faulty, HIGH, LONG, LOW, at, endpoint, peer, status};
use tokio::time::{Instant, timeout};

const SECOND: Duration = Duration::from_secs(1);

/// Shuts endpoints down, and checks that no task is left.
async fn end(endpoints: &[&Endpoint]) {
    for endpoint in endpoints {
        endpoint.shutdown().await;
    }
    assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn bytes_that_trickle_in_make_the_same_messages() {
    let network = Faulty::default();
    network.faults.trickle.store(true, SeqCst);
    network.faults.hesitate.store(2, SeqCst);
    let (a, b) = (endpoint(network.clone(), LOW), endpoint(network, HIGH));
    let mut received = b.subscribe(["/t"]);
    let url = b.listen(at("b")).await.unwrap();
    peer(&a, &b, &url, Retry::never()).await;
    for number in 0..50_u64 {
        assert_eq!(a.publish("/t", &number).await.unwrap().peers, 1);
    }
    for number in 0..50_u64 {
        assert_eq!(received.recv().await.unwrap().view().as_count(), Some(number));
    }
    end(&[&a, &b]).await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_is_reported_by_both_sides_and_made_again() {
    let network = Faulty::default();
    let (a, b) = (endpoint(network.clone(), LOW), endpoint(network.clone(), HIGH));
    let (mut a_events, mut b_events) = (a.events(), b.events());
    let mut received = b.subscribe(["/t"]);
    let url = b.listen(at("b")).await.unwrap();
    peer(&a, &b, &url, Retry::every(SECOND)).await;
    for number in 0..20_u64 {
        for code in [StatusCode::EndpointDiscovered, StatusCode::PeerAdded] {
            assert_eq!(status(&mut a_events, code).await, b.id());
            assert_eq!(status(&mut b_events, code).await, a.id());
        }
        assert!(timeout(LONG, a.await_peer(b.id())).await.unwrap());
        a.publish("/t", &number).await.unwrap();
        assert_eq!(received.recv().await.unwrap().view().as_count(), Some(number));
        network.faults.cut();
        for code in [StatusCode::PeerLost, StatusCode::EndpointUnreachable] {
            assert_eq!(status(&mut a_events, code).await, b.id());
            assert_eq!(status(&mut b_events, code).await, a.id());
        }
    }
    end(&[&a, &b]).await;
    assert_eq!(network.faults.opened.load(SeqCst), network.faults.gone.load(SeqCst));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_does_not_wait_for_a_handshake_of_the_transport() {
    let network = Faulty::default();
    network.faults.hang_establish.store(true, SeqCst);
    let b = endpoint(network.clone(), HIGH);
    let url = b.listen(at("b")).await.unwrap();
    let _half_open = network.connect(&url).await.unwrap();
    support::turns(10).await;
    let began = Instant::now();
    end(&[&b]).await;
    assert!(began.elapsed() < SECOND, "it took {:?} of virtual time", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_dial_that_hangs_is_abandoned_by_unpeer_and_by_shutdown() {
    let network = Faulty::default();
    network.faults.hang_connect.store(true, SeqCst);
    let a = endpoint(network.clone(), LOW);
    let request = a.peer(at("b"), Retry::every(SECOND));
    support::turns(10).await;
    assert!(a.unpeer(at("b")));
    assert_eq!(request.await.unwrap_err().failure.name(), "cancelled");
    let request = a.peer(at("b"), Retry::every(SECOND));
    support::turns(10).await;
    let began = Instant::now();
    end(&[&a]).await;
    assert_eq!(request.await.unwrap_err().failure.name(), "shutting-down");
    assert!(began.elapsed() < SECOND, "it took {:?} of virtual time", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_dial_that_hangs_fails_after_its_time_and_is_tried_again() {
    let network = Faulty::default();
    network.faults.hang_connect.store(true, SeqCst);
    let (a, b) = (endpoint(network.clone(), LOW), endpoint(network.clone(), HIGH));
    let url = b.listen(at("b")).await.unwrap();
    let request = a.peer(&url, Retry::every(SECOND));
    while a.peers().first().is_none_or(|peer| peer.failures == 0) {
        tokio::time::sleep(SECOND).await;
    }
    assert_eq!(a.peers()[0].last_error.as_deref().map(|text| text.contains("30 s")), Some(true));
    network.faults.hang_connect.store(false, SeqCst);
    assert_eq!(request.await.unwrap(), b.id());
    end(&[&a, &b]).await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_no_byte_is_lost_after_the_time_for_it() {
    let network = Faulty::default();
    let (a, b) = (endpoint(network.clone(), LOW), endpoint(network.clone(), HIGH));
    let mut events = a.events();
    let _received = b.subscribe(["/t"]);
    let url = b.listen(at("b")).await.unwrap();
    peer(&a, &b, &url, Retry::never()).await;
    network.faults.stall_writes.store(true, SeqCst);
    let began = Instant::now();
    a.publish("/t", &1_u64).await.unwrap();
    assert_eq!(status(&mut events, StatusCode::PeerLost).await, b.id());
    assert_eq!(began.elapsed().as_secs(), 10);
    let text = a.peers()[0].last_error.clone().unwrap();
    assert!(text.contains("accepted no data for 10 s"), "{text}");
    end(&[&a, &b]).await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_with_a_stuck_peer_takes_the_time_for_the_bye_and_the_last_bytes() {
    let network = Faulty::default();
    let (a, b) = (endpoint(network.clone(), LOW), endpoint(network.clone(), HIGH));
    let url = b.listen(at("b")).await.unwrap();
    peer(&a, &b, &url, Retry::never()).await;
    network.faults.stall_writes.store(true, SeqCst);
    let began = Instant::now();
    a.shutdown().await;
    assert_eq!(began.elapsed().as_secs(), 4);
    end(&[&a, &b]).await;
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_waits_for_a_stuck_peer_is_released_when_that_is_cut() {
    let network = Faulty::default();
    let (a, b, _received) = support::waiting_pair(network.clone()).await;
    network.faults.stall_writes.store(true, SeqCst);
    let publish = async { while a.publish("/t", &1_u64).await.unwrap().peers > 0 {} };
    timeout(LONG, publish).await.unwrap();
    end(&[&a, &b]).await;
}

#[tokio::test(start_paused = true)]
async fn accepting_goes_on_after_errors() {
    let network = Faulty::default();
    network.faults.failing_accepts.store(50, SeqCst);
    let (a, b) = (endpoint(network.clone(), LOW), endpoint(network.clone(), HIGH));
    let url = b.listen(at("b")).await.unwrap();
    peer(&a, &b, &url, Retry::never()).await;
    assert_eq!(network.faults.failing_accepts.load(SeqCst), 0);
    end(&[&a, &b]).await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_vanished_gets_in_again_under_its_old_id() {
    for (stays, vanishes) in [(LOW, HIGH), (HIGH, LOW)] {
        let network = MemTransport::new();
        let dying = Faulty::on(&network);
        let a = endpoint(network.clone(), stays);
        let mut events = a.events();
        let url = a.listen(at("a")).await.unwrap();
        let b = endpoint(dying.clone(), vanishes);
        peer(&b, &a, &url, Retry::never()).await;
        status(&mut events, StatusCode::PeerAdded).await;
        // The machine of this endpoint is gone; nothing tells the other side.
        dying.faults.stall_writes.store(true, SeqCst);
        let again = endpoint(network.clone(), vanishes);
        let began = Instant::now();
        assert_eq!(again.peer(&url, Retry::every(2 * SECOND)).await.unwrap(), a.id());
        // Ten seconds of silence, three for the sign of life, and the next attempt.
        assert!(began.elapsed() < 20 * SECOND, "it took {:?}", began.elapsed());
        status(&mut events, StatusCode::PeerLost).await;
        status(&mut events, StatusCode::PeerAdded).await;
        end(&[&again, &a, &b]).await;
    }
}
