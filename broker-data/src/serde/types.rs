//! `Serialize` and `Deserialize` for the network and time types and for enum values.
//!
//! Each one is a newtype struct with a name of its own. Inside it is the text form in formats for
//! people, and the number of nanoseconds or the bytes of the binary form in others.

use super::error::Error;
use super::name;
use crate::binary::{self, Cursor};
use crate::{EnumValue, IpAddress, Kind, Port, Subnet, Timespan, Timestamp, Value};
use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// The content of a newtype where it is not text.
pub(super) enum Raw<'a> {
    Number(i64),
    Bytes(Cow<'a, [u8]>),
}

/// A type of the data model that other formats know by its name only.
trait Native: Sized {
    const NAME: &'static str;
    /// Whether the raw content is a number.
    const IS_NUMBER: bool = false;

    fn to_raw(&self) -> Raw<'_>;
    fn from_raw(raw: Raw<'_>) -> Option<Self>;
    /// The text form; nothing where it would lose something.
    fn to_text(&self) -> Option<Cow<'_, str>>;
    fn from_text(text: &str) -> Result<Self, String>;
}

fn parse<T: std::str::FromStr<Err: fmt::Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

impl Native for IpAddress {
    const NAME: &'static str = name::ADDRESS;

    fn to_raw(&self) -> Raw<'_> {
        Raw::Bytes(self.bytes().as_slice().into())
    }

    fn from_raw(raw: Raw<'_>) -> Option<Self> {
        let Raw::Bytes(bytes) = raw else { return None };
        bytes.as_ref().try_into().ok().map(Self::from_bytes)
    }

    fn to_text(&self) -> Option<Cow<'_, str>> {
        Some(self.to_string().into())
    }

    fn from_text(text: &str) -> Result<Self, String> {
        parse(text)
    }
}

impl Native for Subnet {
    const NAME: &'static str = name::SUBNET;

    fn to_raw(&self) -> Raw<'_> {
        Raw::Bytes([self.address().bytes().as_slice(), &[self.raw_length()]].concat().into())
    }

    fn from_raw(raw: Raw<'_>) -> Option<Self> {
        let Raw::Bytes(bytes) = raw else { return None };
        let (&length, address) = bytes.split_last()?;
        let address = IpAddress::from_bytes(address.try_into().ok()?);
        Some(Self::from_raw(address, length))
    }

    fn to_text(&self) -> Option<Cow<'_, str>> {
        self.is_normal().then(|| self.to_string().into())
    }

    fn from_text(text: &str) -> Result<Self, String> {
        parse(text)
    }
}

impl Native for Port {
    const NAME: &'static str = name::PORT;

    fn to_raw(&self) -> Raw<'_> {
        let [high, low] = self.number.to_be_bytes();
        Raw::Bytes(vec![high, low, self.protocol as u8].into())
    }

    fn from_raw(raw: Raw<'_>) -> Option<Self> {
        let Raw::Bytes(bytes) = raw else { return None };
        let bytes: [u8; 3] = bytes.as_ref().try_into().ok()?;
        binary::port(&mut Cursor::new(&bytes)).ok()
    }

    fn to_text(&self) -> Option<Cow<'_, str>> {
        Some(self.to_string().into())
    }

    fn from_text(text: &str) -> Result<Self, String> {
        parse(text)
    }
}

impl Native for EnumValue {
    const NAME: &'static str = name::ENUM;

    fn to_raw(&self) -> Raw<'_> {
        Raw::Bytes(self.0.as_slice().into())
    }

    fn from_raw(raw: Raw<'_>) -> Option<Self> {
        let Raw::Bytes(bytes) = raw else { return None };
        Some(Self(bytes.into_owned().into()))
    }

    fn to_text(&self) -> Option<Cow<'_, str>> {
        std::str::from_utf8(&self.0).ok().map(Cow::Borrowed)
    }

    fn from_text(text: &str) -> Result<Self, String> {
        Ok(text.into())
    }
}

macro_rules! native_times {
    ($($type:ident $name:ident;)*) => {$(
        impl Native for $type {
            const NAME: &'static str = name::$name;
            const IS_NUMBER: bool = true;

            fn to_raw(&self) -> Raw<'_> {
                Raw::Number(self.0)
            }

            fn from_raw(raw: Raw<'_>) -> Option<Self> {
                match raw {
                    Raw::Number(nanoseconds) => Some(Self(nanoseconds)),
                    Raw::Bytes(_) => None,
                }
            }

            fn to_text(&self) -> Option<Cow<'_, str>> {
                Some(self.to_string().into())
            }

            fn from_text(text: &str) -> Result<Self, String> {
                parse(text)
            }
        }
    )*};
}

native_times! {
    Timestamp TIMESTAMP;
    Timespan TIMESPAN;
}

/// The kind of the type with this name.
pub(super) fn kind(name: &str) -> Option<Kind> {
    Some(match name {
        name::ADDRESS => Kind::Address,
        name::SUBNET => Kind::Subnet,
        name::PORT => Kind::Port,
        name::TIMESTAMP => Kind::Timestamp,
        name::TIMESPAN => Kind::Timespan,
        name::ENUM => Kind::Enum,
        _ => return None,
    })
}

/// The value of this kind whose raw content was serialized as `raw`.
pub(super) fn restore(kind: Kind, raw: Value) -> Result<Value, Error> {
    let content = match &raw {
        Value::Integer(number) => Raw::Number(*number),
        Value::String(bytes) => Raw::Bytes(bytes.as_slice().into()),
        _ => return Err(Error::of_kind(kind, &raw)),
    };
    let restored = match kind {
        Kind::Address => IpAddress::from_raw(content).map(Value::from),
        Kind::Subnet => <Subnet as Native>::from_raw(content).map(Value::from),
        Kind::Port => Port::from_raw(content).map(Value::from),
        Kind::Timestamp => Timestamp::from_raw(content).map(Value::from),
        Kind::Timespan => Timespan::from_raw(content).map(Value::from),
        _ => EnumValue::from_raw(content).map(Value::from),
    };
    restored.ok_or_else(|| Error::of_kind(kind, &raw))
}

/// The raw content of a value that is of one of these types.
pub(super) fn raw(value: &Value) -> Option<Raw<'_>> {
    Some(match value {
        Value::Address(value) => value.to_raw(),
        Value::Subnet(value) => value.to_raw(),
        Value::Port(value) => value.to_raw(),
        Value::Timestamp(value) => value.to_raw(),
        Value::Timespan(value) => value.to_raw(),
        Value::Enum(value) => value.to_raw(),
        _ => return None,
    })
}

/// The text form of a value that is of one of these types and has one.
pub(super) fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Address(value) => value.to_text(),
        Value::Subnet(value) => value.to_text(),
        Value::Port(value) => value.to_text(),
        Value::Timestamp(value) => value.to_text(),
        Value::Timespan(value) => value.to_text(),
        Value::Enum(value) => value.to_text(),
        _ => None,
    }
}

struct Content<'a, T>(&'a T);

impl<T: Native> Serialize for Content<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable()
            && let Some(text) = self.0.to_text()
        {
            return serializer.serialize_str(&text);
        }
        match self.0.to_raw() {
            Raw::Number(number) => serializer.serialize_i64(number),
            Raw::Bytes(bytes) => serializer.serialize_bytes(&bytes),
        }
    }
}

struct ContentVisitor<T>(PhantomData<T>);

impl<T: Native> ContentVisitor<T> {
    fn raw<E: de::Error>(raw: Raw<'_>) -> Result<T, E> {
        let name = T::NAME.trim_start_matches("$broker::");
        T::from_raw(raw).ok_or_else(|| E::custom(format_args!("this is not the content of {name}")))
    }
}

impl<'de, T: Native> Visitor<'de> for ContentVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let content = if T::IS_NUMBER { "number of nanoseconds" } else { "bytes" };
        write!(f, "the text or the {content} of {}", T::NAME.trim_start_matches("$broker::"))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_any(self)
        } else if T::IS_NUMBER {
            deserializer.deserialize_i64(self)
        } else {
            deserializer.deserialize_byte_buf(self)
        }
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        T::from_text(text).map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        Self::raw(Raw::Number(number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        let number = i64::try_from(number);
        self.visit_i64(number.map_err(|_| E::custom("a number above 9223372036854775807"))?)
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<T, E> {
        Self::raw(Raw::Bytes(bytes.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<T, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = elements.next_element()? {
            bytes.push(byte);
        }
        Self::raw(Raw::Bytes(bytes.into()))
    }
}

macro_rules! serde_natives {
    ($($type:ident),*) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_newtype_struct(Self::NAME, &Content(self))
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_newtype_struct(Self::NAME, ContentVisitor(PhantomData))
            }
        }
    )*};
}

serde_natives!(IpAddress, Subnet, Port, Timestamp, Timespan, EnumValue);
