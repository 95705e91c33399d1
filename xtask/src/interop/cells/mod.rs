//! What is checked.

mod encryption;
mod ending;
mod forwarding;
mod handshake;
#[path = "../../../../broker-tls/tests/pki/mod.rs"]
#[allow(clippy::unwrap_used, reason = "what makes certificates for tests makes these as well")]
mod pki;
mod recordings;
mod restart;
mod throughput;
mod updates;
mod values;
mod zeek;

use super::cell::Cell;

pub(super) fn all() -> Vec<Cell> {
    [
        recordings::cells(),
        handshake::cells(),
        encryption::cells(),
        values::cells(),
        forwarding::cells(),
        updates::cells(),
        throughput::cells(),
        restart::cells(),
        ending::cells(),
        zeek::cells(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

const NODE: &str = "broker-node";
const PIPE: &str = "broker-pipe";
const ZEEK: &str = "zeek";
const THROUGHPUT: &str = "broker-throughput";
