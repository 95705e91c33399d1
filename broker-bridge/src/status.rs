use crate::{BridgeKind, Directions};
use broker_core::{Address, EndpointId};
use metrics::{Counter, SharedString, counter};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::ops::Index;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

macro_rules! outcomes {
    ($($(#[$doc:meta])* $outcome:ident = $name:literal,)*) => {
        /// What became of messages at a bridge.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Carried {
            $($(#[$doc])* $outcome,)*
        }

        impl Carried {
            /// All there are.
            pub const ALL: &'static [Self] = &[$(Self::$outcome,)*];

            /// The word for it, the label `outcome` of metrics.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$outcome => $name,)* }
            }
        }
    };
}

outcomes! {
    /// Handed to the other side and read by it.
    ToServer = "to-server",
    /// Published into the overlay.
    FromServer = "from-server",
    /// Not handed to the other side, which takes only Zeek's events.
    NoEvent = "no-event",
    /// Not carried, in whichever direction, because events with this name must not cross.
    NotAllowed = "not-allowed",
    /// Refused by the other side, mostly an event that it does not declare.
    Refused = "refused",
    /// Something from the other side that is no message.
    Unexpected = "unexpected",
    /// Not handed to the other side, because it is larger than that takes.
    TooLarge = "too-large",
    /// Not taken from the other side, because messages came faster than the overlay took them.
    Overflow = "overflow",
    /// Handed to the server, or about to be, when the connection ended, and not confirmed.
    Lost = "lost",
    /// Not carried, in whichever direction, because other bridges have carried it before.
    Crossed = "crossed",
    /// Not carried, in whichever direction, because the same message was carried too often within
    /// ten seconds.
    Repeated = "repeated",
}

/// How many messages there were of each outcome.
///
/// ```
/// let counts = broker_bridge::Counts::default();
/// assert_eq!(counts[broker_bridge::Carried::Lost], 0);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts([u64; Carried::ALL.len()]);

impl Index<Carried> for Counts {
    type Output = u64;

    #[allow(clippy::indexing_slicing, reason = "there is a place for every outcome")]
    fn index(&self, outcome: Carried) -> &u64 {
        &self.0[outcome as usize]
    }
}

impl Counts {
    /// Each count with the word for its outcome.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Carried::ALL.iter().map(|outcome| outcome.name()).zip(self.0)
    }
}

/// A bridge, as those who look at it see it.
#[non_exhaustive]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BridgeStatus {
    /// The word for the kind of bridge.
    pub kind: &'static str,
    /// The address of the other side, without a query.
    pub server: Address,
    /// What the other side calls its version; may be empty.
    pub version: String,
    /// Which topics go which way.
    pub directions: Directions,
    /// What became of messages.
    pub counts: Counts,
    /// What the other side last refused, and why.
    pub last_refusal: Option<String>,
    /// Who is a member of what is at the other side, as far as that has members and tells.
    pub members: Vec<Member>,
}

/// A member of what is at the other side of a bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// What it is called in there, and new whenever it starts.
    pub id: String,
    /// Its name, if it is known.
    pub name: Option<String>,
}

/// As many members are remembered.
const MEMBERS: usize = 4096;

/// The counters of one connection of a bridge. Each is also the metric
/// `broker_bridge_messages_total{server,outcome}`.
#[derive(Debug)]
pub(crate) struct Counters {
    kind: &'static str,
    server: Address,
    /// The server as a label of metrics.
    name: Arc<str>,
    version: String,
    /// The endpoint that serves, if the server names one.
    endpoint: Option<EndpointId>,
    directions: Directions,
    counts: [AtomicU64; Carried::ALL.len()],
    last_refusal: Mutex<Option<String>>,
    members: Mutex<BTreeMap<String, Option<String>>>,
}

/// The counter for an outcome. Not kept, as a recorder may forget it while nothing is carried.
fn metric(server: &Arc<str>, outcome: Carried) -> Counter {
    counter!("broker_bridge_messages_total",
        "server" => SharedString::from(Arc::clone(server)), "outcome" => outcome.name())
}

impl Counters {
    /// `endpoint` is the one that serves at the other side, if it names one.
    pub(crate) fn new(
        kind: &BridgeKind,
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
        let (last_refusal, members) = Default::default();
        let kind = kind.name;
        Self { kind, server, name, version, endpoint, directions, counts, last_refusal, members }
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

    /// Notes that a member has come or gone. Returns whether that is news.
    pub(crate) fn note_member(&self, id: String, name: Option<String>, is_there: bool) -> bool {
        let mut members = self.members.lock();
        if !is_there {
            return members.remove(&id).is_some();
        }
        let has_room = members.len() < MEMBERS || members.contains_key(&id);
        has_room && members.insert(id, name.clone()).is_none_or(|before| before != name)
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
        let count = |at| self.counts.get(at).map_or(0, |count: &AtomicU64| count.load(Relaxed));
        let members = self.members.lock();
        let member =
            |(id, name): (&String, &Option<String>)| Member { id: id.clone(), name: name.clone() };
        BridgeStatus {
            kind: self.kind,
            members: members.iter().map(member).collect(),
            server: self.server.clone(),
            version: self.version.clone(),
            directions: self.directions.clone(),
            counts: Counts(std::array::from_fn(count)),
            last_refusal: self.last_refusal.lock().clone(),
        }
    }
}
