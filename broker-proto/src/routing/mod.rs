//! Who gets which message: filters, the index over all subscriptions, and the data path.

mod inbound;
mod index;
mod loops;
mod offences;
mod outbound;
mod reach;
mod route;
mod router;
mod table;
mod tally;
#[cfg(test)]
mod tests;

use crate::peering::is_internal;
pub use inbound::{Inbound, InboundLimits, Notice, Progress, Region};
pub use index::PrefixIndex;
pub use loops::LoopPolicy;
pub use outbound::{Frames, Origin, Targets};
pub use outbound::{PublishError, Published};
pub use reach::Scope;
pub use route::FixedTopic;
pub use router::{FilterChange, Router};
pub use table::{Peer, PeerCounters, Sink, SinkKind};
pub use tally::Tally;
