use super::node::Endpoints;
use super::subscribe::ACKNOWLEDGE;
use super::{Counter, Meter, Running, give_up};
use crate::bench::Result;
use crate::bench::protocol::Publish;
use crate::bench::shape::Generator;
use broker::{Endpoint, Publisher, Subscriber};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use tokio::runtime::Handle;

/// Publishes from each of its endpoints as fast as the queues allow.
struct Publishers {
    task: Publish,
    handle: Handle,
    endpoints: Endpoints,
    meter: Meter,
    stopped: Arc<AtomicBool>,
}

pub(super) fn begin(task: Publish, handle: Handle) -> Result<Box<dyn Running>> {
    let endpoints = Endpoints::new(&task.node, &handle)?;
    if task.in_flight.is_some() {
        // Peers have to know of it before the first acknowledgement comes.
        endpoints.all.iter().try_for_each(|endpoint| endpoint.forward([ACKNOWLEDGE]))?;
    }
    endpoints.dial_first(&task.node, &handle)?;
    let (meter, stopped) = (Meter::default(), Arc::default());
    Ok(Box::new(Publishers { task, handle, endpoints, meter, stopped }))
}

impl Running for Publishers {
    fn url(&self) -> Option<String> {
        self.endpoints.url.clone()
    }

    fn count(&self) -> u64 {
        self.meter.count()
    }

    fn lost(&self) -> u64 {
        self.endpoints.lost()
    }

    fn start(&mut self) -> Result<()> {
        self.endpoints.await_peers(self.task.peers)?;
        let _context = self.handle.enter();
        for endpoint in &self.endpoints.all {
            let window = self.task.in_flight.map(|limit| Window {
                limit,
                acknowledged: 0,
                subscriber: endpoint.subscribe([ACKNOWLEDGE]),
            });
            let source = Source {
                endpoint: endpoint.clone(),
                task: self.task.clone(),
                window,
                counter: self.meter.counter(),
                stopped: Arc::clone(&self.stopped),
            };
            self.handle.spawn(source.run());
        }
        Ok(())
    }

    fn stop(&mut self) -> Result<()> {
        self.stopped.store(true, Relaxed);
        Ok(())
    }
}

/// How far the publisher may be ahead of the subscriber.
struct Window {
    limit: u64,
    acknowledged: u64,
    subscriber: Subscriber,
}

impl Window {
    async fn wait(&mut self, published: u64) {
        while published >= self.acknowledged + self.limit {
            match self.subscriber.recv().await {
                Some(message) => {
                    self.acknowledged = message.view().as_count().unwrap_or(self.acknowledged);
                }
                None => give_up("the endpoint stopped"),
            }
        }
    }
}

/// What publishes from one endpoint.
struct Source {
    endpoint: Endpoint,
    task: Publish,
    window: Option<Window>,
    counter: Counter,
    stopped: Arc<AtomicBool>,
}

impl Source {
    async fn run(mut self) {
        let topics = self.task.topics.all();
        let mut publishers: Vec<_> =
            topics.iter().map(|topic| self.endpoint.publisher(topic)).collect();
        if let (true, [publisher]) = (self.task.batches, &mut *publishers) {
            return self.run_in_batches(publisher).await;
        }
        let mut generator = Generator::new(self.task.shape);
        let mut published = 0;
        for publisher in publishers.iter().cycle() {
            if let Some(window) = &mut self.window {
                window.wait(published).await;
            }
            if self.stopped.load(Relaxed) {
                return;
            }
            match publisher.publish(generator.next()).await {
                Ok(to) if to.peers > 0 => published = self.counter.add(1),
                Ok(_) => give_up("nobody wants what is published"),
                Err(error) => give_up(&error.to_string()),
            }
        }
    }

    /// One message after the other is fed, and what was fed goes when it has become much.
    async fn run_in_batches(mut self, publisher: &mut Publisher) {
        let mut generator = Generator::new(self.task.shape);
        let mut published = 0;
        loop {
            if let Some(window) = &mut self.window
                && published >= window.acknowledged + window.limit
            {
                if let Err(error) = publisher.flush().await {
                    give_up(&error.to_string());
                }
                window.wait(published).await;
            }
            if self.stopped.load(Relaxed) {
                return;
            }
            match publisher.feed(generator.next()).await {
                Ok(()) => published = self.counter.add(1),
                Err(error) => give_up(&error.to_string()),
            }
        }
    }
}
