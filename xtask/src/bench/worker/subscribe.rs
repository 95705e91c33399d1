use super::node::Endpoints;
use super::{Counter, Meter, Running, give_up};
use crate::bench::Result;
use crate::bench::protocol::Subscribe;
use crate::bench::shape::{Reading, Shape};
use broker::{Endpoint, MessageView, Subscriber, SubscriberOptions, SubscriberPolicy};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tokio::runtime::Handle;

/// The topic on which a subscriber says how many messages it has received.
pub(super) const ACKNOWLEDGE: &str = "/benchmark/acknowledge";

/// Receives on each of its endpoints, reads and counts.
struct Subscribers {
    endpoints: Endpoints,
    meter: Meter,
    /// The most that any of the subscribers has lost.
    dropped: Arc<AtomicU64>,
}

pub(super) fn begin(task: Subscribe, handle: &Handle) -> Result<Box<dyn Running>> {
    let endpoints = Endpoints::new(&task.node, handle)?;
    let mut meter = Meter::default();
    let dropped = Arc::new(AtomicU64::new(0));
    let _context = handle.enter();
    for (number, endpoint) in endpoints.all.iter().enumerate() {
        let options = SubscriberOptions::with_policy(SubscriberPolicy::Wait);
        let subscriber = endpoint.subscribe_with(task.topics.prefixes(number), options);
        let reader = Reader {
            endpoint: endpoint.clone(),
            subscriber,
            task: task.clone(),
            counter: meter.counter(),
            dropped: Arc::clone(&dropped),
        };
        handle.spawn(reader.run());
    }
    endpoints.dial_first(&task.node, handle)?;
    Ok(Box::new(Subscribers { endpoints, meter, dropped }))
}

impl Running for Subscribers {
    fn url(&self) -> Option<String> {
        self.endpoints.url.clone()
    }

    fn count(&self) -> u64 {
        self.meter.count()
    }

    fn lost(&self) -> u64 {
        self.endpoints.lost() + self.dropped.load(Relaxed)
    }
}

struct Reader {
    endpoint: Endpoint,
    subscriber: Subscriber,
    task: Subscribe,
    counter: Counter,
    dropped: Arc<AtomicU64>,
}

impl Reader {
    async fn run(mut self) {
        if self.task.batches {
            return self.run_in_batches().await;
        }
        while let Some(message) = self.subscriber.recv().await {
            read(self.task.reading, self.task.shape, message.as_view());
            self.count(1).await;
        }
    }

    async fn run_in_batches(mut self) {
        let Subscribe { shape, reading, .. } = self.task;
        while let Some(messages) = self.subscriber.recv_batch().await {
            let mut count = 0;
            for message in messages {
                read(reading, shape, message);
                count += 1;
            }
            self.count(count).await;
        }
    }

    async fn count(&mut self, count: u64) {
        let before = self.counter.add(0);
        let now = self.counter.add(count);
        let passed = |every: u64| before / every != now / every;
        if passed(1024) {
            self.dropped.fetch_max(self.subscriber.dropped(), Relaxed);
        }
        if self.task.acknowledge.is_some_and(passed) {
            self.acknowledge(now).await;
        }
    }

    async fn acknowledge(&self, count: u64) {
        if let Err(error) = self.endpoint.publish(ACKNOWLEDGE, &count).await {
            give_up(&error.to_string());
        }
    }
}

#[inline]
fn read(reading: Reading, shape: Shape, message: MessageView<'_>) {
    if !reading.read(shape, message) {
        give_up("a message is not what was sent");
    }
}
