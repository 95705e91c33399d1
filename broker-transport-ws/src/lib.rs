//! `ws://` and, with the feature `tls`, `wss://` for Broker endpoints: the JSON API for clients,
//! and peerings between endpoints.
//!
//! One listener serves both, by path:
//!
//! | path | what |
//! |---|---|
//! | `/v1/messages/json` | the JSON API, for Zeek's WebSocket clients |
//! | `/v1/native` | peerings, with the sub-protocol `broker-native.v1` |
//! | `/` | the example page, if it is switched on |
//!
//! A URL that is dialled is a peering. Servers of the JSON API become peers through the crate
//! `broker-bridge`, which stands in front of this transport.
//!
//! To the endpoint, [`WsTransport`] is a transport like others: it yields peers, and it dials them.
//! Clients are a service beside that: [`WsTransport::install`] adds both to an endpoint that is
//! being built.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use broker_core::{Endpoint, Address};
//! use broker_transport_ws::{WsOptions, WsTransport};
//!
//! let ws = WsTransport::new(WsOptions::default())?;
//! let endpoint = ws.install(Endpoint::builder()).build()?;
//! let url = endpoint.listen("ws://127.0.0.1:0").await?;
//! assert_eq!(url.scheme(), "ws");
//! # Ok(())
//! # }
//! ```
//!
//! # What differs between servers
//!
//! Zeek 5 to 8.0 embed a server of the C++ library, Zeek 8 and 9 one of their own. Where the two
//! differ, this one does what lets every known client work:
//!
//! | question | choice |
//! |---|---|
//! | text or binary messages from clients | both; answers are text |
//! | names of header fields | in any case |
//! | extensions (`permessage-deflate`), sub-protocols for the JSON API | never agreed to |
//! | `Upgrade`, `Connection`, version and key of the request | have to be right, as the RFC says; the library did not look |
//! | query of the URL | ignored, but for `access_token` |
//! | a WebSocket on a wrong path | comes about, then error `invalid_uri` and Close 1008, as in Zeek: a browser can see that, and an HTTP status it cannot |
//! | a first message that is no array of strings | error with the text of Zeek, then Close 1008 |
//! | `endpoint` in the ack | the id of the serving endpoint, as in the library: it parses as a UUID |
//! | `type` of a data message | may be missing; anything else than `data-message` is an error |
//! | a data message whose topic is missing or no string | error `deserialization_failed`; the library publishes it on the empty topic |
//! | payloads | any value, not only Zeek's events |
//! | later messages that are bad | error `deserialization_failed` with `input #N` and the reason; the connection stays |
//! | subscriptions of clients | are announced to native peers while the client is there, and taken back soon after it has left |
//! | messages of clients | reach native peers even if the endpoint does not forward |
//! | topics below `<$>/local/` | received by clients that ask for such a prefix, never published by them |
//! | messages addressed to another endpoint | do not reach clients |
//! | frames without mask, oversized or fragmented control frames | Close 1002, as the RFC says |
//! | silence | asked for with a ping after 30 s, Close 1011 after 60 s |
//! | a client that does not read | see [`WsOptions::overflow_policy`] |
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `tls` | no | `wss://` |

#![cfg_attr(docsrs, feature(doc_cfg))]

mod access;
pub mod client;
mod dial;
mod framing;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod http;
mod listener;
mod native;
mod opening;
mod options;
mod page;
mod security;
mod server;
mod service;
mod stream;

pub use access::{AccessOptions, AccessRule};
pub use framing::CloseCode;
pub use options::{InvalidOptions, WsOptions};

use async_trait::async_trait;
use broker_core::Address;
use broker_core::endpoint::{EndpointBuilder, ServiceContext};
use broker_core::transport::{Connection, Listener, Transport, TransportError};
use broker_transport_tcp::TcpTransport;
use security::Security;
use service::Service;
use std::sync::{Arc, OnceLock};

/// Where clients reach the JSON API.
pub const JSON_PATH: &str = "/v1/messages/json";

/// Where endpoints reach each other.
pub const NATIVE_PATH: &str = "/v1/native";

/// The sub-protocol of peerings between endpoints.
pub const NATIVE_PROTOCOL: &str = "broker-native.v1";

/// The transport for the schemes `ws` and `wss`, and the server for clients of the JSON API.
///
/// It belongs to one endpoint; clones are the same transport.
#[derive(Debug, Clone)]
pub struct WsTransport {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    security: Security,
    options: Arc<WsOptions>,
    service: OnceLock<Service>,
}

impl WsTransport {
    /// A transport with these options.
    ///
    /// # Errors
    ///
    /// The options cannot work.
    pub fn new(options: WsOptions) -> Result<Self, InvalidOptions> {
        Self::over(Security::plain(TcpTransport::default()), options)
    }

    /// A transport over the sockets of `tcp`.
    ///
    /// # Errors
    ///
    /// The options cannot work.
    pub fn with_tcp(tcp: TcpTransport, options: WsOptions) -> Result<Self, InvalidOptions> {
        Self::over(Security::plain(tcp), options)
    }

    /// A transport over the sockets of `tcp` that also serves `wss`, with the encryption of `tls`.
    ///
    /// # Errors
    ///
    /// The options cannot work.
    #[cfg(feature = "tls")]
    pub fn with_tls(
        tcp: TcpTransport,
        tls: broker_transport_tcp::tls::TlsTransport,
        options: WsOptions,
    ) -> Result<Self, InvalidOptions> {
        Self::over(Security::with_tls(tcp, tls), options)
    }

    fn over(security: Security, options: WsOptions) -> Result<Self, InvalidOptions> {
        options.check()?;
        let shared = Shared {
            security,
            options: Arc::new(options.clamp_durations()),
            service: OnceLock::new(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Adds the transport to an endpoint, and serves clients as soon as that runs.
    #[must_use]
    pub fn install(self, builder: EndpointBuilder) -> EndpointBuilder {
        let transport = self.clone();
        builder.transport(transport).on_start(move |context| self.serve(context))
    }

    /// Serves clients of the JSON API on all listeners of this transport. The first endpoint
    /// counts; until there is one, clients are told to try again later.
    pub fn serve(&self, context: &ServiceContext) {
        let options = Arc::clone(&self.shared.options);
        // A second endpoint would have needed a transport of its own.
        let _ = self.shared.service.set(Service::new(context, options));
    }

    /// A client of a server of the JSON API, over the sockets and with the encryption of this
    /// transport. Starts connecting, and returns at once; has to be called on a tokio runtime.
    #[must_use]
    pub fn client(&self, url: Address, options: client::ClientOptions) -> client::JsonClient {
        client::JsonClient::over(self.shared.security.clone(), url, options)
    }
}

#[async_trait]
impl Transport for WsTransport {
    fn schemes(&self) -> &'static [&'static str] {
        self.shared.security.schemes()
    }

    async fn listen(&self, at: &Address) -> Result<Box<dyn Listener>, TransportError> {
        listener::listen(&self.shared, at).await
    }

    async fn connect(&self, to: &Address) -> Result<Connection, TransportError> {
        dial::peer(&self.shared, to).await
    }
}
