//! What is checked.

mod ending;
mod forwarding;
mod handshake;
mod recordings;
mod restart;
mod throughput;
mod updates;
mod values;

use super::cell::Cell;

pub(super) fn all() -> Vec<Cell> {
    [
        recordings::cells(),
        handshake::cells(),
        values::cells(),
        forwarding::cells(),
        updates::cells(),
        throughput::cells(),
        restart::cells(),
        ending::cells(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

const NODE: &str = "broker-node";
const PIPE: &str = "broker-pipe";
const THROUGHPUT: &str = "broker-throughput";
