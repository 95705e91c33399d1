//! Who gets which message: filters, the index over all subscriptions, and the data path.

mod filter;
mod inbound;
mod index;
mod offences;
mod outbound;
mod route;
mod router;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use filter::LocalFilter;
pub use filter::is_internal;
pub(crate) use inbound::{Inbound, InboundLimits, Notice, Progress};
pub use index::PrefixIndex;
pub(crate) use outbound::{Origin, Outbound};
pub use outbound::{PublishError, Published};
pub(crate) use route::FixedRoute;
pub(crate) use router::Router;
pub(crate) use table::{Peer, PeerCounters, Sink, SinkKind};
