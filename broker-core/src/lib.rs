//! The core of Broker in Rust: endpoint, peer registry, event model and the protocol, over a
//! [`transport`] trait. Nothing in here opens a socket.

pub mod data;
mod id;
mod url;

pub use id::{EndpointId, InvalidEndpointId};
pub use url::{DEFAULT_SCHEME, InvalidUrl, Url};
