//! The data model of Broker: one recursive value type with fifteen alternatives.
//!
//! ```
//! use broker_data::{Value, View, vector};
//!
//! let value = Value::from(vector!["10.0.0.7", 22u64, true]);
//! let bytes = value.encode();
//! let view = View::parse(&bytes)?;
//! assert_eq!(view.get(1).and_then(|port| port.as_count()), Some(22), "without a copy");
//! assert_eq!(view.to_value(), value);
//! # Ok::<(), broker_data::DecodeError>(())
//! ```
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `serde` | no | Conversions between values and types of a program. |

#![cfg_attr(docsrs, feature(doc_cfg))]

mod binary;
mod builder;
mod convert;
pub mod json;
mod net;
mod order;
mod path;
#[cfg(feature = "serde")]
pub mod serde;
mod text;
mod time;
mod view;
pub mod zeek;

pub use binary::{DecodeError, DecodeErrorKind, DecodeLimits, Encode, validate};
pub use bstr::{BStr, BString};
pub use builder::{SetBuilder, Slot, TableBuilder, VectorBuilder};
pub use convert::{ConversionError, Element, FromValue};
pub use net::{
    InvalidIpAddress, InvalidPort, InvalidSubnet, IpAddress, NotIpv4, Port, Protocol, Subnet,
};
pub use time::{InvalidTimespan, InvalidTimestamp, Timespan, Timestamp};
pub use view::{Elements, Entries, View};

use std::collections::{BTreeMap, BTreeSet};

/// Unique values in ascending order.
pub type Set = BTreeSet<Value>;

/// Values under unique keys, in ascending order of the keys.
pub type Table = BTreeMap<Value, Value>;

/// The label of an enum value, for example `Conn::LOG`: any bytes, UTF-8 is not required.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct EnumValue(pub BString);

/// One value of the data model, owned.
#[derive(Clone, Debug, Default)]
pub enum Value {
    /// Nil.
    #[default]
    None,
    /// True or false.
    Boolean(bool),
    /// An unsigned number.
    Count(u64),
    /// A signed number.
    Integer(i64),
    /// A binary64 number, infinities and NaN included.
    ///
    /// The binary form has no place for those from 2^-1074 to 2^-1023 (1.1e-308) in magnitude, most
    /// of the subnormal ones: they are written as zero with their sign. Larger ones keep every bit.
    Real(f64),
    /// Any bytes; UTF-8 is not required.
    String(BString),
    /// An IPv4 or IPv6 address.
    Address(IpAddress),
    /// A network.
    Subnet(Subnet),
    /// A transport port.
    Port(Port),
    /// A point in time.
    Timestamp(Timestamp),
    /// A length of time.
    Timespan(Timespan),
    /// An enum label.
    Enum(EnumValue),
    /// Unique values.
    Set(Set),
    /// Values under unique keys.
    Table(Table),
    /// Ordered values.
    Vector(Vec<Value>),
}

/// The type of a value; the number is the tag on the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Kind {
    None = 0,
    Boolean = 1,
    Count = 2,
    Integer = 3,
    Real = 4,
    String = 5,
    Address = 6,
    Subnet = 7,
    Port = 8,
    Timestamp = 9,
    Timespan = 10,
    Enum = 11,
    Set = 12,
    Table = 13,
    Vector = 14,
}

impl Kind {
    /// Every kind, in the order of the tags.
    pub const ALL: [Self; 15] = [
        Self::None,
        Self::Boolean,
        Self::Count,
        Self::Integer,
        Self::Real,
        Self::String,
        Self::Address,
        Self::Subnet,
        Self::Port,
        Self::Timestamp,
        Self::Timespan,
        Self::Enum,
        Self::Set,
        Self::Table,
        Self::Vector,
    ];

    /// The kind with this tag on the wire.
    #[must_use]
    pub fn from_tag(tag: u8) -> Option<Self> {
        Self::ALL.get(usize::from(tag)).copied()
    }

    /// The name used in JSON (`@data-type`) and in messages for people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Boolean => "boolean",
            Self::Count => "count",
            Self::Integer => "integer",
            Self::Real => "real",
            Self::String => "string",
            Self::Address => "address",
            Self::Subnet => "subnet",
            Self::Port => "port",
            Self::Timestamp => "timestamp",
            Self::Timespan => "timespan",
            Self::Enum => "enum-value",
            Self::Set => "set",
            Self::Table => "table",
            Self::Vector => "vector",
        }
    }
}

impl Value {
    /// The type of this value.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::None => Kind::None,
            Self::Boolean(_) => Kind::Boolean,
            Self::Count(_) => Kind::Count,
            Self::Integer(_) => Kind::Integer,
            Self::Real(_) => Kind::Real,
            Self::String(_) => Kind::String,
            Self::Address(_) => Kind::Address,
            Self::Subnet(_) => Kind::Subnet,
            Self::Port(_) => Kind::Port,
            Self::Timestamp(_) => Kind::Timestamp,
            Self::Timespan(_) => Kind::Timespan,
            Self::Enum(_) => Kind::Enum,
            Self::Set(_) => Kind::Set,
            Self::Table(_) => Kind::Table,
            Self::Vector(_) => Kind::Vector,
        }
    }
}
