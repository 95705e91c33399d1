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
pub(crate) use client::{overlay, status, status_with_topics};
pub(crate) use options::HttpOptions;
pub(crate) use overlay::Overlay;
pub(crate) use server::Server;
pub(crate) use status::{
    BridgeList, BridgeReport, Called, Certificates, ClientReport, PeerReport, PrefixReport,
    Statistics, Status,
};
pub(crate) use window::{Count, Window};

/// Where the metrics are, as in the C++ Broker.
const METRICS: &str = "/metrics";
/// Where the status is, as in the C++ Broker.
const STATUS: &str = "/v1/status/json";
/// The question at [`STATUS`] that has the node look at messages, for the load by topics.
const TOPICS: &str = "topics";
/// Where the status of all nodes is that have announced themselves.
const OVERLAY: &str = "/v1/overlay/json";
/// Where it is seen what passes by and what has happened.
const WINDOW: &str = "/v1/window/json";
/// Where it can be seen whether all peers are there that should be.
const READY: &str = "/ready";
/// Where it can be seen whether the node runs.
const HEALTH: &str = "/health";
