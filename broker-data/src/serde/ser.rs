//! From types to values.

use super::error::Error;
use super::{Value, name, tagged, types};
use crate::path::Step;
use crate::{Kind, Table};
use serde::ser::{self, Serialize};

type Result<T> = std::result::Result<T, Error>;

/// Makes a value of anything serializable.
///
/// # Errors
///
/// For 128-bit numbers that do not fit 64 bits, and when the type itself refuses.
pub fn to_value<T: Serialize + ?Sized>(value: &T) -> Result<Value> {
    value.serialize(Serializer { human_readable: true })
}

#[derive(Clone, Copy)]
struct Serializer {
    /// Other types are asked for their text forms, which suit Zeek; only the types of the data
    /// model are asked for bytes and numbers.
    human_readable: bool,
}

impl ser::Serializer for Serializer {
    type Ok = Value;
    type Error = Error;
    type SerializeSeq = Elements;
    type SerializeTuple = Elements;
    type SerializeTupleStruct = Elements;
    type SerializeTupleVariant = Elements;
    type SerializeMap = Entries;
    type SerializeStruct = Elements;
    type SerializeStructVariant = Elements;

    fn is_human_readable(&self) -> bool {
        self.human_readable
    }

    fn serialize_bool(self, v: bool) -> Result<Value> {
        Ok(v.into())
    }

    fn serialize_i8(self, v: i8) -> Result<Value> {
        Ok(v.into())
    }

    fn serialize_i16(self, v: i16) -> Result<Value> {
        Ok(v.into())
    }

    fn serialize_i32(self, v: i32) -> Result<Value> {
        Ok(v.into())
    }

    fn serialize_i64(self, v: i64) -> Result<Value> {
        Ok(v.into())
    }

    fn serialize_i128(self, v: i128) -> Result<Value> {
        let number = i64::try_from(v);
        number.map(Value::Integer).map_err(|_| Error::new(format_args!("{v} fits no integer")))
    }

    fn serialize_u8(self, v: u8) -> Result<Value> {
        Ok(v.into())
    }

    fn serialize_u16(self, v: u16) -> Result<Value> {
        Ok(v.into())
    }

    fn serialize_u32(self, v: u32) -> Result<Value> {
        Ok(v.into())
    }

    fn serialize_u64(self, v: u64) -> Result<Value> {
        Ok(v.into())
    }

    fn serialize_u128(self, v: u128) -> Result<Value> {
        let number = u64::try_from(v);
        number.map(Value::Count).map_err(|_| Error::new(format_args!("{v} fits no count")))
    }

    fn serialize_f32(self, v: f32) -> Result<Value> {
        Ok(v.into())
    }

    fn serialize_f64(self, v: f64) -> Result<Value> {
        Ok(v.into())
    }

    fn serialize_char(self, v: char) -> Result<Value> {
        Ok(v.to_string().into())
    }

    fn serialize_str(self, v: &str) -> Result<Value> {
        Ok(v.into())
    }

    fn serialize_bytes(self, v: &[u8]) -> Result<Value> {
        Ok(v.into())
    }

    fn serialize_none(self) -> Result<Value> {
        Ok(Value::None)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Value> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<Value> {
        Ok(Value::None)
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<Value> {
        Ok(Value::None)
    }

    fn serialize_unit_variant(
        self,
        name: &'static str,
        _index: u32,
        variant: &'static str,
    ) -> Result<Value> {
        Ok(if name == name::VALUE { Value::None } else { Value::enum_value(variant) })
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<Value> {
        if name == name::SET {
            return tagged::restore(Kind::Set, value.serialize(self)?);
        }
        match types::kind(name) {
            Some(kind) => types::restore(kind, value.serialize(Self { human_readable: false })?),
            None => value.serialize(self),
        }
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Value> {
        if name == name::VALUE {
            let kind = u8::try_from(index).ok().and_then(Kind::from_tag).unwrap_or(Kind::None);
            return tagged::restore(kind, value.serialize(self)?);
        }
        let content = value.serialize(self).map_err(|error| error.inside(Step::Index(1)))?;
        Ok(Value::Vector(vec![Value::enum_value(variant), content]))
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Elements> {
        Ok(Elements::new(self, len.unwrap_or(0)))
    }

    fn serialize_tuple(self, len: usize) -> Result<Elements> {
        Ok(Elements::new(self, len))
    }

    fn serialize_tuple_struct(self, _name: &'static str, len: usize) -> Result<Elements> {
        Ok(Elements::new(self, len))
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Elements> {
        Ok(Elements::of_variant(self, variant, len))
    }

    fn serialize_map(self, _len: Option<usize>) -> Result<Entries> {
        Ok(Entries { serializer: self, entries: Table::new(), key: Value::None, index: 0 })
    }

    fn serialize_struct(self, _name: &'static str, len: usize) -> Result<Elements> {
        Ok(Elements::new(self, len))
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Elements> {
        Ok(Elements::of_variant(self, variant, len))
    }
}

/// The elements of a vector.
struct Elements {
    serializer: Serializer,
    elements: Vec<Value>,
}

impl Elements {
    fn new(serializer: Serializer, len: usize) -> Self {
        // The length is a claim of the type, so a wrong one must not cost memory.
        Self { serializer, elements: Vec::with_capacity(len.min(1024)) }
    }

    fn of_variant(serializer: Serializer, variant: &'static str, len: usize) -> Self {
        let mut elements = Self::new(serializer, len.saturating_add(1));
        elements.elements.push(Value::enum_value(variant));
        elements
    }

    fn push<T: Serialize + ?Sized>(&mut self, value: &T, step: Option<Step>) -> Result<()> {
        let step = step.unwrap_or(Step::Index(self.elements.len()));
        let element = value.serialize(self.serializer).map_err(|error| error.inside(step))?;
        self.elements.push(element);
        Ok(())
    }

    fn end(self) -> Result<Value> {
        Ok(Value::Vector(self.elements))
    }
}

/// Sequences and tuples, whose parts have no names.
macro_rules! serialize_elements {
    ($($trait:ident $method:ident;)*) => {$(
        impl ser::$trait for Elements {
            type Ok = Value;
            type Error = Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
                self.push(value, None)
            }

            fn end(self) -> Result<Value> {
                self.end()
            }
        }
    )*};
}

serialize_elements! {
    SerializeSeq serialize_element;
    SerializeTuple serialize_element;
    SerializeTupleStruct serialize_field;
    SerializeTupleVariant serialize_field;
}

/// Structs, whose parts have names and keep their places even when they are skipped.
macro_rules! serialize_fields {
    ($($trait:ident;)*) => {$(
        impl ser::$trait for Elements {
            type Ok = Value;
            type Error = Error;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<()> {
                self.push(value, Some(Step::Field(name)))
            }

            fn skip_field(&mut self, _name: &'static str) -> Result<()> {
                self.elements.push(Value::None);
                Ok(())
            }

            fn end(self) -> Result<Value> {
                self.end()
            }
        }
    )*};
}

serialize_fields! {
    SerializeStruct;
    SerializeStructVariant;
}

/// The pairs of a table; of those with the same key the last one counts.
struct Entries {
    serializer: Serializer,
    entries: Table,
    key: Value,
    index: usize,
}

impl ser::SerializeMap for Entries {
    type Ok = Value;
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<()> {
        let step = Step::Key(self.index);
        self.key = key.serialize(self.serializer).map_err(|error| error.inside(step))?;
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        let step = Step::Value(self.index);
        let value = value.serialize(self.serializer).map_err(|error| error.inside(step))?;
        self.entries.insert(std::mem::take(&mut self.key), value);
        self.index += 1;
        Ok(())
    }

    fn end(self) -> Result<Value> {
        Ok(Value::Table(self.entries))
    }
}
