use super::node::Endpoints;
use super::{Meter, Running};
use crate::bench::messages::Window;
use crate::bench::protocol::Node;
use crate::bench::shape::TOPIC;
use crate::bench::{Result, usage};
use broker::Subscriber;
use std::time::Instant;
use tokio::runtime::Handle;

/// Many endpoints that peer at once, and then mostly wait.
struct Crowd {
    endpoints: Endpoints,
    handle: Handle,
    meter: Meter,
}

pub(super) fn begin(node: &Node, handle: Handle) -> Result<Box<dyn Running>> {
    let endpoints = Endpoints::new(node, &handle)?;
    let mut meter = Meter::default();
    let _context = handle.enter();
    for endpoint in &endpoints.all {
        let mut subscriber: Subscriber = endpoint.subscribe([TOPIC]);
        let mut counter = meter.counter();
        handle.spawn(async move {
            while subscriber.recv().await.is_some() {
                counter.add(1);
            }
        });
    }
    Ok(Box::new(Crowd { endpoints, handle: handle.clone(), meter }))
}

impl Running for Crowd {
    fn count(&self) -> u64 {
        self.meter.count()
    }

    fn dial(&mut self, url: &str) -> Result<Window> {
        let (began, cpu) = (Instant::now(), usage::cpu_time());
        self.endpoints.dial(url, &self.handle)?;
        Ok(Window {
            seconds: began.elapsed().as_secs_f64(),
            count: self.endpoints.all.len() as u64,
            cpu_seconds: (usage::cpu_time() - cpu).as_secs_f64(),
        })
    }
}
