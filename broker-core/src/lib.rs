//! The core of Broker in Rust: endpoint, peer registry, event model and the protocol, over a
//! [`transport`] trait. Nothing in here opens a socket.

mod config;
pub use broker_data as data;
pub mod endpoint;
mod error;
pub mod event;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod id;
pub mod limits;
mod peering;
mod queue;
mod reason;
mod routing;
mod session;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
mod sync;
pub mod transport;
mod url;
pub mod wire;

pub use config::{Config, Preset};
pub use endpoint::Endpoint;
pub use error::ErrorCode;
pub use id::{EndpointId, InvalidEndpointId};
pub use limits::Limits;
pub use peering::{Direction, Failure, HangUpGuess, PeerError, PeerStatus};
pub use queue::{OverflowPolicy, SubscriberPolicy, UnknownPolicy};
pub use reason::{Blame, Reason};
pub use routing::{PrefixIndex, PublishError, Published, is_internal};
pub use url::{DEFAULT_SCHEME, InvalidUrl, Url};
