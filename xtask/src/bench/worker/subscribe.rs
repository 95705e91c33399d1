use super::node::Endpoints;
use super::{Counter, Meter, Running, give_up};
use crate::bench::Result;
use crate::bench::protocol::Subscribe;
use broker::{Endpoint, Subscriber, SubscriberOptions, SubscriberPolicy};
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
        let Subscribe { shape, reading, acknowledge, .. } = self.task;
        while let Some(message) = self.subscriber.recv().await {
            if !reading.read(shape, &message) {
                give_up("a message is not what was sent");
            }
            let count = self.counter.add(1);
            if count.is_multiple_of(1024) {
                self.dropped.fetch_max(self.subscriber.dropped(), Relaxed);
            }
            if acknowledge.is_some_and(|every| count.is_multiple_of(every)) {
                self.acknowledge(count).await;
            }
        }
    }

    async fn acknowledge(&self, count: u64) {
        if let Err(error) = self.endpoint.publish(ACKNOWLEDGE, &count).await {
            give_up(&error.to_string());
        }
    }
}
