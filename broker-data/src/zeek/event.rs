//! Events.

use super::NETWORK_TIMESTAMP;
use crate::{BString, Timestamp, Value};

/// An event: a name, arguments in the order of the declaration, and perhaps metadata.
///
/// ```
/// use broker_data::{Timestamp, Value, zeek::ZeekEvent};
///
/// let event = Event::new("ping").arg("hi").arg(5_u64).network_timestamp(Timestamp(1));
/// let value = Value::from(event);
/// # let _ = value;
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct ZeekEvent {
    /// The name, for example `Cluster::hello`.
    pub name: BString,
    /// The arguments; their number and types must be those of the declaration at the receiver.
    pub args: Vec<Value>,
    /// Ids and values. Nothing and an empty list are two different things on the wire and mean
    /// the same. Receivers refuse an event whose [`NETWORK_TIMESTAMP`] is not a timestamp.
    pub metadata: Option<Vec<(u64, Value)>>,
}

impl ZeekEvent {
    /// An event without arguments and metadata.
    pub fn new(name: impl Into<BString>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<Value>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Adds arguments of one type.
    #[must_use]
    pub fn args<T: Into<Value>>(mut self, args: impl IntoIterator<Item = T>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Adds a metadata value. Receivers look at the first one with an id; ids from 200 on are free
    /// for users.
    #[must_use]
    pub fn metadata(mut self, id: u64, value: impl Into<Value>) -> Self {
        self.metadata.get_or_insert_default().push((id, value.into()));
        self
    }

    /// Adds the network time at which the event was raised.
    #[must_use]
    pub fn network_timestamp(self, timestamp: impl Into<Timestamp>) -> Self {
        self.metadata(NETWORK_TIMESTAMP, timestamp.into())
    }

    /// The first metadata value with this id.
    #[must_use]
    pub fn metadata_value(&self, id: u64) -> Option<&Value> {
        let mut entries = self.metadata.iter().flatten();
        entries.find(|(candidate, _)| *candidate == id).map(|(_, value)| value)
    }
}
