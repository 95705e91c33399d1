//! The core of Broker in Rust: endpoint, peer registry and event model over a [`transport`] trait.
//! Nothing in here opens a socket; what is decided without I/O is decided in `broker-proto`.

mod config;
pub mod endpoint;
pub mod event;
pub mod transport;

pub use broker_proto::routing::LoopPolicy;
pub use broker_proto::{
    Address, Blame, DEFAULT_SCHEME, Direction, EndpointId, ErrorCode, Failure, HangUpGuess,
    InvalidAddress, InvalidEndpointId, Limits, OverflowPolicy, PeerError, PeerRule, PeerStatus,
    PrefixIndex, Protection, PublishError, Published, Reason, Rights, SubscribeError,
    SubscriberPolicy, UnknownPolicy, is_internal,
};
pub use broker_proto::{data, limits, memory, wire};
pub use config::{Config, Preset};
pub use endpoint::Endpoint;
