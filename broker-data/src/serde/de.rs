//! From values to types.

use super::access::{Elements, Entries, Fields, Pairs, Tagged, Variant};
use super::error::Error;
use super::types::{self, Raw};
use super::{Value, name};
use crate::{EnumValue, Kind};
use serde::de::value::{BorrowedBytesDeserializer, BytesDeserializer, I64Deserializer};
use serde::de::{self, Deserialize, Visitor};
use std::borrow::Cow;

type Result<T> = std::result::Result<T, Error>;

/// Reads a value as anything deserializable. Strings may be borrowed from the value.
///
/// # Errors
///
/// When the value, or a part of it, is of another kind than the type needs, and when the type
/// itself refuses.
pub fn from_value<'de, T: Deserialize<'de>>(value: &'de Value) -> Result<T> {
    T::deserialize(Deserializer { value })
}

#[derive(Clone, Copy)]
pub(super) struct Deserializer<'de> {
    pub(super) value: &'de Value,
}

impl<'de> Deserializer<'de> {
    fn mismatch<T>(self, expected: Kind) -> Result<T> {
        Err(Error::of_kind(expected, self.value))
    }

    fn text(self) -> Result<&'de str> {
        match self.value {
            Value::String(bytes) => std::str::from_utf8(bytes)
                .map_err(|_| Error::new("expected UTF-8, found other bytes")),
            _ => self.mismatch(Kind::String),
        }
    }

    /// A newtype of the data model, whose value is of this kind.
    fn native<V: Visitor<'de>>(self, kind: Kind, visitor: V) -> Result<V::Value> {
        if self.value.kind() != kind {
            return self.mismatch(kind);
        }
        match types::raw(self.value) {
            Some(Raw::Number(number)) => {
                visitor.visit_newtype_struct(I64Deserializer::<Error>::new(number))
            }
            Some(Raw::Bytes(Cow::Borrowed(bytes))) => {
                visitor.visit_newtype_struct(BorrowedBytesDeserializer::<Error>::new(bytes))
            }
            Some(Raw::Bytes(Cow::Owned(bytes))) => {
                visitor.visit_newtype_struct(BytesDeserializer::<Error>::new(&bytes))
            }
            None => self.mismatch(kind),
        }
    }
}

/// Methods that need one kind and hand over what it holds.
macro_rules! deserialize_scalars {
    ($($method:ident $kind:ident $visit:ident;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
            match self.value {
                Value::$kind(value) => visitor.$visit(*value),
                _ => self.mismatch(Kind::$kind),
            }
        }
    )*};
}

impl<'de> de::Deserializer<'de> for Deserializer<'de> {
    type Error = Error;

    deserialize_scalars! {
        deserialize_bool Boolean visit_bool;
        deserialize_u8 Count visit_u64;
        deserialize_u16 Count visit_u64;
        deserialize_u32 Count visit_u64;
        deserialize_u64 Count visit_u64;
        deserialize_u128 Count visit_u64;
        deserialize_i8 Integer visit_i64;
        deserialize_i16 Integer visit_i64;
        deserialize_i32 Integer visit_i64;
        deserialize_i64 Integer visit_i64;
        deserialize_i128 Integer visit_i64;
        deserialize_f32 Real visit_f64;
        deserialize_f64 Real visit_f64;
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.value {
            Value::None => visitor.visit_unit(),
            Value::Boolean(value) => visitor.visit_bool(*value),
            Value::Count(value) => visitor.visit_u64(*value),
            Value::Integer(value) => visitor.visit_i64(*value),
            Value::Real(value) => visitor.visit_f64(*value),
            Value::String(bytes) | Value::Enum(EnumValue(bytes)) => {
                match std::str::from_utf8(bytes) {
                    Ok(text) => visitor.visit_borrowed_str(text),
                    Err(_) => visitor.visit_borrowed_bytes(bytes),
                }
            }
            Value::Set(_) | Value::Vector(_) => self.deserialize_seq(visitor),
            Value::Table(_) => self.deserialize_map(visitor),
            other => match types::text(other) {
                Some(text) => visitor.visit_str(&text),
                None => self.native(other.kind(), visitor),
            },
        }
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_str(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_borrowed_str(self.text()?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.value {
            Value::String(bytes) => visitor.visit_borrowed_bytes(bytes),
            _ => self.mismatch(Kind::String),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.value {
            Value::None => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.value {
            Value::None => visitor.visit_unit(),
            _ => self.mismatch(Kind::None),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value> {
        match types::kind(name) {
            Some(kind) => self.native(kind, visitor),
            None if name == name::SET && self.value.kind() != Kind::Set => self.mismatch(Kind::Set),
            None => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.value {
            Value::Vector(elements) => visitor.visit_seq(Elements::new(elements, &[])),
            Value::Set(elements) => visitor.visit_seq(Elements::new(elements, &[])),
            Value::Table(entries) => visitor.visit_seq(Pairs::new(entries)),
            _ => self.mismatch(Kind::Vector),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value> {
        match self.value {
            Value::Vector(elements) => Fields { elements, first: 0 }.tuple(len, visitor),
            _ => self.mismatch(Kind::Vector),
        }
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        match self.value {
            Value::Table(entries) => visitor.visit_map(Entries::new(entries)),
            _ => self.mismatch(Kind::Table),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        match self.value {
            Value::Vector(elements) => visitor.visit_seq(Elements::new(elements, fields)),
            _ => self.mismatch(Kind::Vector),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        if name == name::VALUE {
            return visitor.visit_enum(Tagged { value: self.value });
        }
        let (label, elements) = match self.value {
            Value::Enum(label) => (label, [].as_slice()),
            Value::Vector(elements) => match elements.as_slice() {
                [Value::Enum(label), content @ ..] => (label, content),
                _ => return Err(Error::new("expected vector with an enum-value in front")),
            },
            _ => return self.mismatch(Kind::Enum),
        };
        visitor.visit_enum(Variant { label, content: Fields { elements, first: 1 } })
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.deserialize_str(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_unit()
    }
}
