use crate::Directions;
use broker_core::{Address, EndpointId};
use metrics::{Counter, SharedString, counter};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// What became of messages at a bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Carried {
    /// Handed to the server and read by it.
    ToServer,
    /// Published into the overlay.
    FromServer,
    /// Not handed to the server, which takes only Zeek's events.
    NoEvent,
    /// Refused by the server, mostly an event that it does not declare.
    Refused,
    /// Something from the server that is no message.
    Unexpected,
    /// Not handed to the server, because it is larger than the server takes.
    TooLarge,
    /// Handed to the server, or about to be, when the connection ended, and not confirmed.
    Lost,
    /// Not carried, in whichever direction, because other bridges have carried it before.
    Crossed,
    /// Not carried, in whichever direction, because the same message was carried too often within
    /// ten seconds.
    Repeated,
}

impl Carried {
    const ALL: [Self; 9] = [
        Self::ToServer,
        Self::FromServer,
        Self::NoEvent,
        Self::Refused,
        Self::Unexpected,
        Self::TooLarge,
        Self::Lost,
        Self::Crossed,
        Self::Repeated,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::ToServer => "to-server",
            Self::FromServer => "from-server",
            Self::NoEvent => "no-event",
            Self::Refused => "refused",
            Self::Unexpected => "unexpected",
            Self::TooLarge => "too-large",
            Self::Lost => "lost",
            Self::Crossed => "crossed",
            Self::Repeated => "repeated",
        }
    }
}

/// A bridge, as those who look at it see it.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgeStatus {
    /// The address of the server, without a query.
    pub server: Address,
    /// What the server calls its version.
    pub version: String,
    /// Which topics go which way.
    pub directions: Directions,
    /// Messages that the server has read, with those among them that it refused.
    pub to_server: u64,
    /// Messages published into the overlay.
    pub from_server: u64,
    /// Messages that were not handed to the server, which takes only Zeek's events.
    pub no_event: u64,
    /// Messages that the server refused, mostly events that it does not declare.
    pub refused: u64,
    /// What came from the server and is no message.
    pub unexpected: u64,
    /// Messages that were not handed to the server because they are larger than it takes.
    pub too_large: u64,
    /// Messages that the server had not confirmed when the connection ended.
    pub lost: u64,
    /// Messages that were not carried because other bridges had carried them before.
    pub crossed: u64,
    /// Messages that were not carried because they came too often.
    pub repeated: u64,
    /// What the server last refused, and why.
    pub last_refusal: Option<String>,
}

/// The counters of one connection of a bridge. Each is also the metric
/// `broker_bridge_messages_total{server,outcome}`.
#[derive(Debug)]
pub(crate) struct Counters {
    server: Address,
    /// The server as a label of metrics.
    name: Arc<str>,
    version: String,
    /// The endpoint that serves, if the server names one.
    endpoint: Option<EndpointId>,
    directions: Directions,
    counts: [AtomicU64; 9],
    last_refusal: Mutex<Option<String>>,
}

/// The counter for an outcome. Not kept, as a recorder may forget it while nothing is carried.
fn metric(server: &Arc<str>, outcome: Carried) -> Counter {
    counter!("broker_bridge_messages_total",
        "server" => SharedString::from(Arc::clone(server)), "outcome" => outcome.name())
}

impl Counters {
    /// `endpoint` is the one that serves at the other side, if it names one.
    pub(crate) fn new(
        to: &Address,
        directions: &Directions,
        version: String,
        endpoint: Option<EndpointId>,
    ) -> Self {
        let server = to.clone().with_query("");
        let name = server.to_string().into();
        // A counter that shows up with its first message hides that message from rates.
        Carried::ALL.iter().for_each(|outcome| metric(&name, *outcome).increment(0));
        let counts = Default::default();
        let directions = directions.clone();
        let last_refusal = Mutex::default();
        Self { server, name, version, endpoint, directions, counts, last_refusal }
    }

    pub(crate) fn server(&self) -> &Address {
        &self.server
    }

    /// Counts a message, and returns how many there are of the kind now.
    pub(crate) fn count(&self, what: Carried) -> u64 {
        self.add(what, 1)
    }

    /// Counts several messages at once.
    pub(crate) fn add(&self, what: Carried, more: u64) -> u64 {
        metric(&self.name, what).increment(more);
        self.counts.get(what as usize).map_or(0, |count| count.fetch_add(more, Relaxed) + more)
    }

    pub(crate) fn note_refusal(&self, reason: &str) {
        *self.last_refusal.lock() = Some(reason.to_owned());
    }

    /// The address and the topic, if this bridge leads to this endpoint and carries a topic the
    /// other way.
    pub(crate) fn against(
        &self,
        endpoint: EndpointId,
        directions: &Directions,
    ) -> Option<(Address, String)> {
        let topic = self.directions.against(directions)?;
        (self.endpoint == Some(endpoint)).then(|| (self.server.clone(), topic.to_owned()))
    }

    pub(crate) fn status(&self) -> BridgeStatus {
        let [
            to_server,
            from_server,
            no_event,
            refused,
            unexpected,
            too_large,
            lost,
            crossed,
            repeated,
        ] = std::array::from_fn(|at| self.counts.get(at).map_or(0, |count| count.load(Relaxed)));
        BridgeStatus {
            server: self.server.clone(),
            version: self.version.clone(),
            directions: self.directions.clone(),
            to_server,
            from_server,
            no_event,
            refused,
            unexpected,
            too_large,
            lost,
            crossed,
            repeated,
            last_refusal: self.last_refusal.lock().clone(),
        }
    }
}
