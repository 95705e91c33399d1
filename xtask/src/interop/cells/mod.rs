//! What is checked.

mod clients;
mod cpp_cli;
mod cpp_peering;
mod cpp_traffic;
mod encryption;
mod ending;
mod forwarding;
mod handshake;
mod minimal;
mod ourselves;
#[path = "../../../../broker-tls/tests/pki/mod.rs"]
#[allow(clippy::unwrap_used, reason = "what makes certificates for tests makes these as well")]
mod pki;
mod recordings;
mod restart;
mod throughput;
mod updates;
mod values;
mod zeek;
mod zeek_values;
mod zeromq;

use super::cell::{Cell, Mode};
use super::ours::Id;

pub(super) fn all() -> Vec<Cell> {
    [
        recordings::cells(),
        ourselves::cells(),
        minimal::cells(),
        clients::cells(),
        handshake::cells(),
        encryption::cells(),
        values::cells(),
        forwarding::cells(),
        updates::cells(),
        throughput::cells(),
        restart::cells(),
        ending::cells(),
        cpp_cli::cells(),
        cpp_peering::cells(),
        cpp_traffic::cells(),
        zeek::cells(),
        zeromq::cells(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The library itself, driven through its Python module.
const CPP: &str = "C++ Broker";
const NODE: &str = "broker-node";
const PIPE: &str = "broker-pipe";
const ZEEK: &str = "zeek";
const THROUGHPUT: &str = "broker-throughput";

/// The modes that the C++ Broker has without any configuration of its own.
const ENCRYPTED_OR_NOT: &[Mode] = &[Mode::Plain, Mode::Anonymous];

/// Which side leads the handshake: the one with the lower id.
fn order(id: Id) -> &'static str {
    match id {
        Id::Lowest => "our id lower",
        Id::Highest => "our id higher",
    }
}
