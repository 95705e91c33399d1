use super::{Column, Context, Sample};
use crate::bench::Result;
use crate::bench::messages::{Command, Latency, Load};
use crate::bench::peers::Server;
use crate::bench::process::Worker;
use crate::bench::protocol::Role;
use std::collections::BTreeMap;

/// Pings a second where they keep to a schedule.
const RATE: f64 = 1000.0;

/// Round trips of small messages.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pings {
    /// One after the other, as fast as they come back: the way of the C++ Broker.
    OneByOne,
    /// On a fixed schedule, on a link that carries nothing else.
    Idle,
    /// On a fixed schedule, on a link that carries half of what it can.
    HalfLoad,
}

pub(super) fn all() -> [(&'static str, &'static str, Pings); 3] {
    [
        ("ping-pong", "round trip, one ping after the other", Pings::OneByOne),
        ("latency-idle", "round trip at 1000 pings/s on a fixed schedule", Pings::Idle),
        (
            "latency-half-load",
            "the same beside half of the load the link can carry",
            Pings::HalfLoad,
        ),
    ]
}

impl Pings {
    pub(super) fn run(self, column: Column, context: &Context) -> Result<Vec<Sample>> {
        let start = |role| Worker::start(&context.task(role));
        let pair = match column {
            Column::Ours => {
                let pong = start(Role::Pong(context.listening()))?;
                (start(Role::Ping(context.dialling(1, pong.url()?)))?, pong)
            }
            Column::Floor => {
                let pong = start(Role::FloorPong)?;
                (start(Role::FloorPing { at: pong.url()? })?, pong)
            }
            Column::Nats | Column::Zenoh => match (&context.peers, self) {
                (Some(peers), Self::OneByOne) => {
                    return self.measure(peers.pings(column, context.threads)?, context);
                }
                _ => return Ok(Vec::new()),
            },
            Column::Codec => return Ok(Vec::new()),
            Column::Reference => match (&context.reference, self) {
                (Some(reference), Self::OneByOne) => return reference.ping_pong(context),
                _ => return Ok(Vec::new()),
            },
        };
        self.measure(Pair { ping: pair.0, pong: pair.1, server: None }, context)
    }

    fn measure(self, pair: Pair, context: &Context) -> Result<Vec<Sample>> {
        let Pair { mut ping, mut pong, server: _server } = pair;
        let mut details = BTreeMap::new();
        let rate = match self {
            Self::OneByOne => None,
            Self::Idle => Some(RATE),
            Self::HalfLoad => {
                details.insert("load/s", make_load(&mut ping, &mut pong, context)?);
                Some(RATE)
            }
        };
        ping.ping(rate, context.warm_up)?;
        let latency = ping.ping(rate, context.seconds)?;
        describe(&latency, &mut details);
        let ends = [ping.stop()?, pong.stop()?];
        Ok(vec![Sample {
            value: latency.p50,
            cpu_per_million: None,
            peak_memory: ends.iter().map(|end| end.peak_memory).max(),
            lost: ends.iter().map(|end| end.lost).sum(),
            details,
        }])
    }
}

/// The two ends of a round trip.
pub(in crate::bench) struct Pair {
    pub(in crate::bench) ping: Worker,
    pub(in crate::bench) pong: Worker,
    /// What is between the two, if something has to be.
    pub(in crate::bench) server: Option<Server>,
}

/// Finds out what the link carries, and begins to send half of it.
fn make_load(ping: &mut Worker, pong: &mut Worker, context: &Context) -> Result<f64> {
    ping.tell(&Command::Load(Load::Unlimited))?;
    let window = pong.measure(context.warm_up, context.seconds / 2.0)?;
    let rate = window.count as f64 / window.seconds / 2.0;
    ping.tell(&Command::Load(Load::Rate(rate)))?;
    // What was queued without limit has to leave first.
    pong.measure(0.0, context.warm_up)?;
    Ok(rate)
}

pub(in crate::bench) fn describe(latency: &Latency, details: &mut BTreeMap<&'static str, f64>) {
    details.insert("p90", latency.p90);
    details.insert("p99", latency.p99);
    details.insert("p99.9", latency.p999);
    details.insert("max", latency.max);
}
