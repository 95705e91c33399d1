//! What the benchmarks publish: the events of the C++ Broker's `broker-throughput`, and strings.

use broker::core::wire::envelope::{Envelope, EnvelopeType};
use broker::core::wire::frame::finish_frame;
use broker::data::{
    Encode, EnumValue, IpAddress, Kind, Port, Protocol, Slot, Timespan, Timestamp, View,
};
use broker::{EndpointId, MessageView};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The topic of `broker-throughput`, which decides the size of the frames as well.
pub(super) const TOPIC: &str = "/benchmark/events";

/// How many different records a generator goes through.
const RECORDS: usize = 64;

/// A kind of message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Shape {
    /// Event type 1 of the C++ Broker: a number and a short string.
    Small,
    /// Event type 2: a line of a connection log.
    Conn,
    /// Event type 3: a table of 100 keys with 10 strings each.
    Table,
    /// A string of this many bytes.
    Raw(usize),
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Small => f.write_str("small event"),
            Self::Conn => f.write_str("conn-log line"),
            Self::Table => f.write_str("table of 100 keys"),
            Self::Raw(size) if size % 1024 == 0 => write!(f, "{} KiB string", size / 1024),
            Self::Raw(size) => write!(f, "{size} byte string"),
        }
    }
}

/// Makes one message after the other without allocating.
///
/// The strings are drawn in advance: what is measured is encoding and moving, not drawing. Times
/// and counters are new in every message.
pub(super) struct Generator {
    records: Vec<Record>,
    number: u64,
}

/// A message that can be published.
pub(super) enum Record {
    Small,
    Conn(ConnLine),
    Table(TableEvent),
    Raw(String),
}

impl Generator {
    pub(super) fn new(shape: Shape) -> Self {
        let mut draw = Draw::default();
        let record = |_| match shape {
            Shape::Small => Record::Small,
            Shape::Conn => Record::Conn(ConnLine::new(&mut draw)),
            Shape::Table => Record::Table(TableEvent::new(&mut draw)),
            Shape::Raw(size) => Record::Raw("x".repeat(size)),
        };
        let count = if matches!(shape, Shape::Conn | Shape::Table) { RECORDS } else { 1 };
        Self { records: (0..count).map(record).collect(), number: 0 }
    }

    /// The next message.
    pub(super) fn next(&mut self) -> &Record {
        let at = self.number as usize % self.records.len();
        self.number += 1;
        let record = &mut self.records[at];
        match record {
            Record::Conn(line) => line.number = self.number,
            Record::Table(event) => event.number = self.number,
            Record::Small | Record::Raw(_) => {}
        }
        record
    }

    /// What stands in front of the payload of every frame; its length is to be filled in.
    pub(super) fn head() -> Vec<u8> {
        let envelope = Envelope {
            sender: EndpointId::NIL,
            receiver: EndpointId::NIL,
            kind: EnvelopeType::Data,
            ttl: broker::core::wire::DEFAULT_TTL,
            topic: TOPIC.as_bytes(),
            payload: &[],
        };
        let mut head = Vec::new();
        // The topic is short enough.
        let _ = envelope.put_frame(&mut head);
        head
    }

    /// Whole frames of at least `bytes` bytes, as this endpoint would send them, and how many
    /// frames there are.
    pub(super) fn frames(shape: Shape, bytes: usize) -> (Vec<u8>, usize) {
        let (mut generator, head) = (Self::new(shape), Self::head());
        let (mut frames, mut count) = (Vec::new(), 0);
        loop {
            let start = frames.len();
            frames.extend_from_slice(&head);
            generator.next().encode_into(&mut frames);
            finish_frame(&mut frames, start);
            count += 1;
            if frames.len() + (frames.len() - start) > bytes {
                return (frames, count);
            }
        }
    }
}

impl Encode for Record {
    fn encode_into(&self, out: &mut Vec<u8>) {
        match self {
            Self::Small => event(out, "event_1", |args| {
                args.vector().push(&42_i64).push("test");
            }),
            Self::Conn(line) => event(out, "event_2", |args| args.put(line)),
            Self::Table(table) => event(out, "event_3", |args| args.put(table)),
            Self::Raw(string) => string.encode_into(out),
        }
    }
}

/// An event as Zeek sends it, written without a value in between.
fn event(out: &mut Vec<u8>, name: &str, args: impl FnOnce(Slot<'_>)) {
    let mut message = Slot::new(out).vector();
    message.push(&1_u64).push(&1_u64);
    let mut content = message.next().vector();
    content.push(name);
    args(content.next());
}

/// The arguments of event type 2.
pub(super) struct ConnLine {
    number: u64,
    uid: String,
    service: EnumValue,
    strings: [String; 3],
    set: [String; 2],
}

impl ConnLine {
    fn new(draw: &mut Draw) -> Self {
        let mut set = [draw.string(10), draw.string(10)];
        set.sort();
        Self {
            number: 0,
            uid: draw.string(10),
            service: EnumValue("tcp".into()),
            strings: [draw.string(10), draw.string(5), draw.string(10)],
            set,
        }
    }
}

const fn v4(a: u8, b: u8, c: u8, d: u8) -> IpAddress {
    IpAddress::from_bytes([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d])
}

const fn tcp(number: u16) -> Port {
    Port::new(number, Protocol::Tcp)
}

impl Encode for ConnLine {
    fn encode_into(&self, out: &mut Vec<u8>) {
        let count = self.number;
        let [service, history, parents] = &self.strings;
        let mut line = Slot::new(out).vector();
        line.push(&Timestamp(1_700_000_000_000_000_000 + count.cast_signed())).push(&self.uid);
        let mut id = line.next().vector();
        id.push(&v4(1, 2, 3, 4)).push(&tcp(4567)).push(&v4(3, 4, 5, 6)).push(&tcp(80));
        id.finish();
        line.push(&self.service).push(service).push(&Timespan(3_140_000_000));
        line.push(&count).push(&count).push(history).push(&true).push(&false);
        line.push(&count).push(parents).push(&count).push(&count).push(&count).push(&count);
        let mut set = line.next().set();
        self.set.iter().for_each(|tunnel| {
            set.insert(tunnel);
        });
    }
}

/// The arguments of event type 3.
pub(super) struct TableEvent {
    number: u64,
    table: Vec<(String, Vec<String>)>,
}

impl TableEvent {
    fn new(draw: &mut Draw) -> Self {
        let mut table = BTreeMap::new();
        // A key that readers can look up, in the middle.
        table.insert("V0123456789abcd".to_owned(), draw.set());
        while table.len() < 100 {
            table.insert(draw.string(15), draw.set());
        }
        Self { number: 0, table: table.into_iter().collect() }
    }
}

impl Encode for TableEvent {
    fn encode_into(&self, out: &mut Vec<u8>) {
        let mut args = Slot::new(out).vector();
        args.push(&Timestamp(1_700_000_000_000_000_000 + self.number.cast_signed()));
        let mut table = args.next().table();
        for (key, members) in &self.table {
            let mut set = table.entry(key).set();
            members.iter().for_each(|member| {
                set.insert(member);
            });
        }
    }
}

/// The random strings of the C++ Broker: `minstd_rand`, modulo 62.
struct Draw(u64);

impl Default for Draw {
    fn default() -> Self {
        Self(31337)
    }
}

impl Draw {
    fn string(&mut self, length: usize) -> String {
        const ALPHABET: &[u8; 62] =
            b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let mut character = |_| {
            self.0 = self.0 * 48271 % 0x7fff_ffff;
            char::from(ALPHABET[self.0 as usize % ALPHABET.len()])
        };
        (0..length).map(&mut character).collect()
    }

    fn set(&mut self) -> Vec<String> {
        let mut set = BTreeSet::new();
        while set.len() < 10 {
            set.insert(self.string(5));
        }
        set.into_iter().collect()
    }
}

/// What a subscriber does with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Reading {
    /// Reads one field through the view.
    View,
    /// Decodes everything into owned values.
    Decode,
}

impl Reading {
    /// Reads a message; false if it is not what was sent.
    pub(super) fn read(self, shape: Shape, message: MessageView<'_>) -> bool {
        match self {
            Self::View => field(shape, message.view()),
            Self::Decode => message.data().is_ok_and(|value| {
                let expected =
                    if matches!(shape, Shape::Raw(_)) { Kind::String } else { Kind::Vector };
                std::hint::black_box(value).kind() == expected
            }),
        }
    }
}

fn field(shape: Shape, view: View<'_>) -> bool {
    match shape {
        Shape::Small => view.path([2, 1, 0]).and_then(|view| view.as_integer()) == Some(42),
        Shape::Conn => {
            let port = view.path([2, 1, 2, 3]).and_then(|view| view.as_port());
            port.is_some_and(|port| port.number == 80)
        }
        Shape::Table => {
            let set = view.path([2, 1, 1]).and_then(|table| table.lookup("V0123456789abcd"));
            set.is_some_and(|set| set.len() == 10)
        }
        Shape::Raw(size) => view.as_bytes().is_some_and(|bytes| bytes.len() == size),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use broker::data::Value;

    fn frame_size(shape: Shape) -> usize {
        Generator::frames(shape, 0).0.len()
    }

    #[test]
    fn frames_have_the_sizes_of_the_cpp_broker() {
        assert_eq!([Shape::Small, Shape::Conn, Shape::Table].map(frame_size), [106, 294, 9002]);
    }

    #[test]
    fn every_shape_is_a_valid_value_with_the_field_that_is_read() {
        for shape in [Shape::Small, Shape::Conn, Shape::Table, Shape::Raw(100)] {
            let mut payload = Vec::new();
            Generator::new(shape).next().encode_into(&mut payload);
            let value = Value::decode(&payload).unwrap();
            assert_eq!(value.encode(), payload, "{shape} in canonical form");
            assert!(field(shape, View::parse(&payload).unwrap()), "{shape}");
        }
    }

    #[test]
    fn blocks_hold_as_many_whole_frames_as_fit_and_at_least_one() {
        for (shape, bytes, count) in [(Shape::Small, 65536, 618), (Shape::Raw(100_000), 65536, 1)] {
            let (frames, counted) = Generator::frames(shape, bytes);
            assert_eq!(counted, count);
            assert_eq!(broker::core::wire::frame::payloads(&frames).count(), count);
        }
    }
}
