//! The protocol of Broker without I/O: the words it is told in, the bytes on the wire, and state
//! machines for peering, routing and queues. Bytes and time go in, decisions come out; there is no
//! socket, no task and no clock in here. `broker-core` drives it for an endpoint, `broker-sim` for
//! many endpoints on one virtual clock.
//!
//! Programs use the crate `broker`. What is public here may change with every version.

mod address;
mod error;
pub mod fact;
mod failure;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod id;
pub mod limits;
mod link;
pub mod memory;
mod overflow_policy;
pub mod overlay;
pub mod peering;
pub mod queue;
mod read_buffer;
mod reason;
pub mod rights;
pub mod routing;
pub mod session;
mod severity;
mod source_address;
mod sync;
mod transport_error;
pub mod wire;
mod write_batch;

pub use address::{Address, DEFAULT_SCHEME, InvalidAddress};
pub use broker_data as data;
pub use error::ErrorCode;
pub use failure::{Failure, HangUpGuess, PeerError};
pub use id::{EndpointId, InvalidEndpointId};
pub use limits::Limits;
pub use link::{Link, Protection};
pub use overflow_policy::{OverflowPolicy, SubscriberPolicy, UnknownPolicy};
pub use peering::{Direction, PeerStatus, SubscribeError};
pub use read_buffer::{FrameTooLarge, ReadBuffer};
pub use reason::{Blame, Reason};
pub use rights::{PeerRule, Rights};
pub use routing::{PrefixIndex, PublishError, Published};
pub use severity::Severity;
pub use source_address::SourceAddress;
pub use transport_error::TransportError;

pub use write_batch::{Chunk, WriteBatch};

/// Whether a topic is internal to an endpoint: below `<$>/local/`, never sent to peers.
pub use peering::is_internal;
