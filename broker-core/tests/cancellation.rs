//! Every future of the public interface can be given up at any of its waiting points: nothing is
//! lost, nothing happens twice, nothing is left behind, and everything goes on.

#![allow(clippy::unwrap_used)]

mod support;

use broker_core::endpoint::SubscriberOptions;
use broker_core::endpoint::{Endpoint, Hub, Message, Retry};
use broker_core::event::{Event, StatusCode};
use broker_core::{
    Address, Config, EndpointId, OverflowPolicy, PublishError, Published, SubscriberPolicy,
};
use std::num::NonZeroUsize;
use std::sync::atomic::Ordering::SeqCst;
use support::{Faulty, HIGH, LONG, LOW, at, endpoint, endpoint_with, give_up_after, peer, status};

/// Futures are polled up to so many times before they are given up; all are done well before.
const POLLS: usize = 40;

/// A transport in which everything takes several turns, so that there are many waiting points.
fn network() -> Faulty {
    let network = Faulty::default();
    network.faults.hesitate.store(2, SeqCst);
    network
}

/// Shuts endpoints down, and checks that no task and no connection is left.
async fn end(network: &Faulty, endpoints: &[&Endpoint]) {
    for endpoint in endpoints {
        endpoint.shutdown().await;
    }
    assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
    assert_eq!(network.faults.opened.load(SeqCst), network.faults.gone.load(SeqCst));
}

async fn pair(network: &Faulty) -> (Endpoint, Endpoint, Address) {
    let (a, b) = (endpoint(network.clone(), LOW), endpoint(network.clone(), HIGH));
    let url = b.listen(at("b")).await.unwrap();
    peer(&a, &b, &url, Retry::never()).await;
    (a, b, url)
}

#[tokio::test(start_paused = true)]
async fn listening_can_be_given_up_and_the_address_is_free_again() {
    let mut done = 0;
    for polls in 0..POLLS {
        let network = network();
        let (a, b) = (endpoint(network.clone(), LOW), endpoint(network.clone(), HIGH));
        let url = match give_up_after(polls, b.listen(at("b"))).await {
            Some(outcome) => {
                done += 1;
                outcome.unwrap()
            }
            None => b.listen(at("b")).await.unwrap(),
        };
        peer(&a, &b, &url, Retry::never()).await;
        end(&network, &[&a, &b]).await;
    }
    assert!(done > 0 && done < POLLS, "{done}");
}

#[tokio::test(start_paused = true)]
async fn whoever_asked_for_a_peering_may_stop_waiting_for_it() {
    let mut done = 0;
    for polls in 0..POLLS {
        let network = network();
        let (a, b) = (endpoint(network.clone(), LOW), endpoint(network.clone(), HIGH));
        let mut events = a.events();
        let url = b.listen(at("b")).await.unwrap();
        done += usize::from(give_up_after(polls, a.peer(&url, Retry::never())).await.is_some());
        assert_eq!(status(&mut events, StatusCode::PeerAdded).await, b.id());
        assert!(a.is_outbound_peering(&url));
        // Another waiter gets the answer of the same request.
        assert_eq!(a.peer(&url, Retry::never()).await.unwrap(), b.id());
        end(&network, &[&a, &b]).await;
    }
    assert!(done > 0 && done < POLLS, "{done}");
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_peer_can_be_given_up() {
    let mut done = 0;
    for polls in 0..POLLS {
        let network = network();
        let (a, b) = (endpoint(network.clone(), LOW), endpoint(network.clone(), HIGH));
        let url = b.listen(at("b")).await.unwrap();
        let request = a.peer(&url, Retry::never());
        done += usize::from(give_up_after(polls, b.await_peer(a.id())).await.is_some());
        assert!(tokio::time::timeout(LONG, b.await_peer(a.id())).await.unwrap());
        request.await.unwrap();
        end(&network, &[&a, &b]).await;
    }
    assert!(done > 0 && done < POLLS, "{done}");
}

#[tokio::test(start_paused = true)]
async fn a_ping_can_be_given_up_and_its_late_answer_disturbs_nobody() {
    let network = network();
    let (a, b, _) = pair(&network).await;
    let mut done = 0;
    for polls in 0..POLLS {
        done += usize::from(give_up_after(polls, a.ping(b.id())).await.is_some());
        assert!(tokio::time::timeout(LONG, a.ping(b.id())).await.unwrap().is_ok());
    }
    assert!(done > 0 && done < POLLS, "{done}");
    end(&network, &[&a, &b]).await;
}

#[tokio::test(start_paused = true)]
async fn receiving_can_be_given_up_and_loses_nothing() {
    for polls in 0..6 {
        let network = network();
        let (a, b, _) = pair(&network).await;
        let mut subscriber = b.subscribe(["/t"]);
        let mut hub = b.hub(["/t"]);
        tokio::time::timeout(LONG, b.ping(a.id())).await.unwrap().unwrap();
        let sender = tokio::spawn({
            let a = a.clone();
            async move {
                for number in 0..200_u64 {
                    a.publish("/t", &number).await.unwrap();
                    support::turns(usize::try_from(number % 7).unwrap()).await;
                }
            }
        });
        let (mut got, mut seen) = (Vec::new(), Vec::new());
        while got.len() < 200 || seen.len() < 200 {
            let message = give_up_after(polls, subscriber.recv()).await;
            got.extend(message.map(|message| message.unwrap().view().as_count().unwrap()));
            let message = give_up_after(polls, hub.recv()).await;
            seen.extend(message.map(|message| message.unwrap().view().as_count().unwrap()));
            if polls == 0 {
                // Not even asked: something has to take the messages.
                got.extend(subscriber.recv().await.unwrap().view().as_count());
                seen.extend(hub.recv().await.unwrap().view().as_count());
            }
        }
        assert!(got.iter().copied().eq(0..200) && seen.iter().copied().eq(0..200));
        sender.await.unwrap();
        drop((subscriber, hub));
        end(&network, &[&a, &b]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_for_events_can_be_given_up_and_loses_none() {
    let network = network();
    let (a, b) = (endpoint(network.clone(), LOW), endpoint(network.clone(), HIGH));
    let (mut patient, mut hasty) = (a.events(), a.events());
    let url = b.listen(at("b")).await.unwrap();
    let mut seen = Vec::new();
    for polls in 0..POLLS {
        let request = a.peer(&url, Retry::never());
        seen.extend(give_up_after(polls, hasty.next()).await.flatten());
        request.await.unwrap();
        a.unpeer(&url);
        status(&mut patient, StatusCode::EndpointUnreachable).await;
    }
    end(&network, &[&a, &b]).await;
    while let Some(event) = hasty.next().await {
        seen.push(event);
    }
    let codes: Vec<_> = seen.iter().filter_map(Event::status).collect();
    let life = [
        StatusCode::EndpointDiscovered,
        StatusCode::PeerAdded,
        StatusCode::PeerRemoved,
        StatusCode::EndpointUnreachable,
    ];
    assert_eq!(codes, life.repeat(POLLS));
}

/// A message that takes a good part of what a connection holds.
fn large(number: u64) -> Vec<u8> {
    let mut bytes = number.to_be_bytes().to_vec();
    bytes.resize(30_000, 0);
    bytes
}

fn number(message: &Message) -> u64 {
    let bytes = message.view().as_bytes().unwrap();
    u64::from_be_bytes(*bytes.first_chunk().unwrap())
}

/// Publishes in one of the ways there are.
async fn publish(
    endpoint: &Endpoint,
    hub: &Hub,
    receiver: EndpointId,
    number: u64,
) -> Result<Published, PublishError> {
    let value = large(number);
    let value = value.as_slice();
    match number % 5 {
        0 => endpoint.publish("/t", value).await,
        1 => endpoint.publish_to(receiver, "/t", value).await,
        2 => endpoint.publisher("/t").publish(value).await,
        3 => hub.publish("/t", value).await,
        _ => hub.sender().publish("/t", value).await,
    }
}

/// What a publisher finished arrives, once and in order; what it gave up while it waited does not.
#[tokio::test(start_paused = true)]
async fn publishing_can_be_given_up_while_it_waits_and_then_nobody_gets_the_message() {
    for polls in 0..4 {
        let network = network();
        let mut config = Config { overflow_policy: OverflowPolicy::Wait, ..Config::default() };
        config.limits.outbox_messages = NonZeroUsize::new(2).unwrap();
        let a = endpoint_with(network.clone(), LOW, config);
        let b = endpoint(network.clone(), HIGH);
        let options =
            SubscriberOptions { messages: Some(2), bytes: None, policy: SubscriberPolicy::Wait };
        let mut received = b.subscribe_with(["/t"], options);
        let mut local = a.hub(["/t"]);
        let other = a.hub(["/other"]);
        let url = b.listen(at("b")).await.unwrap();
        peer(&a, &b, &url, Retry::never()).await;
        let (mut sent, mut given_up) = (Vec::new(), 0);
        let (mut got, mut seen) = (Vec::new(), Vec::new());
        for number in 0..300_u64 {
            match give_up_after(polls, publish(&a, &other, b.id(), number)).await {
                Some(outcome) => {
                    assert_eq!(outcome.unwrap().peers, 1);
                    sent.push(number);
                }
                None => given_up += 1,
            }
            if number % 5 == 0 {
                got.extend(received.try_recv().ok().as_ref().map(self::number));
            }
            seen.extend(local.try_recv().ok().as_ref().map(self::number));
        }
        assert!(given_up > 0, "it never had to wait");
        let last = async { publish(&a, &other, b.id(), 300).await.unwrap() };
        let rest = async {
            while got.last() != Some(&300) {
                got.push(number(&received.recv().await.unwrap()));
            }
        };
        tokio::join!(last, rest);
        while let Ok(message) = local.try_recv() {
            seen.push(self::number(&message));
        }
        assert_eq!(got, seen, "all of its destinations get a message, or none");
        assert!(got.windows(2).all(|pair| pair[0] < pair[1]), "{got:?}");
        assert!(sent.iter().all(|number| got.contains(number)), "{got:?} and not {sent:?}");
        // A publisher may be given up while it lets others run, after it has sent its message.
        assert!(got.len() - sent.len() < given_up / 2, "{got:?}");
        assert_eq!(a.peering_stats()[&b.id()].dropped + received.dropped(), 0);
        drop((received, local, other));
        end(&network, &[&a, &b]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_services_of_an_endpoint_wait_for_can_be_given_up() {
    let network = network();
    let (a, b) = (endpoint(network.clone(), LOW), endpoint(network.clone(), HIGH));
    let url = b.listen(at("b")).await.unwrap();
    let service = a.service_context();
    for polls in 0..4 {
        assert!(give_up_after(polls, service.stopping()).await.is_none());
        assert!(give_up_after(polls, service.peers_changed()).await.is_none());
    }
    let changed = service.peers_changed();
    peer(&a, &b, &url, Retry::never()).await;
    changed.await;
    end(&network, &[&a, &b]).await;
    service.stopping().await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_goes_on_when_nobody_waits_for_it_any_more() {
    let mut done = 0;
    for polls in 0..POLLS {
        let network = network();
        let (a, b, url) = pair(&network).await;
        let (mut a_events, mut b_events) = (a.events(), b.events());
        let mut received = b.subscribe(["/t"]);
        tokio::time::timeout(LONG, b.ping(a.id())).await.unwrap().unwrap();
        a.publish("/t", &1_u64).await.unwrap();
        done += usize::from(give_up_after(polls, a.shutdown()).await.is_some());
        if polls == 0 {
            // Not even begun.
            assert_eq!(a.publish("/t", &2_u64).await.unwrap().peers, 1);
            a.shutdown().await;
        }
        assert_eq!(status(&mut a_events, StatusCode::PeerRemoved).await, b.id());
        assert_eq!(status(&mut b_events, StatusCode::PeerLost).await, a.id());
        assert_eq!(received.recv().await.unwrap().view().as_count(), Some(1), "it was sent before");
        assert!(a.publish("/t", &3_u64).await.is_err() && a.listen(&url).await.is_err());
        drop(received);
        end(&network, &[&a, &b]).await;
        while a_events.next().await.is_some() {}
    }
    assert!(done > 0 && done < POLLS, "{done}");
}

#[tokio::test(start_paused = true)]
async fn everyone_who_waits_is_released_by_a_shutdown() {
    let network = network();
    let (a, b, _received) = support::waiting_pair(network.clone()).await;
    let mut subscriber = a.subscribe(["/x"]);
    let mut events = a.events();
    network.faults.stall_writes.store(true, SeqCst);
    let publisher = tokio::spawn({
        let a = a.clone();
        async move { while a.publish("/t", &1_u64).await.is_ok() {} }
    });
    let waiter = tokio::spawn({
        let a = a.clone();
        async move { a.await_peer(support::id(LOW)).await }
    });
    let pinger = tokio::spawn({
        let (a, b) = (a.clone(), b.id());
        async move { tokio::time::timeout(LONG, a.ping(b)).await.unwrap() }
    });
    let request = a.peer(at("nobody"), Retry::every(LONG));
    support::turns(20).await;
    a.shutdown().await;
    publisher.await.unwrap();
    assert!(!waiter.await.unwrap());
    assert!(pinger.await.unwrap().is_err());
    assert!(request.await.is_err());
    assert!(subscriber.recv().await.is_none());
    while events.next().await.is_some() {}
    end(&network, &[&a, &b]).await;
}
