//! NATS servers as peers of an endpoint, with JetStream or without.
//!
//! Topics are subjects, see `subjects.rs`, and messages have the headers of `parcel.rs`. Between
//! the bridge and a connection stands a spool: what the overlay sends waits there, within its
//! bound, until a server has it. Servers come and go, and the overlay does not notice.
//!
//! Without a stream a message is sent once, as soon as there is a connection, and what was on its
//! way when one is lost may be lost with it. With a stream each message has a number, a server
//! acknowledges that it has stored it, and what is not acknowledged is sent again from the first
//! one on, under the same number, which the stream takes only once.

mod consumer;
mod journal;
mod link;
mod options;
mod parcel;
mod session;
mod side;
mod spool;
mod subjects;

use crate::transport::OfKind;
use crate::{BridgeAddress, BridgeKind, Bridges};
use broker_core::Address;
use broker_core::endpoint::EndpointBuilder;
use options::NatsOptions;
use side::NatsConnector;

/// The scheme for connections that are encrypted.
const ENCRYPTED: &str = "nats+tls";

/// What addresses of NATS look like, besides the parameters that all kinds share:
///
/// | parameter | meaning |
/// |---|---|
/// | `subjects=PREFIX` | what stands in front of each subject, in the form `site.a` |
/// | `format=binary` or `json` | the form of the payloads; the default is binary |
/// | `stream=NAME` | send to this stream of JetStream, and make it if it is missing |
/// | `durable=NAME` | receive from the stream through this consumer, which resumes |
/// | `replicas=N` | how many servers keep a stream that is made; the default is 1 |
/// | `spool=BYTES` | what may wait for a server; the default is 64 MiB |
/// | `spool-dir=DIRECTORY` | keep what waits in files, which outlive this process |
/// | `server=HOST:PORT` | another server of the cluster; may be repeated |
/// | `creds=FILE`, `nkey=FILE`, `access_token=TOKEN` | who this is |
/// | `user=NAME` with `password-file=FILE` | the same |
/// | `ca=FILE`, `cert=FILE`, `key=FILE` | certificates for `nats+tls` |
pub static KIND: BridgeKind = BridgeKind {
    name: "nats",
    reached: "a NATS server, which lets this side in",
    schemes: &["nats", ENCRYPTED],
    path: None,
    parameters: &[
        "subjects",
        "format",
        "stream",
        "durable",
        "replicas",
        "spool",
        "spool-dir",
        "server",
        "creds",
        "nkey",
        "access_token",
        "user",
        "password-file",
        "ca",
        "cert",
        "key",
    ],
    // The server says how much it takes.
    largest: 0,
    forbidden: &[],
    check: |address| NatsOptions::of(address).map(drop),
};

/// Adds bridges to NATS to an endpoint, among those of other kinds that it has.
#[must_use]
pub fn install(bridges: &Bridges, builder: EndpointBuilder) -> EndpointBuilder {
    let overlay = bridges.overlay();
    let connector = move |url: &Address, address: &BridgeAddress| {
        Ok(NatsConnector::new(NatsOptions::new(url, address)?, overlay.clone()))
    };
    OfKind::new(&KIND, bridges, connector).install(builder)
}
