use super::{Column, Context, Sample};
use crate::bench::Result;
use crate::bench::messages::Command;
use crate::bench::process::Worker;
use crate::bench::protocol::{Node, Role};
use std::collections::BTreeMap;

/// How many peers come at once.
pub(super) const PEERS: usize = 1000;

/// Measures the time from the first dial to the last peering.
pub(super) fn run(column: Column, context: &Context) -> Result<Vec<Sample>> {
    let start = |role| Worker::start(&context.task(role));
    let (mut crowd, node) = match column {
        Column::Ours => (start(Role::Crowd(crowd(PEERS)))?, start(Role::Hub(context.listening()))?),
        Column::Floor => {
            let answering = start(Role::FloorCrowd { connections: 0 })?;
            (start(Role::FloorCrowd { connections: PEERS })?, answering)
        }
        _ => return Ok(Vec::new()),
    };
    crowd.tell(&Command::Dial(node.url()?))?;
    let window = crowd.window(30.0)?;
    let details = BTreeMap::from([("dialling CPU ms", window.cpu_seconds * 1000.0)]);
    let ends = [crowd.stop()?, node.stop()?];
    Ok(vec![Sample {
        value: window.seconds * 1000.0,
        cpu_per_million: None,
        peak_memory: ends.iter().map(|end| end.peak_memory).max(),
        lost: 0,
        details,
    }])
}

/// Endpoints that wait for being told to dial.
pub(super) fn crowd(endpoints: usize) -> Node {
    Node { endpoints, listen: None, dial: None, half_open: None }
}
