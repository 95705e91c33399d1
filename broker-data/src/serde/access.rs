//! The parts of containers and enums, for the deserializer.

use super::de::Deserializer;
use super::error::Error;
use crate::path::Step;
use crate::{EnumValue, Table, Value};
use serde::de::{
    self, DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess,
    Visitor,
};
use serde::forward_to_deserialize_any;
use std::collections::btree_map;

type Result<T> = std::result::Result<T, Error>;

/// Values one after the other; `names` are those of the fields if they are a struct's.
pub(super) struct Elements<I> {
    elements: I,
    names: &'static [&'static str],
    index: usize,
    first: usize,
}

impl<'de, I: Iterator<Item = &'de Value>> Elements<I> {
    pub(super) fn new(
        elements: impl IntoIterator<IntoIter = I>,
        names: &'static [&'static str],
    ) -> Self {
        Self { elements: elements.into_iter(), names, index: 0, first: 0 }
    }
}

impl<'de, I: Iterator<Item = &'de Value>> SeqAccess<'de> for Elements<I> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        let Some(value) = self.elements.next() else { return Ok(None) };
        let step = match self.names.get(self.index) {
            Some(name) => Step::Field(name),
            None => Step::Index(self.first + self.index),
        };
        self.index += 1;
        let element = seed.deserialize(Deserializer { value });
        element.map(Some).map_err(|error| error.inside(step))
    }

    fn size_hint(&self) -> Option<usize> {
        self.elements.size_hint().1
    }
}

/// The elements of a vector, or those behind the name of a variant, as a fixed number of fields.
pub(super) struct Fields<'de> {
    pub(super) elements: &'de [Value],
    /// The index of the first one in the vector.
    pub(super) first: usize,
}

impl<'de> Fields<'de> {
    fn sequence(self, names: &'static [&'static str]) -> Elements<std::slice::Iter<'de, Value>> {
        Elements { first: self.first, ..Elements::new(self.elements, names) }
    }

    fn expect(&self, len: usize) -> Result<()> {
        if self.elements.len() == len {
            return Ok(());
        }
        let (expected, found) = (self.first + len, self.first + self.elements.len());
        Err(Error::new(format_args!("expected vector of {expected} elements, found {found}")))
    }

    pub(super) fn tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value> {
        self.expect(len)?;
        visitor.visit_seq(self.sequence(&[]))
    }
}

/// The pairs of a table as a map.
pub(super) struct Entries<'de> {
    entries: btree_map::Iter<'de, Value, Value>,
    value: Option<&'de Value>,
    index: usize,
}

impl<'de> Entries<'de> {
    pub(super) fn new(entries: &'de Table) -> Self {
        Self { entries: entries.iter(), value: None, index: 0 }
    }
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        let Some((key, value)) = self.entries.next() else { return Ok(None) };
        self.value = Some(value);
        let key = seed.deserialize(Deserializer { value: key });
        key.map(Some).map_err(|error| error.inside(Step::Key(self.index)))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value> {
        let value = self.value.take().ok_or_else(|| Error::new("a value was asked for twice"))?;
        let step = Step::Value(self.index);
        self.index += 1;
        seed.deserialize(Deserializer { value }).map_err(|error| error.inside(step))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.entries.len())
    }
}

/// The pairs of a table as a sequence of pairs.
pub(super) struct Pairs<'de> {
    entries: btree_map::Iter<'de, Value, Value>,
    index: usize,
}

impl<'de> Pairs<'de> {
    pub(super) fn new(entries: &'de Table) -> Self {
        Self { entries: entries.iter(), index: 0 }
    }
}

impl<'de> SeqAccess<'de> for Pairs<'de> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        let Some((key, value)) = self.entries.next() else { return Ok(None) };
        let step = Step::Index(self.index);
        self.index += 1;
        let pair = seed.deserialize(Pair { key, value });
        pair.map(Some).map_err(|error| error.inside(step))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.entries.len())
    }
}

struct Pair<'de> {
    key: &'de Value,
    value: &'de Value,
}

impl<'de> de::Deserializer<'de> for Pair<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        visitor.visit_seq(Elements::new([self.key, self.value], &["key", "value"]))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier
        ignored_any
    }
}

/// An enum value, perhaps with data behind it.
pub(super) struct Variant<'de> {
    pub(super) label: &'de EnumValue,
    pub(super) content: Fields<'de>,
}

impl<'de> EnumAccess<'de> for Variant<'de> {
    type Error = Error;
    type Variant = Fields<'de>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Fields<'de>)> {
        let label = std::str::from_utf8(&self.label.0)
            .map_err(|_| Error::new("expected a label in UTF-8, found other bytes"))?;
        let variant = seed.deserialize(IntoDeserializer::<Error>::into_deserializer(label))?;
        Ok((variant, self.content))
    }
}

impl<'de> VariantAccess<'de> for Fields<'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<()> {
        self.expect(0)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value> {
        match self.elements {
            [value] => {
                let content = seed.deserialize(Deserializer { value });
                content.map_err(|error| error.inside(Step::Index(self.first)))
            }
            _ => Err(self.expect(1).err().unwrap_or_else(|| Error::new("expected one element"))),
        }
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value> {
        self.tuple(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        visitor.visit_seq(self.sequence(fields))
    }
}

/// Any value, with the name of its kind as a variant.
pub(super) struct Tagged<'de> {
    pub(super) value: &'de Value,
}

impl<'de> EnumAccess<'de> for Tagged<'de> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self)> {
        let name = self.value.kind().name();
        Ok((seed.deserialize(IntoDeserializer::<Error>::into_deserializer(name))?, self))
    }
}

impl<'de> VariantAccess<'de> for Tagged<'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<()> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value> {
        seed.deserialize(Deserializer { value: self.value })
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value> {
        de::Deserializer::deserialize_tuple(Deserializer { value: self.value }, len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value> {
        de::Deserializer::deserialize_struct(
            Deserializer { value: self.value },
            "",
            fields,
            visitor,
        )
    }
}
