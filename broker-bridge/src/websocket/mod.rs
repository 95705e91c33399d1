//! Servers of the JSON API of WebSocket as peers of an endpoint.
//!
//! [`WebSocketBridges`] stands in front of a [`WsTransport`]: addresses with the path of the JSON
//! API become bridges, everything else is left to the transport.

mod client;
mod texts;

use crate::bridges::{Bridges, invalid};
use crate::{BridgeStatus, Directions};
use async_trait::async_trait;
use broker_core::Address;
use broker_core::endpoint::EndpointBuilder;
use broker_core::transport::{Connection, Listener, Transport, TransportError};
use broker_transport_ws::{JSON_PATH, WsTransport};
use client::JsonConnector;
use std::sync::Arc;

/// A transport for `ws` and `wss` that bridges to servers of the JSON API.
///
/// It belongs to one endpoint; clones are the same transport.
///
/// # Examples
///
/// What one endpoint publishes below `/alerts/` gets to the clients of another one:
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use broker_bridge::websocket::WebSocketBridges;
/// use broker_core::Endpoint;
/// use broker_core::endpoint::Retry;
/// use broker_transport_ws::{WsOptions, WsTransport};
///
/// let server = WsTransport::new(WsOptions::default())?.install(Endpoint::builder()).build()?;
/// let port = server.listen("ws://127.0.0.1:0").await?.port();
///
/// let bridges = WebSocketBridges::new(WsTransport::new(WsOptions::default())?);
/// let endpoint = bridges.clone().install(Endpoint::builder()).build()?;
/// let to = format!("ws://127.0.0.1:{port}/v1/messages/json?to=/alerts/&from=/commands/");
/// endpoint.peer(to, Retry::never()).await?;
/// assert_eq!(bridges.bridges().len(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct WebSocketBridges {
    ws: WsTransport,
    bridges: Arc<Bridges>,
}

impl WebSocketBridges {
    /// Bridges over the connections of `ws`, which serves everything else.
    #[must_use]
    pub fn new(ws: WsTransport) -> Self {
        Self { ws, bridges: Arc::default() }
    }

    /// Adds the bridges and the transport behind them to an endpoint, and serves clients as soon as
    /// that runs.
    #[must_use]
    pub fn install(self, builder: EndpointBuilder) -> EndpointBuilder {
        let transport = self.clone();
        builder.transport(transport).on_start(move |context| {
            self.bridges.join(context);
            self.ws.serve(context);
        })
    }

    /// The servers of the JSON API that are peers now.
    #[must_use]
    pub fn bridges(&self) -> Vec<BridgeStatus> {
        self.bridges.status()
    }
}

#[async_trait]
impl Transport for WebSocketBridges {
    fn schemes(&self) -> &'static [&'static str] {
        self.ws.schemes()
    }

    async fn listen(&self, at: &Address) -> Result<Box<dyn Listener>, TransportError> {
        self.ws.listen(at).await
    }

    async fn connect(&self, to: &Address) -> Result<Connection, TransportError> {
        if to.path() != JSON_PATH {
            Directions::check_native(to).map_err(|error| invalid(to, &error.to_string()))?;
            return self.ws.connect(to).await;
        }
        let directions = Directions::parse(to).map_err(|error| invalid(to, &error.to_string()))?;
        let connector = JsonConnector::new(self.ws.clone(), to, &directions);
        self.bridges.open(to, directions, connector).await
    }
}
