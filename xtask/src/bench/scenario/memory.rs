use super::storm::{PEERS, crowd};
use super::{Column, Context, Sample};
use crate::bench::Result;
use crate::bench::messages::Command;
use crate::bench::process::Worker;
use crate::bench::protocol::{Publish, Role, Topics};
use crate::bench::shape::Shape;
use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::Duration;

/// After this time a link that had traffic is idle again.
const REST: Duration = Duration::from_millis(2500);

/// Measures what an endpoint needs more with a thousand idle peers than without any.
pub(super) fn run(traffic: bool, column: Column, context: &Context) -> Result<Vec<Sample>> {
    if column != Column::Ours {
        return Ok(Vec::new());
    }
    let task = Publish {
        node: context.listening(),
        shape: Shape::Conn,
        topics: Topics::One,
        peers: PEERS,
        in_flight: None,
        batches: false,
    };
    let mut node = Worker::start(&context.task(Role::Publish(task)))?;
    let mut peers = Worker::start(&context.task(Role::Crowd(crowd(PEERS))))?;
    let before = node.memory()?;
    peers.tell(&Command::Dial(node.url()?))?;
    peers.window(30.0)?;
    if traffic {
        node.tell(&Command::Start)?;
        node.measure(0.0, 0.5)?;
        node.tell(&Command::Stop)?;
    }
    sleep(REST);
    let after = node.memory()?;
    let ends = [peers.stop()?, node.stop()?];
    Ok(vec![Sample {
        value: after.saturating_sub(before) as f64 / 1024.0 / PEERS as f64,
        cpu_per_million: None,
        peak_memory: ends.iter().map(|end| end.peak_memory).max(),
        lost: ends.iter().map(|end| end.lost).sum(),
        details: BTreeMap::from([("without peers MiB", before as f64 / 1024.0 / 1024.0)]),
    }])
}
