//! `Serialize` and `Deserialize` for values of any kind: an enum with the names of the kinds as
//! variants, which loses nothing in any format. Tables are sequences of pairs, because many formats
//! have no keys but strings.

use super::error::Error;
use super::name;
use crate::{BString, Kind, Set, Table, Value};
use serde::de::{self, Deserialize, Deserializer, EnumAccess, VariantAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use std::fmt;

const NAMES: [&str; 15] = {
    let mut names = [""; 15];
    let mut index = 0;
    while index < names.len() {
        names[index] = Kind::ALL[index].name();
        index += 1;
    }
    names
};

/// The value of this kind whose content was serialized as `content`.
pub(super) fn restore(kind: Kind, content: Value) -> Result<Value, Error> {
    match (kind, content) {
        (Kind::Set, Value::Vector(elements)) => Ok(Value::Set(elements.into_iter().collect())),
        (Kind::Table, Value::Vector(entries)) => {
            entries.into_iter().map(pair).collect::<Result<_, _>>().map(Value::Table)
        }
        (_, content) if content.kind() == kind => Ok(content),
        (_, content) => Err(Error::of_kind(kind, &content)),
    }
}

fn pair(entry: Value) -> Result<(Value, Value), Error> {
    entry.into_type().map_err(Error::new)
}

struct Bytes<'a>(&'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(self.0) {
            Ok(text) if serializer.is_human_readable() => serializer.serialize_str(text),
            _ => serializer.serialize_bytes(self.0),
        }
    }
}

struct Pairs<'a>(&'a Table);

impl Serialize for Pairs<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0)
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (index, name) = (u32::from(self.kind() as u8), self.kind().name());
        macro_rules! variant {
            ($content:expr) => {
                serializer.serialize_newtype_variant(name::VALUE, index, name, $content)
            };
        }
        match self {
            Self::None => serializer.serialize_unit_variant(name::VALUE, index, name),
            Self::Boolean(value) => variant!(value),
            Self::Count(value) => variant!(value),
            Self::Integer(value) => variant!(value),
            Self::Real(value) => variant!(value),
            Self::String(value) => variant!(&Bytes(value)),
            Self::Address(value) => variant!(value),
            Self::Subnet(value) => variant!(value),
            Self::Port(value) => variant!(value),
            Self::Timestamp(value) => variant!(value),
            Self::Timespan(value) => variant!(value),
            Self::Enum(value) => variant!(value),
            Self::Set(value) => variant!(value),
            Self::Table(value) => variant!(&Pairs(value)),
            Self::Vector(value) => variant!(value),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_enum(name::VALUE, &NAMES, ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value with the name of its kind")
    }

    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<Value, A::Error> {
        let (KindName(kind), content) = access.variant()?;
        Ok(match kind {
            Kind::None => {
                content.unit_variant()?;
                Value::None
            }
            Kind::Boolean => Value::Boolean(content.newtype_variant()?),
            Kind::Count => Value::Count(content.newtype_variant()?),
            Kind::Integer => Value::Integer(content.newtype_variant()?),
            Kind::Real => Value::Real(content.newtype_variant()?),
            Kind::String => Value::String(content.newtype_variant::<BString>()?),
            Kind::Address => Value::Address(content.newtype_variant()?),
            Kind::Subnet => Value::Subnet(content.newtype_variant()?),
            Kind::Port => Value::Port(content.newtype_variant()?),
            Kind::Timestamp => Value::Timestamp(content.newtype_variant()?),
            Kind::Timespan => Value::Timespan(content.newtype_variant()?),
            Kind::Enum => Value::Enum(content.newtype_variant()?),
            Kind::Set => Value::Set(content.newtype_variant::<Set>()?),
            Kind::Table => {
                let entries: Vec<(Value, Value)> = content.newtype_variant()?;
                Value::Table(entries.into_iter().collect())
            }
            Kind::Vector => Value::Vector(content.newtype_variant()?),
        })
    }
}

/// The name or number of a variant.
struct KindName(Kind);

impl<'de> Deserialize<'de> for KindName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_identifier(KindVisitor)
    }
}

struct KindVisitor;

impl Visitor<'_> for KindVisitor {
    type Value = KindName;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a kind")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<KindName, E> {
        let kind = u8::try_from(number).ok().and_then(Kind::from_tag);
        kind.map(KindName).ok_or_else(|| E::custom(format_args!("no kind has the number {number}")))
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<KindName, E> {
        let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name);
        kind.map(KindName).ok_or_else(|| E::unknown_variant(name, &NAMES))
    }
}
