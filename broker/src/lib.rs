//! Broker in Rust: peer-to-peer publish/subscribe that speaks the protocol of Zeek's Broker.
//!
//! Programs publish values on topics, and subscribe to prefixes of topics. Each program has an
//! [`Endpoint`], and endpoints are peered with each other: directly, or through others that pass
//! messages on. There is no server in between, and every peer may be a C++ Broker or Zeek itself.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use broker::Retry;
//!
//! let sensor = broker::builder().build()?;
//! let collector = broker::builder().build()?;
//! let mut alerts = collector.subscribe("/alerts/");
//!
//! let url = collector.listen("tcp://127.0.0.1:0").await?;
//! sensor.peer(url, Retry::never()).await?;
//! sensor.publish("/alerts/scan", "10.0.0.7").await?;
//!
//! let alert = alerts.recv().await.ok_or("shut down")?;
//! assert_eq!(alert.view().as_str(), Some("10.0.0.7"));
//! # Ok(())
//! # }
//! ```
//!
//! # A tour
//!
//! **Endpoints.** [`builder()`] describes one with every transport that the features pick,
//! [`builder_with`] one with certificates and other options of the transports. [`Config`] has what
//! concerns the endpoint itself, and [`Limits`] what is bounded. An endpoint lives on the tokio
//! runtime on which it was built; its clones are one endpoint, which shuts down with the last of
//! them, or in an orderly way by [`Endpoint::shutdown`].
//!
//! **Peerings.** [`Endpoint::listen`] accepts them and [`Endpoint::peer`] asks for them. The scheme
//! of the address picks the transport: `tcp://`, `tls://`, `ws://`, `wss://`, `quic://`,
//! `zeromq://`, `unix://`, or `mem://` inside one process. [`Retry`] says whether a peering is
//! tried again until it works and made anew after a loss. What failed has a [`Failure`], and each
//! of those has a [`Reason`] that says whose business it is.
//!
//! **Messages.** [`Endpoint::publish`] takes whatever has an [encoding](data::Encode): numbers,
//! text, times, addresses, and [values](data::Value) made of those. A [`Publisher`] is for one
//! topic again and again. A [`Subscriber`] receives what others publish; a [`Hub`] publishes and
//! receives, also within its own endpoint. Both are streams (`futures_core::Stream`). A received
//! [`Message`] is a view of the bytes that came; [`Message::data`] makes an owned value of it.
//!
//! **Zeek.** Zeek's events and logs are values of a certain form; [`data::zeek`] builds and reads
//! them. A [`ZeekEvent`](data::zeek::ZeekEvent) is such a value, while an [`Event`] is what an
//! endpoint reports and a [`Message`] what it receives.
//!
//! **What happens.** [`Endpoint::events`] reports every change of the overlay, every error and the
//! log. [`Endpoint::peers`] and [`Endpoint::peering_stats`] tell how things are, and
//! [`Endpoint::record_metrics`] hands the numbers in [`metrics`] to a recorder.
//!
//! **Slow receivers.** Each peer and each subscriber has a bounded queue. What happens when it is
//! full is an [`OverflowPolicy`] of the endpoint for its peers, and a [`SubscriberPolicy`] in the
//! [`SubscriberOptions`] of a subscriber or hub.
//!
//! **Transports and services of your own** are written against [`core`], where
//! everything else is public too. It promises less: it may change with every minor version.
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `tcp` | yes | `tcp://`, and on Unix `unix://` between processes of one machine |
//! | `tls` | yes | `tls://` over `tcp`, and `wss://` if there is `ws` |
//! | `ws` | no | `ws://`: peers over WebSocket, Zeek's JSON API, bridges to its servers |
//! | `bridge` | no | What the kinds of bridges share |
//! | `zeromq` | no | `zeromq://`: bridges to Zeek clusters that use ZeroMQ |
//! | `nats` | no | `nats://` and `nats+tls://`: bridges to NATS servers |
//! | `quic` | no | `quic://` |
//!
//! `mem://`, inside one process, is always there.

#![cfg_attr(docsrs, feature(doc_cfg))]

pub use broker_core as core;

// Endpoints and their configuration.
pub use broker_core::endpoint::{BuildError, EndpointBuilder};
pub use broker_core::{
    Config, Endpoint, EndpointId, InvalidEndpointId, Limits, LoopPolicy, Network, OverflowPolicy,
    PeerRule, Preset, SubscriberPolicy, UnknownPolicy,
};
pub use transports::{TransportOptions, TransportSetupError, builder_with};

// Addresses and peerings.
pub use broker_core::endpoint::{
    ClientInfo, ClientStatus, ListenerInfo, PeerHandle, PeerInfo, PeeringStats, PeeringStatsTable,
    PingError, PrefixCount, Retry, TimeInQueue,
};
pub use broker_core::transport::{ListenerProtection, Protection, TransportError};
pub use broker_core::{
    Address, Blame, DEFAULT_SCHEME, Direction, Failure, HangUpGuess, InvalidAddress, PeerError,
    PeerStatus, Reason,
};

// Messages.
pub use broker_core::data;
#[cfg(unix)]
pub use broker_core::endpoint::ReadyFd;
pub use broker_core::endpoint::{
    Batch, Hub, HubSender, IntoTopics, Message, MessageView, Messages, Publisher, Subscriber,
    SubscriberOptions, TryPublishError, TryRecvError,
};
pub use broker_core::{PublishError, Published};

// What an endpoint reports.
pub use broker_core::ErrorCode;
pub use broker_core::endpoint::EventStream;
pub use broker_core::event::{self, Event};

/// The metrics that [`Endpoint::record_metrics`] records.
pub mod metrics {
    pub use broker_core::endpoint::{
        METRICS, Metric, MetricKind, QUEUE_SECONDS, queue_seconds_buckets,
    };
}

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

/// Describes an endpoint that has every transport this crate was built with, in their default
/// settings.
///
/// They are set up when the endpoint is built, within the limits of its configuration. If one
/// cannot be, [`EndpointBuilder::build`] fails: there is no endpoint without its transports.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use broker::OverflowPolicy;
///
/// let endpoint = broker::builder().overflow_policy(OverflowPolicy::Wait).build()?;
/// assert!(endpoint.schemes().contains(&"mem"));
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn builder() -> EndpointBuilder {
    Endpoint::builder().transports_from(|limits| builder_with(limits, TransportOptions::default()))
}
