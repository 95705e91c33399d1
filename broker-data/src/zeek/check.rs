//! Validation, for values and for views of encoded values alike.

use super::error::{InvalidMessage, Problem};
use super::{FORMAT_VERSION, MessageType, NETWORK_TIMESTAMP};
use crate::{DecodeLimits, Elements, Kind, Value, View};

type Result<T> = std::result::Result<T, InvalidMessage>;

/// A value, encoded or not.
pub(super) trait Node: Copy {
    type Elements: ExactSizeIterator<Item = Self>;

    fn kind(self) -> Kind;
    fn count(self) -> Option<u64>;
    /// The elements of a vector.
    fn elements(self) -> Option<Self::Elements>;
}

impl<'a> Node for View<'a> {
    type Elements = Elements<'a>;

    fn kind(self) -> Kind {
        View::kind(&self)
    }

    fn count(self) -> Option<u64> {
        self.as_count()
    }

    fn elements(self) -> Option<Elements<'a>> {
        (View::kind(&self) == Kind::Vector).then(|| self.iter())
    }
}

impl<'a> Node for &'a Value {
    type Elements = std::slice::Iter<'a, Value>;

    fn kind(self) -> Kind {
        Value::kind(self)
    }

    fn count(self) -> Option<u64> {
        match self {
            Value::Count(count) => Some(*count),
            _ => None,
        }
    }

    fn elements(self) -> Option<Self::Elements> {
        match self {
            Value::Vector(elements) => Some(elements.iter()),
            _ => None,
        }
    }
}

/// The outermost elements of what claims to be a message.
pub(super) struct Outer<N> {
    pub(super) message_type: MessageType,
    version: N,
    content: N,
}

/// The parts of a valid message.
pub(super) enum Parts<N> {
    Event { name: N, args: N, metadata: Option<N> },
    LogCreate { stream: N, writer: N, writer_info: N, fields: N },
    LogWrite { stream: N, writer: N, path: N, record: N },
    IdentifierUpdate { identifier: N, value: N },
    Batch { items: N },
}

/// Most batches inside each other, far more than fit into a payload with the usual limits.
const MAX_BATCHES: usize = DecodeLimits::HIGHEST_DEPTH / 2;

/// Checks that `node` is a valid message, batches and what is in them included.
pub(super) fn parts<N: Node>(node: N) -> Result<Parts<N>> {
    message(node, MAX_BATCHES)
}

fn of_kind<N: Node>(node: N, expected: Kind, what: &'static str) -> Result<N> {
    match node.kind() {
        kind if kind == expected => Ok(node),
        found => Err(InvalidMessage::new(Problem::Kind { what, expected, found })),
    }
}

fn vector<N: Node>(node: N, what: &'static str) -> Result<N::Elements> {
    node.elements().ok_or_else(|| {
        let found = node.kind();
        InvalidMessage::new(Problem::Kind { what, expected: Kind::Vector, found })
    })
}

/// The first `COUNT` elements of a vector.
fn first<N: Node, const COUNT: usize>(node: N, what: &'static str) -> Result<[N; COUNT]> {
    let mut elements = vector(node, what)?;
    let found = elements.len();
    let mut first = [node; COUNT];
    for place in &mut first {
        *place = elements
            .next()
            .ok_or_else(|| InvalidMessage::new(Problem::Short { what, least: COUNT, found }))?;
    }
    Ok(first)
}

pub(super) fn classify<N: Node>(node: N) -> Result<Outer<N>> {
    let [version, number, content] = first(node, "a message")?;
    let Some(number) = number.count() else {
        let what = "the message type";
        let problem = Problem::Kind { what, expected: Kind::Count, found: number.kind() };
        return Err(InvalidMessage::new(problem).inside(1));
    };
    match MessageType::from_number(number) {
        MessageType::Invalid => Err(InvalidMessage::new(Problem::Type(number)).inside(1)),
        message_type => Ok(Outer { message_type, version, content }),
    }
}

fn message<N: Node>(node: N, batches_left: usize) -> Result<Parts<N>> {
    let Outer { message_type, version, content } = classify(node)?;
    match of_kind(version, Kind::Count, "the format version").map(N::count) {
        Ok(Some(FORMAT_VERSION)) => {}
        Ok(version) => {
            let problem = Problem::Version(version.unwrap_or_default());
            return Err(InvalidMessage::new(problem).inside(0));
        }
        Err(error) => return Err(error.inside(0)),
    }
    let parts = match message_type {
        MessageType::Event => event(content),
        MessageType::LogCreate => log_create(content),
        MessageType::LogWrite => log_write(content),
        MessageType::IdentifierUpdate => identifier_update(content),
        _ => batch(content, batches_left),
    };
    parts.map_err(|error| error.inside(2))
}

fn event<N: Node>(content: N) -> Result<Parts<N>> {
    const WHAT: &str = "the content of an event";
    let mut elements = vector(content, WHAT)?;
    let found = elements.len();
    let (Some(name), Some(args)) = (elements.next(), elements.next()) else {
        return Err(InvalidMessage::new(Problem::Short { what: WHAT, least: 2, found }));
    };
    of_kind(name, Kind::String, "the name of an event").map_err(|error| error.inside(0))?;
    of_kind(args, Kind::Vector, "the arguments of an event").map_err(|error| error.inside(1))?;
    let metadata = elements.next();
    if let Some(metadata) = metadata {
        check_metadata(metadata).map_err(|error| error.inside(2))?;
    }
    Ok(Parts::Event { name, args, metadata })
}

fn check_metadata<N: Node>(metadata: N) -> Result<()> {
    for (index, entry) in vector(metadata, "the metadata of an event")?.enumerate() {
        check_entry(entry).map_err(|error| error.inside(index))?;
    }
    Ok(())
}

fn check_entry<N: Node>(entry: N) -> Result<()> {
    let mut elements = vector(entry, "a metadata entry")?;
    let found = elements.len();
    let (2, Some(id), Some(value)) = (found, elements.next(), elements.next()) else {
        return Err(InvalidMessage::new(Problem::EntryLength(found)));
    };
    of_kind(id, Kind::Count, "a metadata id").map_err(|error| error.inside(0))?;
    if id.count() == Some(NETWORK_TIMESTAMP) {
        of_kind(value, Kind::Timestamp, "the network timestamp")
            .map_err(|error| error.inside(1))?;
    }
    Ok(())
}

fn stream_and_writer<N: Node>(stream: N, writer: N) -> Result<()> {
    of_kind(stream, Kind::Enum, "the stream of a log").map_err(|error| error.inside(0))?;
    of_kind(writer, Kind::Enum, "the writer of a log").map_err(|error| error.inside(1))?;
    Ok(())
}

fn log_create<N: Node>(content: N) -> Result<Parts<N>> {
    let [stream, writer, writer_info, fields] = first(content, "the content of a log creation")?;
    stream_and_writer(stream, writer)?;
    Ok(Parts::LogCreate { stream, writer, writer_info, fields })
}

fn log_write<N: Node>(content: N) -> Result<Parts<N>> {
    let [stream, writer, path, record] = first(content, "the content of a log record")?;
    stream_and_writer(stream, writer)?;
    of_kind(path, Kind::String, "the path of a log").map_err(|error| error.inside(2))?;
    of_kind(record, Kind::String, "a serialized log record").map_err(|error| error.inside(3))?;
    Ok(Parts::LogWrite { stream, writer, path, record })
}

fn identifier_update<N: Node>(content: N) -> Result<Parts<N>> {
    let [identifier, value] = first(content, "the content of an identifier update")?;
    of_kind(identifier, Kind::String, "an identifier").map_err(|error| error.inside(0))?;
    Ok(Parts::IdentifierUpdate { identifier, value })
}

fn batch<N: Node>(items: N, batches_left: usize) -> Result<Parts<N>> {
    let elements = vector(items, "the content of a batch")?;
    let Some(batches_left) = batches_left.checked_sub(1) else {
        return Err(InvalidMessage::new(Problem::BatchDepth(MAX_BATCHES)));
    };
    for (index, item) in elements.enumerate() {
        message(item, batches_left).map_err(|error| error.inside(index))?;
    }
    Ok(Parts::Batch { items })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zeek::ZeekMessageView;

    #[test]
    fn bytes_that_nobody_validated_do_no_harm() {
        let batch = b"\x0e\x03\x02\0\0\0\0\0\0\0\x01\x02\0\0\0\0\0\0\0\x05\x0e\x01";
        let mut nested = batch.repeat(10_000);
        assert!(ZeekMessageView::parse(View::of_validated(&nested)).is_err());
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..2000 {
            nested.truncate(random.usize(20..200));
            for _ in 0..3 {
                let at = random.usize(..nested.len());
                nested[at] = random.u8(..16);
            }
            if let Ok(message) = ZeekMessageView::parse(View::of_validated(&nested)) {
                let _ = message.to_message();
            }
            nested.resize(200, 0);
        }
    }
}
