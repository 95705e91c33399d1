//! Servers of the JSON API as peers of an endpoint.
//!
//! To the endpoint, such a server is a peer like any other: it is dialled, retried and given up,
//! shows in the events and the statistics, and has a queue with a policy. In between stands a small
//! endpoint in this process that speaks the native protocol on one side and is a client of the
//! server on the other.
//!
//! Which topics go which way is part of the URL, see [`Directions`]. No topic goes both ways, so no
//! message can come back through a bridge that carries it.

mod carry;
mod directions;
mod glue;
mod status;

pub use directions::{Directions, InvalidDirections};
pub use status::{BridgeStatus, Carried};

use crate::client::{ClientEvent, ClientOptions, JsonClient};
use crate::{Shared, security::Security};
use async_trait::async_trait;
use broker_core::endpoint::SubscriberOptions;
use broker_core::transport::{
    Connection, FrameWriter, MemTransport, Transport, TransportError, TransportErrorKind as Kind,
    WriteBatch,
};
use broker_core::{Endpoint, EndpointId, Limits, SubscriberPolicy, Url};
use glue::Glue;
pub(crate) use status::Bridges;
use status::Counters;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Messages that wait between the two sides. Few: what waits here has been confirmed to the
/// endpoint and not been handed to the server.
const WAITING: usize = 16;

/// How long the server may take to agree to the end.
const CLOSE_TIME: Duration = Duration::from_millis(300);

/// Connects to a server, and returns a connection on which it looks like a peer.
pub(crate) async fn connect(shared: &Arc<Shared>, to: &Url) -> Result<Connection, TransportError> {
    let invalid = |reason: String| {
        TransportError::new(Kind::InvalidAddress, format!("connecting to {to}: {reason}"))
    };
    let directions = Directions::parse(to).map_err(|error| invalid(error.to_string()))?;
    let wanted = shared.service.get().and_then(|service| service.wanted()).unwrap_or_default();
    let connector = Connector { security: shared.security.clone(), to: to.clone(), directions };
    let (client, server) = connector.connect(&wanted).await?;
    let counters = Arc::new(Counters::new(to, &connector.directions, server));
    shared.bridges.add(&counters);
    let inner = inner_endpoint(to).map_err(|error| invalid(error.to_string()))?;
    let (endpoint, connection) = inner.reach().await?;
    let options = SubscriberOptions {
        messages: Some(WAITING),
        ..SubscriberOptions::with_policy(SubscriberPolicy::Wait)
    };
    let hub = endpoint.hub_with(&connector.directions.to, options);
    let (gone, done) = (CancellationToken::new(), CancellationToken::new());
    let glue = Glue {
        shared: Arc::clone(shared),
        connector,
        events: endpoint.events(),
        endpoint,
        hub,
        client,
        wanted,
        counters,
        gone: gone.clone(),
    };
    let finished = done.clone().drop_guard();
    tokio::spawn(async move {
        glue.run().await;
        drop(finished);
    });
    Ok(Connection {
        reader: connection.reader,
        writer: Box::new(Writer { inner: connection.writer, done, _gone: gone.drop_guard() }),
        link: broker_core::transport::Link { remote: to.clone(), ..connection.link },
    })
}

/// The endpoint in between, before anybody has reached it.
struct Inner {
    endpoint: Endpoint,
    network: MemTransport,
}

/// Its id depends on nothing but the address, so that the server is the same peer after a loss.
fn inner_endpoint(to: &Url) -> Result<Inner, broker_core::endpoint::BuildError> {
    let mut hasher = DefaultHasher::new();
    to.to_string().hash(&mut hasher);
    let low = hasher.finish();
    (low, "bridge").hash(&mut hasher);
    let id = EndpointId::from_random_bits(u128::from(hasher.finish()) << 64 | u128::from(low));
    let network = MemTransport::new();
    let endpoint = Endpoint::builder()
        .id(id)
        .forwarding(false)
        .overflow_policy(broker_core::OverflowPolicy::Wait)
        .transport(network.clone())
        .build()?;
    Ok(Inner { endpoint, network })
}

impl Inner {
    async fn reach(self) -> Result<(Endpoint, Connection), TransportError> {
        let at = Url::new("mem", "bridge", 1);
        self.endpoint.listen(&at).await?;
        let connection = self.network.connect(&at).await?;
        Ok((self.endpoint, connection))
    }
}

/// Makes connections to the server.
pub(crate) struct Connector {
    security: Security,
    to: Url,
    directions: Directions,
}

impl Connector {
    /// Connects and subscribes; `wanted` is what the endpoint wants. Returns what the server calls
    /// its version as well.
    async fn connect(
        &self,
        wanted: &[bytes::Bytes],
    ) -> Result<(JsonClient, String), TransportError> {
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
        let mut client = JsonClient::over(self.security.clone(), url, options);
        match client.next().await {
            Some(ClientEvent::Connected { version, .. }) => Ok((client, version)),
            Some(ClientEvent::Disconnected { error, .. }) => Err(error),
            _ => Err(TransportError::closed()),
        }
    }
}

/// The sending half, whose end waits until the server has everything.
struct Writer {
    inner: Box<dyn FrameWriter>,
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
        self.done.cancelled().await;
    }
}
