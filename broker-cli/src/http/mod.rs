//! What a node tells over HTTP, and how others ask for it.

mod address;
mod client;
mod options;
mod overlay;
mod pages;
mod process;
mod server;
mod status;
mod window;

pub(crate) use address::{DEFAULT, HttpAddress};
#[cfg(feature = "top")]
pub(crate) use client::{TopicCount, WindowReport, window};
pub(crate) use client::{overlay, status};
pub(crate) use options::HttpOptions;
pub(crate) use overlay::Overlay;
pub(crate) use server::Server;
pub(crate) use status::{
    BridgeList, BridgeReport, Called, ClientReport, PeerReport, Statistics, Status,
};
pub(crate) use window::Window;

/// Where the metrics are, as in the C++ Broker.
const METRICS: &str = "/metrics";
/// Where the status is, as in the C++ Broker.
const STATUS: &str = "/v1/status/json";
/// Where the status of all nodes is that have announced themselves.
const OVERLAY: &str = "/v1/overlay/json";
/// Where it is seen what passes by and what has happened.
const WINDOW: &str = "/v1/window/json";
/// Where it can be seen whether all peers are there that should be.
const READY: &str = "/ready";
/// Where it can be seen whether the node runs.
const HEALTH: &str = "/health";
