//! The endpoint: tasks, clocks and connections around the machines of the protocol.

mod actions;
mod batch;
mod budget;
mod builder;
mod client_totals;
mod clients;
mod connection;
mod consumer;
mod drain;
mod drops;
mod events;
mod hub;
mod listener;
mod message;
mod metrics;
mod ping;
mod publisher;
mod publishing;
mod readiness;
mod registry;
mod reporting;
mod requests;
mod service;
mod shared;
mod table;
mod tasks;
mod throttle;
mod topics;
mod writer;

pub use batch::Batch;
pub use builder::{BuildError, EndpointBuilder};
pub use clients::{ClientCounters, ClientInfo, ClientStatus};
pub use consumer::{Subscriber, SubscriberOptions, TryRecvError};
pub use events::EventStream;
pub use hub::{Hub, HubSender};
pub use message::{Message, MessageView, Messages};
pub use metrics::{METRICS, Metric, MetricKind, QUEUE_SECONDS, queue_seconds_buckets};
pub use ping::PingError;
pub use publisher::{Publisher, TryPublishError};
#[cfg(unix)]
pub use readiness::ReadyFd;
pub use requests::{PeerHandle, Retry};
pub use service::{ClientSession, ServiceContext, WeakServiceContext};
pub use table::{
    DropCauses, ListenerInfo, PeerInfo, PeeringStats, PeeringStatsTable, PrefixCount, TimeInQueue,
};
pub use topics::IntoTopics;

use crate::transport::TransportError;
use crate::{Address, EndpointId, InvalidAddress, PeerStatus};
use broker_proto::SubscribeError;
use broker_proto::limits::MAX_DURATION;
use broker_proto::peering::Unpeer;
use bytes::Bytes;
use shared::Shared;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A node of the overlay.
///
/// Cheap to clone; the clones are one endpoint. When the last clone, and the last publisher,
/// subscriber and hub made from it, is gone, the endpoint shuts down by itself.
///
/// # Examples
///
/// ```
/// # mod broker { pub use broker_core::{self as core, *, endpoint::*, transport::*}; }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use broker::core::transport::MemTransport;
/// use broker::{Endpoint, Retry};
///
/// let network = MemTransport::new();
/// let sensor = Endpoint::builder().transport(network.clone()).build()?;
/// let collector = Endpoint::builder().transport(network).build()?;
/// let mut alerts = collector.subscribe("/alerts/");
/// sensor.peer(collector.listen("mem://collector:0").await?, Retry::never()).await?;
///
/// sensor.publish("/alerts/scan", "10.0.0.7").await?;
/// assert_eq!(alerts.recv().await.ok_or("shut down")?.topic(), "/alerts/scan");
/// sensor.shutdown().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Endpoint {
    guard: Arc<Guard>,
}

/// Shuts the endpoint down when the last handle is dropped.
#[derive(Debug)]
struct Guard {
    shared: Arc<Shared>,
    /// False for the handles of services, which end with the endpoint and not the other way round.
    owner: bool,
}

impl Drop for Guard {
    fn drop(&mut self) {
        if self.owner {
            self.shared.begin_shutdown();
        }
    }
}

impl Endpoint {
    /// Starts describing an endpoint.
    ///
    /// # Examples
    ///
    /// ```
    /// # mod broker { pub use broker_core::{self as core, *, endpoint::*, transport::*}; }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use broker::Endpoint;
    /// use broker::core::transport::MemTransport;
    ///
    /// let builder = Endpoint::builder().transport(MemTransport::new());
    /// let endpoint = builder.forwarding(false).build()?;
    /// assert_eq!(endpoint.schemes(), ["mem"]);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn builder() -> EndpointBuilder {
        EndpointBuilder::default()
    }

    fn new(shared: Arc<Shared>) -> Self {
        Self { guard: Arc::new(Guard { shared, owner: true }) }
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.guard.shared
    }

    /// The id of this endpoint (`Broker::node_id`).
    #[must_use]
    pub fn id(&self) -> EndpointId {
        self.shared().id
    }

    /// The URL schemes that this endpoint can listen on and dial, in alphabetical order.
    #[must_use]
    pub fn schemes(&self) -> Vec<&'static str> {
        let mut schemes: Vec<_> = self.shared().transports.keys().copied().collect();
        schemes.sort_unstable();
        schemes
    }

    /// Accepts peers at an address (`Broker::listen`), until the endpoint shuts down. Several
    /// listeners are possible.
    ///
    /// Returns the address with the port it really has.
    ///
    /// # Errors
    ///
    /// The address is not one, no transport serves its scheme, or it cannot be listened on.
    ///
    /// # Examples
    ///
    /// ```
    /// # mod broker { pub use broker_core::{self as core, *, endpoint::*, transport::*}; }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let network = broker_core::transport::MemTransport::new();
    /// # let builder = || broker_core::Endpoint::builder().transport(network.clone());
    /// # let (sensor, collector) = (builder().build()?, builder().build()?);
    /// use broker::Reason;
    ///
    /// let url = collector.listen("mem://collector:0").await?;
    /// assert_eq!(url.port(), 1, "port 0 asks for one that is free");
    ///
    /// let error = collector.listen("collector").await.unwrap_err();
    /// assert_eq!(error.reason(), Reason::InvalidAddress);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn listen(
        &self,
        at: impl TryInto<Address, Error: Into<InvalidAddress>>,
    ) -> Result<Address, TransportError> {
        listener::listen(self.shared(), at.try_into().map_err(Into::into)).await
    }

    /// Where this endpoint listens, and what protects the links that it accepts there.
    #[must_use]
    pub fn listeners(&self) -> Vec<ListenerInfo> {
        self.shared().listeners.lock().clone()
    }

    /// Asks for a peering (`Broker::peer`) and returns at once.
    ///
    /// The outcome arrives as events, and at the handle for those who want to wait. With a retry
    /// time the request is tried until it is fulfilled, and again whenever the peering is lost,
    /// until [`Self::unpeer`] or the end of the endpoint. There is one request for each address.
    ///
    /// # Examples
    ///
    /// ```
    /// # mod broker { pub use broker_core::{self as core, *, endpoint::*, transport::*}; }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let network = broker_core::transport::MemTransport::new();
    /// # let builder = || broker_core::Endpoint::builder().transport(network.clone());
    /// # let (sensor, collector) = (builder().build()?, builder().build()?);
    /// use broker::Retry;
    /// use std::time::Duration;
    ///
    /// let url = collector.listen("mem://collector:1").await?;
    /// let retry = Retry::every(Duration::from_secs(1));
    /// assert_eq!(sensor.peer(&url, retry).await?, collector.id());
    /// assert!(sensor.peer("mem://nobody:1", Retry::never()).await.is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub fn peer(
        &self,
        url: impl TryInto<Address, Error: Into<InvalidAddress>>,
        retry: Retry,
    ) -> PeerHandle {
        requests::peer(self.shared(), url.try_into().map_err(Into::into), retry)
    }

    /// Ends the peering with an address (`Broker::unpeer`): what was published before is still
    /// delivered, then the peer is told. A request that has no peering yet is given up.
    ///
    /// Addresses are compared as text, like in the C++ Broker. Returns whether there was something
    /// to end; if not, an error event says so as well.
    pub fn unpeer(&self, url: impl TryInto<Address, Error: Into<InvalidAddress>>) -> bool {
        requests::unpeer(self.shared(), url.try_into().map_err(Into::into))
    }

    /// Ends the peering with an endpoint.
    pub fn unpeer_id(&self, id: EndpointId) -> bool {
        self.shared().control(|control, now| control.unpeer_id(id, now)) != Unpeer::Unknown
    }

    /// Whether this endpoint has asked for a peering with this address and has not taken that back
    /// (`Broker::is_outbound_peering`).
    #[must_use]
    pub fn is_outbound_peering(
        &self,
        url: impl TryInto<Address, Error: Into<InvalidAddress>>,
    ) -> bool {
        let url = url.try_into();
        url.is_ok_and(|url| self.shared().control(|control, _| control.is_outbound(&url)))
    }

    /// All peers, and all addresses that are still tried (`Broker::peers`).
    #[must_use]
    pub fn peers(&self) -> Vec<PeerInfo> {
        table::peers(&self.shared().registry, self.uptime())
    }

    /// How many endpoints are peered with this one.
    #[must_use]
    pub fn peer_count(&self) -> usize {
        self.shared().registry.peered()
    }

    /// Whether this endpoint is peered with another one.
    #[must_use]
    pub fn is_peered(&self, id: EndpointId) -> bool {
        self.shared().registry.status(id) == Some(PeerStatus::Peered)
    }

    /// All clients that are attached now. They are not among the peers, as in the C++ Broker.
    #[must_use]
    pub fn clients(&self) -> Vec<ClientStatus> {
        self.shared().clients.list(self.uptime())
    }

    /// How many clients are attached now.
    #[must_use]
    pub fn client_count(&self) -> usize {
        self.shared().clients.count()
    }

    /// What waits for each peer, and what has been sent and dropped (`Broker::peering_stats`).
    #[must_use]
    pub fn peering_stats(&self) -> PeeringStatsTable {
        table::stats(&self.shared().router)
    }

    /// How many messages for this endpoint its peers have dropped, those that are gone included, as
    /// far as they have said so ([`PeeringStats::missed`]). After [`Self::flush`] it is exact for
    /// everything before that.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.shared().router.missed.load(Ordering::Relaxed)
    }

    /// What has passed on the topics that [`Config::count_prefixes`](crate::Config) names.
    #[must_use]
    pub fn prefix_counts(&self) -> Vec<PrefixCount> {
        table::prefix_counts(&self.shared().router)
    }

    /// What a peer has subscribed to, and what is wanted behind it if it has told that; `None` if
    /// there is no such peer.
    #[must_use]
    pub fn peer_filter(&self, id: EndpointId) -> Option<Vec<Bytes>> {
        let shared = self.shared();
        let filter = shared.router.peer_filter(id)?;
        // What relays want together with those behind them they tell in another way.
        let is_relay = shared.router.peer(id).is_some_and(|peer| peer.is_relay());
        let relayed = is_relay.then(|| shared.control(|control, _| control.filter_of_relay(id)));
        Some(relayed.flatten().filter(|relayed| !relayed.is_empty()).unwrap_or(filter))
    }

    /// The filter that this endpoint announces: the subscriptions of all its consumers, merged.
    #[must_use]
    pub fn filter(&self) -> Vec<Bytes> {
        self.shared().control(|control, _| control.announced())
    }

    /// Everything that happens from now on. Every stream gets every event, once.
    ///
    /// # Examples
    ///
    /// ```
    /// # mod broker { pub use broker_core::{self as core, *, endpoint::*, transport::*}; }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let network = broker_core::transport::MemTransport::new();
    /// # let builder = || broker_core::Endpoint::builder().transport(network.clone());
    /// # let (sensor, collector) = (builder().build()?, builder().build()?);
    /// use broker::Retry;
    /// use broker::event::StatusCode;
    ///
    /// let mut events = collector.events();
    /// sensor.peer(collector.listen("mem://collector:1").await?, Retry::never()).await?;
    /// while let Some(event) = events.next().await {
    ///     println!("{event}");
    ///     if event.status() == Some(StatusCode::PeerAdded) {
    ///         break;
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn events(&self) -> EventStream {
        self.shared().reporting.events.stream()
    }

    /// Waits until `id` is a peer, however long that takes; `tokio::time::timeout` sets a limit.
    /// Returns false if it never will be one, because the endpoint shuts down. Cancel safe.
    ///
    /// # Examples
    ///
    /// ```
    /// # mod broker { pub use broker_core::{self as core, *, endpoint::*, transport::*}; }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let network = broker_core::transport::MemTransport::new();
    /// # let builder = || broker_core::Endpoint::builder().transport(network.clone());
    /// # let (sensor, collector) = (builder().build()?, builder().build()?);
    /// use broker::Retry;
    /// use std::time::Duration;
    /// use tokio::time::timeout;
    ///
    /// let url = collector.listen("mem://collector:1").await?;
    /// let _request = sensor.peer(url, Retry::default());
    /// assert!(timeout(Duration::from_secs(5), collector.await_peer(sensor.id())).await?);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn await_peer(&self, id: EndpointId) -> bool {
        requests::await_peer(self.shared(), id).await
    }

    /// Measures the time to a peer and back with a ping of the protocol, which every implementation
    /// answers. Waits for as long as the peering lasts; `tokio::time::timeout` sets a limit. Cancel
    /// safe.
    ///
    /// # Errors
    ///
    /// There is no such peer, or the peering ended before the answer came.
    ///
    /// # Examples
    ///
    /// ```
    /// # mod broker { pub use broker_core::{self as core, *, endpoint::*, transport::*}; }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let network = broker_core::transport::MemTransport::new();
    /// # let builder = || broker_core::Endpoint::builder().transport(network.clone());
    /// # let (sensor, collector) = (builder().build()?, builder().build()?);
    /// use broker::Retry;
    /// use std::time::Duration;
    /// use tokio::time::timeout;
    ///
    /// sensor.peer(collector.listen("mem://collector:1").await?, Retry::never()).await?;
    /// let time = timeout(Duration::from_secs(5), sensor.ping(collector.id())).await??;
    /// println!("there and back in {time:?}");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn ping(&self, id: EndpointId) -> Result<Duration, PingError> {
        let shared = self.shared();
        ping::ping(&shared.reporting.pings, &shared.router, id).await
    }

    /// Waits until every peer has taken what was meant for it before: messages that were published,
    /// and changes of the topics that this endpoint wants. A peer that leaves in the meantime is
    /// not waited for; `tokio::time::timeout` sets a limit. Cancel safe.
    ///
    /// It pings the peers, which answer in order, so this is about peers and not about those behind
    /// them.
    pub async fn flush(&self) {
        requests::flush(self.shared()).await;
    }

    /// Receives what peers and local hubs publish on topics with one of these prefixes, and asks
    /// the peers for it.
    ///
    /// Peers accept filters up to certain limits, which are taken to be those of this endpoint:
    /// `filter-entries`, `filter-entry` and `filter-bytes`, of what its consumers want together. A
    /// subscriber that would go beyond them is refused: it has ended from the start, and the log
    /// says why. Where topics come from somebody else, see [`Self::try_subscribe`].
    ///
    /// # Examples
    ///
    /// ```
    /// # mod broker { pub use broker_core::{self as core, *, endpoint::*, transport::*}; }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let network = broker_core::transport::MemTransport::new();
    /// # let builder = || broker_core::Endpoint::builder().transport(network.clone());
    /// # let (sensor, collector) = (builder().build()?, builder().build()?);
    /// use broker::{Retry, TryRecvError};
    ///
    /// let mut both = collector.subscribe(["/alerts/", "/logs/"]);
    /// let mut alerts = collector.subscribe("/alerts/");
    /// sensor.peer(collector.listen("mem://collector:1").await?, Retry::never()).await?;
    ///
    /// sensor.publish("/logs/start", &1u64).await?;
    /// assert_eq!(both.recv().await.ok_or("shut down")?.topic(), "/logs/start");
    /// assert_eq!(alerts.try_recv().unwrap_err(), TryRecvError::Empty);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn subscribe(&self, topics: impl IntoTopics) -> Subscriber {
        self.subscribe_with(topics, SubscriberOptions::default())
    }

    /// Like [`Self::subscribe`], with bounds and policy of the subscriber's queue.
    #[must_use]
    pub fn subscribe_with(
        &self,
        topics: impl IntoTopics,
        options: SubscriberOptions,
    ) -> Subscriber {
        Subscriber::or_ended(self.clone(), topics.into_topics(), options)
    }

    /// Like [`Self::subscribe_with`].
    ///
    /// # Errors
    ///
    /// Peers would not accept the filter that these topics make.
    pub fn try_subscribe(
        &self,
        topics: impl IntoTopics,
        options: SubscriberOptions,
    ) -> Result<Subscriber, SubscribeError> {
        Subscriber::new(self.clone(), topics.into_topics(), options)
    }

    /// A producer and consumer in one. It receives everything on its prefixes, including what this
    /// endpoint publishes, except its own messages; subscribers of this endpoint see what it
    /// publishes. If its topics are refused, which [`Self::subscribe`] explains, it receives
    /// nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// # mod broker { pub use broker_core::{self as core, *, endpoint::*, transport::*}; }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let endpoint = broker_core::Endpoint::builder().build()?;
    /// let mut hub = endpoint.hub("/chat/");
    /// let mut subscriber = endpoint.subscribe("/chat/");
    ///
    /// hub.publish("/chat/hello", "it does not hear itself").await?;
    /// assert!(subscriber.recv().await.is_some());
    /// assert!(hub.try_recv().is_err());
    ///
    /// endpoint.publish("/chat/hello", "but it hears its endpoint").await?;
    /// assert!(hub.recv().await.is_some());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn hub(&self, topics: impl IntoTopics) -> Hub {
        self.hub_with(topics, SubscriberOptions::default())
    }

    /// Like [`Self::hub`], with bounds and policy of the hub's queue.
    #[must_use]
    pub fn hub_with(&self, topics: impl IntoTopics, options: SubscriberOptions) -> Hub {
        Hub::or_ended(self.clone(), topics.into_topics(), options)
    }

    /// Like [`Self::hub_with`].
    ///
    /// # Errors
    ///
    /// As for [`Self::try_subscribe`].
    pub fn try_hub(
        &self,
        topics: impl IntoTopics,
        options: SubscriberOptions,
    ) -> Result<Hub, SubscribeError> {
        Hub::new(self.clone(), topics.into_topics(), options)
    }

    /// Asks peers for these topics without a local consumer, so that they are passed on to the
    /// peers that want them. Holds until the endpoint shuts down.
    ///
    /// # Errors
    ///
    /// As for [`Self::try_subscribe`]; then peers are asked for none of them.
    pub fn forward(&self, topics: impl IntoTopics) -> Result<(), SubscribeError> {
        let topics = topics.into_topics();
        self.shared().control(|control, now| control.subscribe(&topics, now))
    }

    /// Ends all peerings in an orderly way and waits until everything has stopped: what was
    /// published before reaches the peers, unless they take longer than the limit for the bye.
    pub async fn shutdown(&self) {
        self.shared().shut_down().await;
    }

    /// Shuts down without haste, for the sake of those who have somewhere else to go:
    ///
    /// 1. Nobody is accepted or asked for any more.
    /// 2. The peers that have connected to this endpoint and are no relays are told to leave, one
    ///    after the other `over` this time, so that they do not all arrive elsewhere at once.
    ///    Meanwhile messages pass as before.
    /// 3. When these have gone, all others are told.
    /// 4. The rest is [`Self::shutdown`], which closes clients.
    ///
    /// A peer leaves when it has read what was queued for it, and is cut if that takes longer than
    /// `within`. So all is over when both times and twice the limit for the bye have passed. If it
    /// is cancelled, it goes no further, but nobody is accepted again.
    ///
    /// # Examples
    ///
    /// ```
    /// # mod broker { pub use broker_core::{self as core, *, endpoint::*, transport::*}; }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let network = broker_core::transport::MemTransport::new();
    /// # let builder = || broker_core::Endpoint::builder().transport(network.clone());
    /// # let (sensor, collector) = (builder().build()?, builder().build()?);
    /// use broker::Retry;
    /// use std::time::Duration;
    ///
    /// sensor.peer(collector.listen("mem://collector:1").await?, Retry::never()).await?;
    /// collector.drain(Duration::ZERO, Duration::from_secs(10)).await;
    /// assert!(collector.is_draining() && collector.peer_count() == 0);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn drain(&self, over: Duration, within: Duration) {
        drain::drain(self.shared(), over.min(MAX_DURATION), within.min(MAX_DURATION)).await;
    }

    /// Whether this endpoint accepts nobody any more, because of [`Self::drain`] or
    /// [`Self::shutdown`].
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.shared().tasks.accepting.is_cancelled()
    }

    /// Hands the current numbers to the recorder of the `metrics` facade, for example before a
    /// scrape, and the first time their descriptions. Until then they cost the data path nothing
    /// but its own counters.
    ///
    /// The names are those of the C++ Broker and of Zeek where they have one; [`METRICS`] lists
    /// all. The first peers get a label of their own, up to the limit `metrics-peers`; the others
    /// share the label `other`.
    pub fn record_metrics(&self) {
        let Shared { registry, router, clients, reporting, .. } = &**self.shared();
        reporting.metrics.record(registry, router, clients);
    }

    /// The time since this endpoint was started, the clock of its statistics.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.shared().tasks.now()
    }

    /// What services and transports of this endpoint need of it.
    #[must_use]
    pub fn service_context(&self) -> ServiceContext {
        ServiceContext::new(Arc::clone(self.shared()))
    }
}
