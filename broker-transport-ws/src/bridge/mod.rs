//! Servers of the JSON API as peers of an endpoint.
//!
//! To the endpoint, such a server is a peer like any other: it is dialled, retried and given up,
//! shows in the events and the statistics, and has a queue with a policy. In between stands a small
//! endpoint in this process that speaks the native protocol on one side and is a client of the
//! server on the other.
//!
//! Which topics go which way is part of the URL, see [`Directions`]. No topic goes both ways, so no
//! message can come back through a bridge that carries it.
//!
//! # Several bridges
//!
//! Bridges that do not know of each other can form a circle, in parallel between one overlay and
//! one server or in a ring of many. A server of the JSON API has nothing like the hop limit of the
//! native protocol, so bridges have to see to it themselves:
//!
//! * An event is marked with how many bridges it has crossed, in its metadata
//!   ([`BRIDGES_CROSSED`]). To a server goes only what has crossed none, into an overlay what has
//!   crossed one at most. So a message crosses one bridge to a server and then one into an overlay,
//!   and no more, even if the server in between drops the mark as Zeek's does: an event cannot go
//!   round more than once.
//! * It is also marked with the endpoints that it has been in, as far as bridges know them
//!   ([`ENDPOINTS_CROSSED`]), and enters none of these again. Nodes that serve each other do not
//!   get their own events back then. Zeek's server names no endpoint and drops that mark too.
//! * Values that are no events have no place for a mark, and a Zeek server that is a native member
//!   of the overlay as well, somewhere behind other peers, hands an event on without it. Such a
//!   message is carried [`repeats`](Directions::repeats) times within ten seconds by each bridge,
//!   then left.
//! * A server is not accepted as the end of a bridge if it is the endpoint itself or one of its
//!   peers, nor if another bridge of the endpoint carries some of the topics the other way.
//!
//! What is left is counted, and reported in the log. An endpoint that has nobody but the server
//! marks nothing and bounds nothing: from there nothing can go on.

mod carry;
mod directions;
mod glue;
mod guard;
mod handed;
mod mark;
mod reader;
mod repeats;
mod status;

pub use directions::{Directions, InvalidDirections};
pub use mark::{BRIDGES_CROSSED, ENDPOINTS_CROSSED};
pub use status::{BridgeStatus, Carried};

use crate::client::{ClientEvent, ClientOptions, JsonClient};
use crate::{Shared, security::Security};
use async_trait::async_trait;
use broker_core::endpoint::SubscriberOptions;
use broker_core::transport::{
    Connection, FrameWriter, Link, MemTransport, Protection, Transport, TransportError,
    TransportErrorKind as Kind, WriteBatch,
};
use broker_core::{Endpoint, EndpointId, Limits, SubscriberPolicy, Url};
use glue::Glue;
pub(crate) use guard::Around;
use guard::Guard;
use handed::Handed;
use reader::Reader;
pub(crate) use status::Bridges;
use status::Counters;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
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
    let (client, met) = connector.connect(&wanted).await?;
    let inner = inner_endpoint(to).map_err(|error| invalid(error.to_string()))?;
    if let Some(reason) = circle(shared, &connector.directions, &met, inner.endpoint.id()) {
        tokio::spawn(client.close(CLOSE_TIME));
        inner.endpoint.shutdown().await;
        return Err(invalid(reason));
    }
    let protection = met.protection.clone();
    let counters = Arc::new(Counters::new(to, &connector.directions, met));
    shared.bridges.add(&counters);
    let (endpoint, connection) = inner.reach().await?;
    let server = counters.endpoint();
    let guard = Guard::new(Arc::clone(shared), &connector.directions, endpoint.id(), server);
    let options = SubscriberOptions {
        messages: Some(WAITING),
        ..SubscriberOptions::with_policy(SubscriberPolicy::Wait)
    };
    let hub = endpoint.hub_with(&connector.directions.to, options);
    let (gone, done) = (CancellationToken::new(), CancellationToken::new());
    let ending = CancellationToken::new();
    let (asks, asked) = mpsc::unbounded_channel();
    let reader = Box::new(Reader::new(connection.reader, endpoint.id(), asks));
    let glue = Glue {
        shared: Arc::clone(shared),
        connector,
        guard,
        events: endpoint.events(),
        endpoint,
        hub,
        client,
        wanted,
        counters,
        handed: Handed::default(),
        asked,
        ending: ending.clone(),
        gone: gone.clone(),
    };
    let finished = done.clone().drop_guard();
    tokio::spawn(async move {
        glue.run().await;
        drop(finished);
    });
    Ok(Connection {
        reader,
        writer: Box::new(Writer {
            inner: connection.writer,
            ending,
            done,
            _gone: gone.drop_guard(),
        }),
        link: Link { remote: to.clone(), protection },
    })
}

/// Why messages would go in circles through this bridge, as far as one endpoint can see.
fn circle(
    shared: &Shared,
    directions: &Directions,
    met: &Met,
    bridge: EndpointId,
) -> Option<String> {
    let around = shared.service.get().map(|service| service.around(bridge, met.endpoint));
    if around.is_some_and(|around| around.server) {
        return Some(IN_THE_OVERLAY.to_owned());
    }
    shared.bridges.against(met.endpoint, directions).map(|(server, topic)| {
        format!(
            "{topic:?} would go both ways: there is a bridge to {server} already, which is the same \
             server"
        )
    })
}

/// What is wrong with a server that is reached without the bridge.
const IN_THE_OVERLAY: &str = "this server is the endpoint itself or one of its native peers, and \
    messages would go in circles; end that peering, or do without the bridge";

/// What a server says of itself.
pub(crate) struct Met {
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
    /// Connects and subscribes; `wanted` is what the endpoint wants.
    async fn connect(&self, wanted: &[bytes::Bytes]) -> Result<(JsonClient, Met), TransportError> {
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
