//! How often messages allocate on their way, in the steady state: batches may, messages may not.
//!
//! Everything runs on one thread and in a fixed order, so the counts are the same every time.

#![allow(clippy::unwrap_used)]

use allocation_counter::measure;
use broker_core::endpoint::{Publisher, Retry, Subscriber, SubscriberOptions};
use broker_core::transport::MemTransport;
use broker_core::wire::handshake::HandshakeMessage;
use broker_core::{Address, Config, Endpoint, Limits, OverflowPolicy, SubscriberPolicy};
use tokio::runtime::{Builder, Runtime};

const TOPIC: &str = "/allocations";

/// Messages in one burst: fewer than a queue holds, more than fit into one write.
const BURST: u64 = 4000;

/// Allocations that a burst may cause on each link: for its writes, its reads and the segments in
/// its queues, none of which depend on the number of messages in them.
const PER_BURST: u64 = BURST / 50;

/// A publisher and a subscriber, with or without a hub between them.
struct Overlay {
    runtime: Runtime,
    publisher: Publisher,
    subscriber: Subscriber,
    /// Kept alive.
    _endpoints: Vec<Endpoint>,
}

fn endpoint(net: &MemTransport) -> Endpoint {
    let config = Config { overflow_policy: OverflowPolicy::Wait, ..Config::default() };
    Endpoint::builder().config(config).transport(net.clone()).build().unwrap()
}

impl Overlay {
    fn new(hubs: usize) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let (endpoints, subscriber) = runtime.block_on(async {
            let net = MemTransport::new();
            let end = endpoint(&net);
            let options = SubscriberOptions::with_policy(SubscriberPolicy::Wait);
            let subscriber = end.subscribe_with([TOPIC], options);
            let mut line = vec![end];
            for number in 0..=hubs {
                let next = endpoint(&net);
                let last = line.last().unwrap();
                let at = Address::new("mem", &format!("hop-{number}"), 1);
                let url = last.listen(&at).await.unwrap();
                next.forward([TOPIC]).unwrap();
                next.peer(&url, Retry::never()).await.unwrap();
                line.push(next);
            }
            (line, subscriber)
        });
        let publisher = endpoints.last().unwrap().publisher(TOPIC);
        let mut overlay = Self { runtime, publisher, subscriber, _endpoints: endpoints };
        // Everything that is allocated once.
        for _ in 0..5 {
            overlay.publish(BURST);
            overlay.receive(BURST);
        }
        overlay
    }

    /// Nothing else gets a turn while there is room in the queue.
    fn publish(&self, count: u64) {
        self.runtime.block_on(async {
            for number in 0..count {
                assert_eq!(self.publisher.publish(&number).await.unwrap().peers, 1);
            }
        });
    }

    fn receive(&mut self, count: u64) {
        self.runtime.block_on(async {
            for number in 0..count {
                let message = self.subscriber.recv().await.unwrap();
                assert_eq!(message.view().as_count(), Some(number));
            }
        });
    }

    /// Allocations for bursts that are published and received.
    fn bursts(&mut self, count: u64) -> u64 {
        let allocated = measure(|| {
            for _ in 0..count {
                self.publish(BURST);
                self.receive(BURST);
            }
        });
        allocated.count_total
    }

    /// Allocations for messages of which each one is received before the next one is published.
    fn one_by_one(&mut self, count: u64) -> u64 {
        let allocated = measure(|| {
            self.runtime.block_on(async {
                for number in 0..count {
                    self.publisher.publish(&number).await.unwrap();
                    assert!(self.subscriber.recv().await.is_some());
                }
            });
        });
        allocated.count_total
    }
}

#[test]
fn publishing_does_not_allocate_per_message() {
    let mut overlay = Overlay::new(0);
    let allocated = measure(|| overlay.publish(BURST)).count_total;
    overlay.receive(BURST);
    println!("publishing {BURST} messages: {allocated} allocations");
    assert!(allocated <= PER_BURST, "{allocated}");
}

#[test]
fn sending_and_receiving_does_not_allocate_per_message() {
    let allocated = Overlay::new(0).bursts(10) / 10;
    println!("{BURST} messages from endpoint to endpoint: {allocated} allocations");
    assert!(allocated <= PER_BURST, "{allocated}");
}

#[test]
fn forwarding_does_not_allocate_per_message() {
    let direct = Overlay::new(0).bursts(10) / 10;
    let forwarded = Overlay::new(1).bursts(10) / 10;
    let hub = forwarded.saturating_sub(direct);
    println!("a hub that forwards {BURST} messages: {hub} allocations");
    assert!(hub <= PER_BURST, "{hub}");
}

#[test]
fn a_lone_message_costs_what_a_batch_costs() {
    // One boxed future for each call across the transport boundary, and the buffers of an idle
    // link, which holds none.
    let direct = Overlay::new(0).one_by_one(1000) as f64 / 1000.0;
    let forwarded = Overlay::new(1).one_by_one(1000) as f64 / 1000.0;
    println!("a lone message: {direct} allocations, {} more for a hub", forwarded - direct);
    assert!(direct <= 6.0 && forwarded - direct <= 4.0, "{direct} {forwarded}");
}

#[test]
fn a_filter_above_the_limits_is_refused_before_anything_is_made_of_it() {
    let million = [0xc0, 0x84, 0x3d];
    let payload = [&[10][..], &million, &vec![0; 1_000_000]].concat();
    let limits = Limits::default().filter();
    let cost = measure(|| {
        let refused = HandshakeMessage::decode(&payload, limits).unwrap_err();
        assert!(refused.filter.is_some());
    });
    assert!(cost.bytes_total < 1000, "{cost:?}");
}

#[test]
fn a_subscription_costs_what_it_changes_whatever_others_want() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let _guard = runtime.enter();
    let endpoint = endpoint(&MemTransport::new());
    let subscribe = || {
        let mut subscriber = endpoint.subscribe(["/one/more"]);
        subscriber.add(["/another"]).unwrap();
    };
    let alone = measure(subscribe);
    let many: Vec<_> = (0..10_000).map(|number| format!("/many/{number:04}")).collect();
    let _many = endpoint.subscribe(many);
    assert_eq!(endpoint.filter().len(), 10_000);
    let (alone, among_many) = (alone.bytes_total, measure(subscribe).bytes_total);
    assert!(among_many < alone + 10_000, "{among_many} bytes instead of {alone}");
}

#[test]
fn a_message_that_cannot_be_published_costs_the_next_one_nothing() {
    let overlay = Overlay::new(0);
    let endpoint = overlay._endpoints.last().unwrap();
    let topic = "x".repeat(0x10000);
    let attempts = |count| {
        overlay.runtime.block_on(async {
            for _ in 0..count {
                endpoint.publish(&topic, &1_u64).await.unwrap_err();
                endpoint.publish("/nobody", &1_u64).await.unwrap();
            }
        });
    };
    attempts(1);
    let allocated = measure(|| attempts(1000)).count_total;
    assert!(allocated < 100, "{allocated}");
}
