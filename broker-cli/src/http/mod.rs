//! What a node tells over HTTP, and how others ask for it.

mod address;
mod client;
mod options;
mod pages;
mod server;
mod status;

pub(crate) use address::{DEFAULT, HttpAddress};
pub(crate) use client::status;
pub(crate) use options::HttpOptions;
pub(crate) use server::Server;
pub(crate) use status::{ClientReport, PeerReport, Statistics, Status};

/// Where the metrics are, as in the C++ Broker.
const METRICS: &str = "/metrics";
/// Where the status is, as in the C++ Broker.
const STATUS: &str = "/v1/status/json";
/// Where it can be seen whether the node runs.
const HEALTH: &str = "/health";
