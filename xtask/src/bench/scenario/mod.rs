//! What is measured.

mod flow;
mod latency;
mod memory;
mod storm;

use super::Result;
use super::peers::Peers;
use super::protocol::{Node, Role, Task};
use super::reference::Reference;
use super::shape::{Reading, Shape};
pub(super) use latency::{Pair, describe};

pub(super) use flow::{Flow, Line};
use latency::Pings;
use serde::Serialize;
use std::collections::BTreeMap;

/// Who does the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Column {
    /// Two or more processes with endpoints of this project.
    Ours,
    /// A plain program that only moves frames.
    Floor,
    /// The floor that encodes every message, and checks it at the other end.
    Codec,
    /// The programs of the C++ Broker.
    Reference,
    /// NATS, with its server.
    Nats,
    /// Zenoh, from peer to peer or through a router.
    Zenoh,
}

impl Column {
    pub(super) const ALL: [Self; 6] =
        [Self::Ours, Self::Floor, Self::Codec, Self::Reference, Self::Nats, Self::Zenoh];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Floor => "floor",
            Self::Codec => "floor with codec",
            Self::Reference => "C++",
            Self::Nats => "NATS",
            Self::Zenoh => "Zenoh",
        }
    }
}

/// How it is measured.
pub(super) struct Context {
    pub(super) scheme: String,
    pub(super) threads: usize,
    pub(super) quick: bool,
    pub(super) warm_up: f64,
    pub(super) seconds: f64,
    pub(super) reference: Option<Reference>,
    pub(super) peers: Option<Peers>,
}

impl Context {
    fn task(&self, role: Role) -> Task {
        Task { threads: self.threads, role }
    }

    fn listening(&self) -> Node {
        let listen = Some(format!("{}://127.0.0.1:0", self.scheme));
        Node { endpoints: 1, listen, dial: None, half_open: None }
    }

    fn dialling(&self, endpoints: usize, url: String) -> Node {
        Node { endpoints, listen: None, dial: Some(url), half_open: None }
    }
}

/// The result of one run.
#[derive(Debug, Clone, Default)]
pub(super) struct Sample {
    /// In the unit of the scenario.
    pub(super) value: f64,
    /// Processor seconds for a million messages, of all processes together.
    pub(super) cpu_per_million: Option<f64>,
    /// The most memory that one of the processes held, in bytes.
    pub(super) peak_memory: Option<u64>,
    /// Messages that were dropped on the way.
    pub(super) lost: u64,
    /// What else was measured.
    pub(super) details: BTreeMap<&'static str, f64>,
}

/// Something that can be measured.
pub(super) struct Scenario {
    pub(super) name: String,
    pub(super) about: String,
    pub(super) unit: Unit,
    /// Part of a quick run.
    pub(super) quick: bool,
    kind: Kind,
}

enum Kind {
    Flow(Flow),
    Pings(Pings),
    Storm,
    Memory { traffic: bool },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) enum Unit {
    #[serde(rename = "messages/s")]
    PerSecond,
    #[serde(rename = "us")]
    Microseconds,
    #[serde(rename = "ms")]
    Milliseconds,
    #[serde(rename = "KiB")]
    Kibibytes,
}

impl Scenario {
    /// Measures once, or as often as one run of the column allows. Nothing if the column has no
    /// such thing.
    pub(super) fn run(&self, column: Column, context: &Context) -> Result<Vec<Sample>> {
        match &self.kind {
            Kind::Flow(flow) => flow.run(column, context),
            Kind::Pings(pings) => pings.run(column, context),
            Kind::Storm => storm::run(column, context),
            Kind::Memory { traffic } => memory::run(*traffic, column, context),
        }
    }
}

struct List(Vec<Scenario>);

impl List {
    fn add(&mut self, name: &str, about: String, unit: Unit, quick: bool, kind: Kind) {
        self.0.push(Scenario { name: name.to_owned(), about, unit, quick, kind });
    }

    fn flow(&mut self, name: &str, about: &str, quick: bool, flow: Flow) {
        let about = format!("{}, {about}", flow.shape);
        self.add(name, about, Unit::PerSecond, quick, Kind::Flow(flow));
    }
}

/// All scenarios, in the order in which they are measured.
pub(super) fn all() -> Vec<Scenario> {
    let mut list = List(Vec::new());
    for (name, shape) in [("small", Shape::Small), ("conn", Shape::Conn), ("table", Shape::Table)] {
        let pair = Flow::pair(shape);
        list.flow(&format!("{name}-view"), "one field read through the view", true, pair);
        let pair = Flow { reading: Reading::Decode, ..pair };
        list.flow(&format!("{name}-decode"), "decoded", false, pair);
    }
    let batches = |shape| Flow { batches: true, ..Flow::pair(shape) };
    list.flow("small-batch", "pair, in batches", true, batches(Shape::Small));
    list.flow("conn-batch", "pair, in batches", false, batches(Shape::Conn));
    payloads(&mut list);
    for subscribers in [1, 8, 64] {
        let flow = Flow { subscribers, ..Flow::pair(Shape::Small) };
        let about = format!("one publisher, {subscribers} subscribers, deliveries in total");
        list.flow(&format!("fan-out-{subscribers}"), &about, subscribers == 64, flow);
    }
    let flow = Flow { publishers: 64, ..Flow::pair(Shape::Small) };
    list.flow("fan-in-64", "64 publishers, one subscriber", false, flow);
    hubs(&mut list);
    routing(&mut list);
    for (name, about, pings) in latency::all() {
        list.add(name, about.to_owned(), Unit::Microseconds, true, Kind::Pings(pings));
    }
    let about = format!("{} peers connect at once to one endpoint", storm::PEERS);
    list.add("storm-1000", about, Unit::Milliseconds, true, Kind::Storm);
    let about = "resident memory of an endpoint, for each of 1000 idle peers";
    list.add(
        "memory-fresh",
        about.to_owned(),
        Unit::Kibibytes,
        true,
        Kind::Memory { traffic: false },
    );
    list.add(
        "memory-used",
        format!("{about}, after a burst of traffic"),
        Unit::Kibibytes,
        false,
        Kind::Memory { traffic: true },
    );
    list.0
}

/// Payloads of all sizes, which other systems have as well.
fn payloads(list: &mut List) {
    let sizes = [("16", 16), ("100", 100), ("1k", 1024), ("64k", 64 * 1024), ("1m", 1024 * 1024)];
    for (name, size) in sizes {
        let pair = Flow::pair(Shape::Raw(size));
        let quick = name == "1m";
        list.flow(&format!("raw-{name}"), "pair", quick, pair);
        let batches = Flow { batches: true, ..pair };
        list.flow(&format!("raw-{name}-batch"), "pair, in batches", false, batches);
        let about = "through a hub, in batches";
        list.flow(&format!("raw-{name}-hub"), about, false, batches.through_hub());
    }
    for subscribers in [1, 4, 16] {
        let flow = Flow { subscribers, batches: true, ..Flow::pair(Shape::Raw(100)) };
        let about = format!("in batches to {subscribers} subscribers, deliveries in total");
        list.flow(&format!("raw-fan-out-{subscribers}"), &about, false, flow);
    }
}

fn hubs(list: &mut List) {
    for (name, shape) in [("small", Shape::Small), ("conn", Shape::Conn)] {
        let direct = Flow { in_flight: Some(flow::IN_FLIGHT), ..Flow::pair(shape) };
        let about = "pair with end-to-end flow control, as for the hub";
        list.flow(&format!("direct-{name}"), about, name == "small", direct);
        let hub = direct.through_hub();
        let about = "a hub between publisher and subscriber";
        list.flow(&format!("hub-{name}"), about, name == "small", hub);
    }
}

fn routing(list: &mut List) {
    let pair = Flow::pair(Shape::Small);
    let crowd = Flow { subscribers: flow::CROWD, own_prefixes: Some(flow::PREFIXES), ..pair };
    let about = "100 peers with 1000 prefixes each, all on one topic of one peer";
    list.flow("topics-one", about, true, Flow { published: Some((1, 1)), ..crowd });
    let about = "100 peers with 1000 prefixes each, 1000 topics of 100 peers in turn";
    list.flow("topics-1000", about, false, Flow { published: Some((flow::CROWD, 10)), ..crowd });
    let about = "100 peers with 1000 prefixes each, 100,000 topics in turn";
    let every = Some((flow::CROWD, flow::PREFIXES));
    list.flow("topics-100000", about, true, Flow { published: every, ..crowd });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        let mut names: Vec<String> = all().into_iter().map(|scenario| scenario.name).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
