//! Servers of the JSON API of WebSocket as peers of an endpoint.
//!
//! [`WebSocketBridges`] stands in front of a [`WsTransport`]: addresses with the path of the JSON
//! API become bridges, everything else is left to the transport.

mod reader;
mod task;
mod texts;

use crate::delivery::DeliveryTracker;
use crate::guard::Guard;
use crate::overlay::Overlay;
use crate::status::{Bridges, Counters};
use crate::{BridgeStatus, Directions};
use async_trait::async_trait;
use broker_core::endpoint::{BuildError, EndpointBuilder, SubscriberOptions};
use broker_core::transport::{
    Connection, FrameWriter, Link, Listener, MemTransport, Protection, Transport, TransportError,
    TransportErrorKind as Kind, WriteBatch,
};
use broker_core::{Endpoint, EndpointId, Limits, OverflowPolicy, SubscriberPolicy, Url};
use broker_transport_ws::client::{ClientEvent, ClientOptions, JsonClient};
use broker_transport_ws::{JSON_PATH, WsTransport};
use bytes::Bytes;
use reader::Reader;
use std::sync::Arc;
use std::time::Duration;
use task::{BridgeTask, Signals};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Messages that wait between the two sides. Few: what waits here has been confirmed to the
/// endpoint and not been handed to the server.
const WAITING: usize = 16;

/// How long the server may take to agree to the end.
const CLOSE_TIME: Duration = Duration::from_millis(300);

/// A transport for `ws` and `wss` that bridges to servers of the JSON API.
///
/// It belongs to one endpoint; clones are the same transport.
#[derive(Debug, Clone)]
pub struct WebSocketBridges {
    ws: WsTransport,
    overlay: Arc<Overlay>,
    bridges: Arc<Bridges>,
}

impl WebSocketBridges {
    /// Bridges over the connections of `ws`, which serves everything else.
    #[must_use]
    pub fn new(ws: WsTransport) -> Self {
        Self { ws, overlay: Arc::default(), bridges: Arc::default() }
    }

    /// Adds the bridges and the transport behind them to an endpoint, and serves clients as soon as
    /// that runs.
    #[must_use]
    pub fn install(self, builder: EndpointBuilder) -> EndpointBuilder {
        let transport = self.clone();
        builder.transport(transport).on_start(move |endpoint| {
            self.overlay.join(endpoint);
            self.ws.serve(endpoint);
        })
    }

    /// The servers of the JSON API that are peers now.
    #[must_use]
    pub fn bridges(&self) -> Vec<BridgeStatus> {
        self.bridges.status()
    }

    /// Connects to a server, and returns a connection on which it looks like a peer.
    async fn bridge(&self, to: &Url) -> Result<Connection, TransportError> {
        let invalid = |reason: String| {
            TransportError::new(Kind::InvalidAddress, format!("connecting to {to}: {reason}"))
        };
        let directions = Directions::parse(to).map_err(|error| invalid(error.to_string()))?;
        let wanted = self.overlay.wanted();
        let connector = Connector { ws: self.ws.clone(), to: to.clone(), directions };
        let (client, met) = connector.connect(&wanted).await?;
        let between = Between::new(to).map_err(|error| invalid(error.to_string()))?;
        if let Some(reason) = self.circle(&connector.directions, &met, between.endpoint.id()) {
            self.overlay.spawn(client.close(CLOSE_TIME));
            between.endpoint.shutdown().await;
            return Err(invalid(reason));
        }
        let Met { version, endpoint: server, protection } = met;
        let counters = Arc::new(Counters::new(to, &connector.directions, version, server));
        self.bridges.add(&counters);
        let (endpoint, connection) = between.reach().await?;
        let guard =
            Guard::new(Arc::clone(&self.overlay), &connector.directions, endpoint.id(), server);
        let options = SubscriberOptions {
            messages: Some(WAITING),
            ..SubscriberOptions::with_policy(SubscriberPolicy::Wait)
        };
        let hub = endpoint.hub_with(&connector.directions.to, options);
        let (gone, done) = (CancellationToken::new(), CancellationToken::new());
        let ending = CancellationToken::new();
        let (asks, asked) = mpsc::unbounded_channel();
        let reader = Box::new(Reader::new(connection.reader, endpoint.id(), asks));
        let task = BridgeTask {
            overlay: Arc::clone(&self.overlay),
            connector,
            guard,
            events: endpoint.events(),
            endpoint,
            hub,
            client,
            wanted,
            counters,
            delivery: DeliveryTracker::default(),
            outgoing: std::collections::VecDeque::new(),
            signals: Signals { asked, ending: ending.clone(), gone: gone.clone() },
        };
        let finished = done.clone().drop_guard();
        self.overlay.spawn(async move {
            task.run().await;
            drop(finished);
        });
        let inner = connection.writer;
        let writer = Box::new(Writer { inner, ending, done, _gone: gone.drop_guard() });
        Ok(Connection { reader, writer, link: Link { remote: to.clone(), protection } })
    }

    /// Why messages would go in circles through this bridge, as far as one endpoint can see.
    fn circle(&self, directions: &Directions, met: &Met, bridge: EndpointId) -> Option<String> {
        if self.overlay.around(bridge, met.endpoint).server {
            return Some(IN_THE_OVERLAY.to_owned());
        }
        self.bridges.against(met.endpoint, directions).map(|(server, topic)| {
            format!(
                "{topic:?} would go both ways: there is a bridge to {server} already, which is the \
                 same server"
            )
        })
    }
}

#[async_trait]
impl Transport for WebSocketBridges {
    fn schemes(&self) -> &'static [&'static str] {
        self.ws.schemes()
    }

    async fn listen(&self, at: &Url) -> Result<Box<dyn Listener>, TransportError> {
        self.ws.listen(at).await
    }

    async fn connect(&self, to: &Url) -> Result<Connection, TransportError> {
        if to.path() == JSON_PATH {
            return self.bridge(to).await;
        }
        Directions::check_native(to).map_err(|error| {
            TransportError::new(Kind::InvalidAddress, format!("connecting to {to}: {error}"))
        })?;
        self.ws.connect(to).await
    }
}

/// What is wrong with a server that is reached without the bridge.
const IN_THE_OVERLAY: &str = "this server is the endpoint itself or one of its native peers, and \
    messages would go in circles; end that peering, or do without the bridge";

/// What a server says of itself.
struct Met {
    version: String,
    /// The endpoint that serves. Zeek's own server names its clients, by the endpoint and a number.
    endpoint: Option<EndpointId>,
    protection: Protection,
}

impl Met {
    fn new(endpoint: &str, version: String, protection: Protection) -> Self {
        let endpoint = endpoint.get(..36).and_then(|id| id.parse().ok());
        Self { version, endpoint, protection }
    }
}

/// The endpoint in between, before anybody has reached it.
struct Between {
    endpoint: Endpoint,
    network: MemTransport,
}

impl Between {
    /// Its id depends on nothing but the address, so that the server is the same peer after a loss,
    /// and after a restart of this process.
    fn new(to: &Url) -> Result<Self, BuildError> {
        let network = MemTransport::new();
        let endpoint = Endpoint::builder()
            .id(EndpointId::from_random_bits(fnv_1a(to.to_string().as_bytes())))
            .forwarding(false)
            .overflow_policy(OverflowPolicy::Wait)
            .transport(network.clone())
            .build()?;
        Ok(Self { endpoint, network })
    }

    async fn reach(self) -> Result<(Endpoint, Connection), TransportError> {
        let at = Url::new("mem", "bridge", 1);
        self.endpoint.listen(&at).await?;
        let connection = self.network.connect(&at).await?;
        Ok((self.endpoint, connection))
    }
}

/// The hash FNV-1a of 128 bits, which is the same in every version of this program.
fn fnv_1a(bytes: &[u8]) -> u128 {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    bytes.iter().fold(OFFSET, |hash, byte| (hash ^ u128::from(*byte)).wrapping_mul(PRIME))
}

/// Makes connections to the server.
struct Connector {
    ws: WsTransport,
    to: Url,
    directions: Directions,
}

impl Connector {
    /// Connects and subscribes; `wanted` is what the endpoint wants.
    async fn connect(&self, wanted: &[Bytes]) -> Result<(JsonClient, Met), TransportError> {
        let (url, token) = self.directions.server(&self.to);
        let options = ClientOptions {
            subscriptions: self.directions.subscriptions(wanted),
            application: Some("broker-bridge".to_owned()),
            token,
            retry: None,
            connect_time: Limits::default().dial_time,
            queue_messages: WAITING,
            close_time: CLOSE_TIME,
            ..ClientOptions::default()
        };
        let mut client = self.ws.client(url, options);
        match client.next().await {
            Some(ClientEvent::Connected { endpoint, version, protection }) => {
                Ok((client, Met::new(&endpoint, version, protection)))
            }
            Some(ClientEvent::Disconnected { error, .. }) => Err(error),
            _ => Err(TransportError::closed()),
        }
    }
}

/// The sending half, whose end waits until the server has everything.
struct Writer {
    inner: Box<dyn FrameWriter>,
    /// Tells the bridge that nothing more comes.
    ending: CancellationToken,
    /// Tells when the server has everything.
    done: CancellationToken,
    /// Tells the bridge when the endpoint has let go of the connection.
    _gone: DropGuard,
}

#[async_trait]
impl FrameWriter for Writer {
    async fn send(&mut self, batch: &mut WriteBatch) -> Result<(), TransportError> {
        self.inner.send(batch).await
    }

    async fn shutdown(&mut self) {
        self.inner.shutdown().await;
        self.ending.cancel();
        self.done.cancelled().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_server_is_the_same_in_every_build() {
        // The published values of FNV-1a for these inputs.
        assert_eq!(fnv_1a(b""), 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d);
        assert_eq!(fnv_1a(b"a"), 0xd228_cb69_6f1a_8caf_7891_2b70_4e4a_8964);
    }
}
