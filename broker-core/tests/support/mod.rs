//! Transports that do what real ones do on a bad day, and futures that are given up.

#![allow(dead_code, unused_imports)]

mod faulty;
mod sockets;

pub(crate) use faulty::{Faults, Faulty};
pub(crate) use sockets::Sockets;

use broker_core::endpoint::{EventStream, Retry, Subscriber};
use broker_core::event::{Event, StatusCode};
use broker_core::transport::Transport;
use broker_core::{Address, Config, Endpoint, EndpointId, OverflowPolicy};
use std::num::NonZeroUsize;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

pub(crate) const LOW: &str = "11111111-1111-4111-8111-111111111111";
pub(crate) const HIGH: &str = "eeeeeeee-eeee-4eee-8eee-eeeeeeeeeeee";

/// Long for anything that happens at all; nothing waits for it to pass.
pub(crate) const LONG: Duration = Duration::from_secs(30);

pub(crate) fn id(text: &str) -> EndpointId {
    text.parse().unwrap()
}

pub(crate) fn endpoint(transport: impl Transport, name: &str) -> Endpoint {
    endpoint_with(transport, name, Config::default())
}

pub(crate) fn endpoint_with(transport: impl Transport, name: &str, config: Config) -> Endpoint {
    Endpoint::builder().config(config).id(id(name)).transport(transport).build().unwrap()
}

pub(crate) fn at(name: &str) -> Address {
    Address::new("mem", name, 1)
}

/// Peers `from` with the listener of `to`.
pub(crate) async fn peer(from: &Endpoint, to: &Endpoint, url: &Address, retry: Retry) {
    assert_eq!(from.peer(url, retry).await.unwrap(), to.id());
    assert!(tokio::time::timeout(LONG, to.await_peer(from.id())).await.unwrap());
}

/// An endpoint that waits for a peer as soon as a message is in its queue, and that peer, which
/// wants `/t`.
pub(crate) async fn waiting_pair(
    transport: impl Transport + Clone,
) -> (Endpoint, Endpoint, Subscriber) {
    let mut config = Config { overflow_policy: OverflowPolicy::Wait, ..Config::default() };
    config.limits.outbox_messages = NonZeroUsize::MIN;
    let a = endpoint_with(transport.clone(), LOW, config);
    let b = endpoint(transport, HIGH);
    let received = b.subscribe(["/t"]);
    let url = b.listen(at("b")).await.unwrap();
    peer(&a, &b, &url, Retry::never()).await;
    (a, b, received)
}

/// The next status event with this code.
pub(crate) async fn status(events: &mut EventStream, code: StatusCode) -> EndpointId {
    loop {
        let event = tokio::time::timeout(LONG, events.next()).await.unwrap();
        match event.expect("the events end too early") {
            Event::Status(status) if status.code == code => return status.endpoint.id,
            _ => {}
        }
    }
}

/// Polls a future so many times, with everything else getting its turn in between, and gives it
/// up then. Returns what came of it, if it was done before.
pub(crate) async fn give_up_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = Box::pin(future);
    for _ in 0..polls {
        let context = &mut Context::from_waker(Waker::noop());
        if let Poll::Ready(output) = Pin::new(&mut future).as_mut().poll(context) {
            return Some(output);
        }
        turns(3).await;
    }
    None
}

/// Lets all other tasks have some turns.
pub(crate) async fn turns(count: usize) {
    for _ in 0..count {
        tokio::task::yield_now().await;
    }
}
