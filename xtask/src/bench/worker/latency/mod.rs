//! Round trips between two endpoints, with or without load beside them.

mod record;
mod schedule;

pub(in crate::bench) use record::Recorder;
pub(in crate::bench) use schedule::Schedule;

use super::node::Endpoints;
use super::{Counter, Meter, Running, give_up};
use crate::bench::Result;
use crate::bench::messages::{Latency, Load};
use crate::bench::protocol::Node;
use crate::bench::shape::{Generator, Reading, Shape, TOPIC};
use broker::{Endpoint, Publisher, Subscriber, SubscriberOptions, SubscriberPolicy};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};

const PING: &str = "/benchmark/ping";
const PONG: &str = "/benchmark/pong";

/// The load beside the pings.
const LOAD: Shape = Shape::Small;

/// How long a pong may take before the benchmark is given up.
const PATIENCE: Duration = Duration::from_secs(10);

/// The steps in which load of a certain rate is sent.
const STEP: Duration = Duration::from_millis(1);

struct Pong {
    endpoints: Endpoints,
    meter: Meter,
}

pub(super) fn pong(node: &Node, handle: &Handle) -> Result<Box<dyn Running>> {
    let endpoints = Endpoints::new(node, handle)?;
    let mut meter = Meter::default();
    let _context = handle.enter();
    for endpoint in &endpoints.all {
        handle.spawn(answer(endpoint.subscribe([PING]), endpoint.publisher(PONG)));
        handle.spawn(receive(waiting(endpoint), meter.counter()));
    }
    Ok(Box::new(Pong { endpoints, meter }))
}

fn waiting(endpoint: &Endpoint) -> Subscriber {
    endpoint.subscribe_with([TOPIC], SubscriberOptions::with_policy(SubscriberPolicy::Wait))
}

async fn answer(mut pings: Subscriber, pongs: Publisher) {
    while let Some(ping) = pings.recv().await {
        if let Err(error) = pongs.publish(&ping.view()).await {
            give_up(&error.to_string());
        }
    }
}

async fn receive(mut load: Subscriber, mut counter: Counter) {
    while let Some(message) = load.recv().await {
        if !Reading::View.read(LOAD, message.as_view()) {
            give_up("a message is not what was sent");
        }
        counter.add(1);
    }
}

impl Running for Pong {
    fn url(&self) -> Option<String> {
        self.endpoints.url.clone()
    }

    fn count(&self) -> u64 {
        self.meter.count()
    }
}

struct Ping {
    endpoints: Endpoints,
    handle: Handle,
    pings: Publisher,
    pongs: Arc<Mutex<Subscriber>>,
    load: watch::Sender<Load>,
}

pub(super) fn ping(node: &Node, handle: Handle) -> Result<Box<dyn Running>> {
    let endpoints = Endpoints::new(node, &handle)?;
    let endpoint = endpoints.all.first().ok_or("no endpoint")?.clone();
    let pongs = {
        let _context = handle.enter();
        Arc::new(Mutex::new(endpoint.subscribe([PONG])))
    };
    endpoints.dial_first(node, &handle)?;
    let (load, wanted) = watch::channel(Load::Off);
    handle.spawn(make_load(endpoint.publisher(TOPIC), wanted));
    Ok(Box::new(Ping { endpoints, handle, pings: endpoint.publisher(PING), pongs, load }))
}

impl Running for Ping {
    fn lost(&self) -> u64 {
        self.endpoints.lost()
    }

    fn load(&mut self, load: Load) -> Result<()> {
        Ok(self.load.send(load)?)
    }

    fn ping(&mut self, rate: Option<f64>, time: Duration) -> Result<Latency> {
        let pongs = Arc::clone(&self.pongs);
        let Some(rate) = rate else {
            let task = one_after_the_other(self.pings.clone(), pongs, time);
            return Ok(self.handle.block_on(self.handle.spawn(task))?.latency());
        };
        let schedule = Schedule::new(rate, time);
        let task = self.handle.spawn(record(pongs, schedule.start(), schedule.count()));
        schedule.run(|due| {
            if let Err(error) = self.handle.block_on(self.pings.publish(&due)) {
                give_up(&error.to_string());
            }
        });
        Ok(self.handle.block_on(task)?.latency())
    }
}

async fn next(pongs: &mut Subscriber) -> u64 {
    match timeout(PATIENCE, pongs.recv()).await {
        Ok(Some(pong)) => pong.view().as_count().unwrap_or_default(),
        _ => give_up("a pong did not come"),
    }
}

/// The way of the C++ Broker: the next ping leaves when the pong of the last one is there.
async fn one_after_the_other(
    pings: Publisher,
    pongs: Arc<Mutex<Subscriber>>,
    time: Duration,
) -> Recorder {
    let mut pongs = pongs.lock().await;
    let mut recorder = Recorder::default();
    let began = Instant::now();
    let mut number = 0_u64;
    while began.elapsed() < time {
        let sent = Instant::now();
        if let Err(error) = pings.publish(&number).await {
            give_up(&error.to_string());
        }
        if next(&mut pongs).await != number {
            give_up("a pong to another ping");
        }
        recorder.record(sent.elapsed());
        number += 1;
    }
    recorder
}

/// Pongs say when their pings were due, so that a ping that left late counts as slow.
async fn record(pongs: Arc<Mutex<Subscriber>>, start: Instant, count: u64) -> Recorder {
    let mut pongs = pongs.lock().await;
    let mut recorder = Recorder::default();
    for _ in 0..count {
        let due = Duration::from_nanos(next(&mut pongs).await);
        recorder.record(start.elapsed().saturating_sub(due));
    }
    recorder
}

async fn make_load(publisher: Publisher, mut wanted: watch::Receiver<Load>) {
    let mut generator = Generator::new(LOAD);
    let mut steps = interval(STEP);
    steps.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut owed = 0.0;
    loop {
        let load = *wanted.borrow_and_update();
        match load {
            Load::Off => {
                if wanted.changed().await.is_err() {
                    return;
                }
                steps.reset();
                owed = 0.0;
                continue;
            }
            Load::Unlimited => owed = 1000.0,
            Load::Rate(rate) => {
                steps.tick().await;
                owed += rate * STEP.as_secs_f64();
            }
        }
        while owed >= 1.0 {
            owed -= 1.0;
            if let Err(error) = publisher.publish(generator.next()).await {
                give_up(&error.to_string());
            }
        }
    }
}
