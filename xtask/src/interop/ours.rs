use super::cell::{Check, Context, Mode, same};
use super::log::Log;
use broker::TransportOptions;
use broker::core::transport::Protection;
use broker::event::StatusCode;
use broker::tls::{Tls, TlsOptions};
use broker::{
    Address, Config, Endpoint, EndpointBuilder, EndpointId, Event, EventStream, Message, Retry,
    Subscriber,
};
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};

/// How long anything may take that should happen at once.
const PATIENCE: Duration = Duration::from_secs(10);

/// The time between attempts of our side.
pub(super) const RETRY: Duration = Duration::from_millis(200);

/// The id of our side. The smaller one of two ids leads the handshake.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Id {
    Lowest,
    Highest,
}

impl Id {
    fn value(self) -> EndpointId {
        let mut bytes = match self {
            Self::Lowest => [0; 16],
            Self::Highest => [0xff; 16],
        };
        // The C++ Broker reads only ids of versions 1 to 5.
        bytes[6] = 0x40 | (bytes[6] & 0x0f);
        bytes[8] = 0x80 | (bytes[8] & 0x3f);
        bytes[15] |= 1;
        EndpointId::from_bytes(bytes)
    }
}

/// An endpoint of this implementation, and what happens to it.
pub(super) struct Ours {
    pub(super) endpoint: Endpoint,
    mode: Mode,
    events: EventStream,
    log: Log,
}

impl Ours {
    pub(super) fn start(context: &Context, id: Id) -> Check<Self> {
        Self::with(context, Config { endpoint_id: Some(id.value()), ..Config::default() })
    }

    /// An endpoint with a fresh id.
    pub(super) fn fresh(context: &Context) -> Check<Self> {
        Self::with(context, Config::default())
    }

    pub(super) fn with(context: &Context, config: Config) -> Check<Self> {
        Self::built(context, broker::builder().config(config))
    }

    /// An endpoint with the transports of this builder.
    pub(super) fn built(context: &Context, builder: EndpointBuilder) -> Check<Self> {
        let endpoint = builder.build().map_err(|error| format!("ours: {error}"))?;
        let events = endpoint.events();
        Ok(Self { endpoint, mode: context.mode, events, log: context.log.clone() })
    }

    /// An endpoint with these certificates and demands.
    pub(super) fn encrypted(context: &Context, tls: TlsOptions) -> Check<Self> {
        let config = Config::default();
        let tls = Tls::new(tls).map_err(|error| format!("ours: {error}"))?;
        let builder = broker::builder_with_tls(&config.limits, TransportOptions::default(), &tls);
        let builder = builder.map_err(|error| format!("ours: {error}"))?;
        Self::built(context, builder.config(config))
    }

    /// Waits for an entry of the log.
    pub(super) async fn logged(&mut self, id: &str) -> Check<String> {
        let until = Instant::now() + PATIENCE;
        loop {
            let event = timeout_at(until, self.events.next()).await;
            let event = event.map_err(|_| format!("ours: no log entry {id}"))?;
            let event = event.ok_or("ours: the endpoint has stopped")?;
            self.log.note("ours", &event);
            match event {
                Event::Log(entry) if entry.id == id => return Ok(entry.description),
                _ => {}
            }
        }
    }

    /// An address of this machine in the mode of the cell.
    pub(super) fn url(&self, port: u16) -> Address {
        Address::new(self.mode.scheme(), "127.0.0.1", port)
    }

    /// Listens on a free port, or the given one.
    pub(super) async fn listen(&self, port: u16) -> Check<Address> {
        let listening = self.endpoint.listen(self.url(port)).await;
        listening.map_err(|error| format!("ours: {error}"))
    }

    /// Keeps trying to be peered with a port of this machine.
    pub(super) fn dial(&self, port: u16) -> Address {
        let url = self.url(port);
        // The outcome shows in the events.
        drop(self.endpoint.peer(&url, Retry::every(RETRY)));
        url
    }

    /// The next status or error.
    async fn event(&mut self, until: Instant) -> Check<Event> {
        loop {
            let event = timeout_at(until, self.events.next()).await;
            let event = event.map_err(|_| "ours: what should happen does not")?;
            let event = event.ok_or("ours: the endpoint has stopped")?;
            self.log.note("ours", &event);
            if !matches!(event, Event::Log(_)) {
                return Ok(event);
            }
        }
    }

    async fn status(&mut self, code: StatusCode, id: Option<EndpointId>) -> Check<EndpointId> {
        let event = self.event(Instant::now() + PATIENCE).await?;
        let found = event.endpoint().map(|endpoint| endpoint.id);
        if event.status() == Some(code) && (id.is_none() || id == found) {
            return found.ok_or_else(|| format!("ours: {event} concerns nobody"));
        }
        Err(format!("ours: {event}, should be {} of {id:?}", code.event_name()))
    }

    /// Waits for a new peer: first it is discovered, then added. Failed attempts before that are
    /// what a retry is for.
    pub(super) async fn added(&mut self) -> Check<EndpointId> {
        self.added_within(PATIENCE).await
    }

    /// Waits for a new peer, which may take its time.
    pub(super) async fn added_within(&mut self, patience: Duration) -> Check<EndpointId> {
        let until = Instant::now() + patience;
        let id = loop {
            let event = self.event(until).await?;
            match (event.status(), event.endpoint()) {
                (Some(StatusCode::EndpointDiscovered), Some(endpoint)) => break endpoint.id,
                (None, _) if event.to_string().starts_with("peer_unavailable") => {}
                _ => return Err(format!("ours: {event}, should be endpoint_discovered")),
            }
        };
        self.status(StatusCode::PeerAdded, Some(id)).await
    }

    /// Waits for the end of a peering: first lost or removed, then unreachable.
    pub(super) async fn ended(&mut self, code: StatusCode, id: EndpointId) -> Check {
        self.status(code, Some(id)).await?;
        self.status(StatusCode::EndpointUnreachable, Some(id)).await.map(drop)
    }

    /// Whether nothing has happened that was not expected.
    pub(super) fn quiet(&mut self) -> Check {
        while let Some(event) = self.events.try_next() {
            if !matches!(event, Event::Log(_)) {
                return Err(format!("ours: {event}, which was not expected"));
            }
        }
        Ok(())
    }

    /// Waits until the peer has handled everything that was sent to it.
    pub(super) async fn settled(&self, peer: EndpointId) -> Check {
        let answered = timeout(PATIENCE, self.endpoint.ping(peer)).await;
        let answered = answered.map_err(|_| format!("ours: ping of {peer}: no answer"))?;
        answered.map(drop).map_err(|error| format!("ours: ping of {peer}: {error}"))
    }

    /// Waits until the peer has announced exactly this filter. Only the tools know when they
    /// subscribe, and no event tells.
    pub(super) async fn filter(&self, peer: EndpointId, topics: &[&str]) -> Check {
        let announced = async {
            while self.endpoint.peer_filter(peer).is_none_or(|filter| filter != topics) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, announced).await.map_err(|_| {
            let filter = self.endpoint.peer_filter(peer);
            format!("ours: the filter of {peer} is {filter:?}, should be {topics:?}")
        })
    }

    pub(super) async fn publish(
        &self,
        topic: &str,
        value: &(impl broker::data::Encode + ?Sized),
    ) -> Check {
        let published = self.endpoint.publish(topic, value).await;
        let published = published.map_err(|error| format!("ours: publishing: {error}"))?;
        same("the number of peers that a message went to", &published.peers, &1)
    }

    /// Fails unless the link to this peer is protected as the mode of the cell says.
    pub(super) fn protected(&self, peer: EndpointId) -> Check {
        let expected = match self.mode {
            Mode::Anonymous | Mode::Quic => Protection::Encrypted,
            _ => Protection::Plain,
        };
        let peers = self.endpoint.peers();
        let info = peers.iter().find(|info| info.id == Some(peer) && info.protection.is_some());
        same("the protection", &info.and_then(|info| info.protection.clone()), &Some(expected))
    }

    /// Ends the endpoint in an orderly way.
    pub(super) async fn shut_down(self) -> Check {
        self.log.note("ours", "shutdown");
        let stopped = timeout(PATIENCE, self.endpoint.shutdown()).await;
        stopped.map_err(|_| "ours: the endpoint does not stop".to_owned())
    }
}

/// The next message of a subscriber.
pub(super) async fn next(subscriber: &mut Subscriber) -> Check<Message> {
    let message = timeout(PATIENCE, subscriber.recv()).await;
    message.map_err(|_| "ours: no message")?.ok_or_else(|| "ours: no more messages".to_owned())
}

/// An endpoint on a runtime of its own, which can be torn down as a process would be: the sockets
/// are closed and nothing is said.
pub(super) struct Mortal {
    pub(super) ours: Ours,
    /// There is one until this is dropped.
    runtime: Option<tokio::runtime::Runtime>,
}

impl Mortal {
    pub(super) fn start(context: &Context, id: Id) -> Check<Self> {
        Self::with(|| Ours::start(context, id))
    }

    /// An endpoint with a fresh id.
    pub(super) fn fresh(context: &Context) -> Check<Self> {
        Self::with(|| Ours::fresh(context))
    }

    fn with(start: impl FnOnce() -> Check<Ours>) -> Check<Self> {
        let runtime = tokio::runtime::Runtime::new().map_err(|error| error.to_string())?;
        let ours = {
            let _entered = runtime.enter();
            start()?
        };
        Ok(Self { ours, runtime: Some(runtime) })
    }

    pub(super) fn kill(self, context: &Context) {
        context.log.note("ours", "killed");
        drop(self);
    }

    /// Keeps trying to be peered with a port of this machine.
    pub(super) fn dial(&self, port: u16) {
        let _entered = self.runtime.as_ref().map(tokio::runtime::Runtime::enter);
        self.ours.dial(port);
    }

    /// Listens on the runtime of the endpoint, so that it ends with it.
    pub(super) async fn listen(&self, port: u16) -> Check<u16> {
        let endpoint = self.ours.endpoint.clone();
        let at = self.ours.url(port);
        let runtime = self.runtime.as_ref().ok_or("there is no runtime")?;
        let listening = runtime.spawn(async move { endpoint.listen(&at).await });
        let listening = listening.await.map_err(|error| error.to_string())?;
        listening.map(|url| url.port()).map_err(|error| error.to_string())
    }
}

impl Drop for Mortal {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
