//! Broker in Rust: peer-to-peer publish/subscribe that speaks the protocol of Zeek's Broker.
//!
//! This crate is what programs depend on: the endpoint, the data model and the event model of
//! [`broker_core`], and the transports that the features pick.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use broker::{Endpoint, Retry, Url};
//!
//! let sensor = broker::builder().build()?;
//! let collector = broker::builder().build()?;
//! let mut alerts = collector.subscribe(["/alerts/"]);
//!
//! let url = collector.listen(&"tcp://127.0.0.1:0".parse::<Url>()?).await?;
//! sensor.peer(&url, Retry::never()).await?;
//! sensor.publish("/alerts/scan", "10.0.0.7").await?;
//!
//! let alert = alerts.recv().await.ok_or("shut down")?;
//! assert_eq!(alert.view().as_str(), Some("10.0.0.7"));
//! # Ok(())
//! # }
//! ```

pub use broker_core::*;

pub use broker_core::endpoint::{
    EndpointBuilder, EventStream, Hub, ListenerInfo, Message, PeerHandle, PeerInfo, PeeringStats,
    PeeringStatsTable, Publisher, Retry, Subscriber, SubscriberOptions,
};
pub use broker_core::event::Event;

mod transports;

#[cfg(feature = "bridge")]
#[doc(no_inline)]
pub use broker_bridge as bridge;
#[cfg(any(feature = "tls", feature = "quic"))]
pub use broker_tls as tls;
#[cfg(feature = "quic")]
pub use broker_transport_quic as quic;
#[cfg(feature = "tcp")]
pub use broker_transport_tcp as tcp;
#[cfg(feature = "ws")]
pub use broker_transport_ws as ws;
#[cfg(any(feature = "tls", feature = "quic"))]
pub use transports::builder_with_tls;
pub use transports::{TransportOptions, TransportSetupError, builder_with};

/// Describes an endpoint that has every transport this crate was built with, in their default
/// settings.
#[must_use]
pub fn builder() -> EndpointBuilder {
    builder_with(&Limits::default(), TransportOptions::default())
        // The default settings name no files; should the encryption fail all the same, an endpoint
        // without it says so when it is asked for.
        .unwrap_or_else(|_| Endpoint::builder())
}
