//! Zeek clusters that use ZeroMQ as peers of an endpoint.
//!
//! `zeromq://HOST:PORT` is where the XPUB socket of a cluster's proxy listens; its XSUB is at the
//! next port unless `publish=PORT` says otherwise. Besides the parameters that all kinds of bridges
//! have there are:
//!
//! | parameter | meaning |
//! |---|---|
//! | `publish=PORT` | the port of the proxy's XSUB |
//! | `name=NODE` | be a member of the cluster with this name, which has to be in the layout of all nodes; without it nobody notices |
//! | `member=NODE` | another member; may be repeated. When all of them are there, the manager is told that this one is fully connected |
//! | `logs=PORT` | take log batches here, as a logger does; `logs=HOST:PORT` at another address than the one by which the proxy is reached |
//! | `logger=HOST:PORT` | a logger that log writes of the overlay go to; may be repeated |
//! | `filter=NAME` | the filter whose name these batches carry. Default `default` |
//!
//! The cluster is never slowed down: everything it sends is read at once, and what the overlay does
//! not take in time is dropped here and counted. Only events whose shape has been checked are sent
//! there, because Zeek does not check it.

mod address;
mod cluster;
mod interest;
mod line;
mod logs;
mod members;
mod options;
mod parts;
mod side;
mod topics;

pub use options::{InvalidKeys, ZeroMqOptions};

use crate::transport::OfKind;
use crate::{BridgeKind, Bridges};
use address::Cluster;
use broker_core::Limits;
use broker_core::endpoint::EndpointBuilder;
use broker_transport_tcp::{TcpOptions, TcpTransport};
use side::ClusterConnector;

/// What addresses of clusters look like.
pub static KIND: BridgeKind = BridgeKind {
    name: "zeromq",
    reached: "the proxy of a ZeroMQ cluster, which has shown the subscriptions to this process",
    schemes: &["zeromq"],
    path: None,
    parameters: address::PARAMETERS,
    largest: 64 * 1024 * 1024,
    // What nodes tell each other about themselves, and what a node must not get from elsewhere.
    forbidden: &[
        "Broker::*",
        "Cluster::Backend::*",
        "Cluster::Experimental::*",
        "Cluster::forward_table_change_infos",
        "Cluster::hello",
        "Cluster::node_down",
        "Cluster::node_up",
        "Cluster::websocket_client_*",
    ],
    check: Cluster::check,
};

/// Lets an endpoint peer with ZeroMQ clusters.
///
/// # Errors
///
/// The keys in the options cannot be used.
pub fn install(
    bridges: &Bridges,
    limits: &Limits,
    options: &ZeroMqOptions,
    builder: EndpointBuilder,
) -> Result<EndpointBuilder, InvalidKeys> {
    let keys = options.keys()?;
    let tcp = TcpTransport::new(TcpOptions::from_limits(limits));
    let time = limits.dial_time;
    let transport = OfKind::new(&KIND, bridges, move |url, address| {
        let cluster = Cluster::new(url, address)?;
        Ok(ClusterConnector { cluster, keys: keys.clone(), tcp: tcp.clone(), time })
    });
    Ok(transport.install(builder))
}
