//! Which keys a configuration can have, and of what kind: asked of the types that are read from it,
//! so that there is no second list.

use serde::de::value::Error;
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Expected, IntoDeserializer, MapAccess, SeqAccess,
    Visitor,
};
use std::cell::Cell;

/// What stands behind a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Flag,
    Integer,
    Number,
    Text,
    Path,
    /// A list of texts.
    Texts,
    /// Tables by names that are not known in advance, and lists of tables.
    Other,
}

/// A key that has a value, and no keys below it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    /// Itself behind the tables that it is in.
    pub(crate) path: Vec<&'static str>,
    pub(crate) kind: Kind,
}

impl Key {
    /// The key as TOML writes it, with dots.
    pub(crate) fn dotted(&self) -> String {
        self.path.join(".")
    }
}

/// The keys of a type, in the order of its fields.
pub(crate) fn keys_of<T: for<'de> Deserialize<'de>>() -> Vec<Key> {
    let mut keys = Vec::new();
    collect::<T>(&mut Vec::new(), &mut keys);
    keys
}

fn collect<T: for<'de> Deserialize<'de>>(path: &mut Vec<&'static str>, keys: &mut Vec<Key>) {
    match look::<T>(path) {
        Found::Value(kind) => keys.push(Key { path: path.clone(), kind }),
        Found::Table(fields) => {
            for field in fields {
                path.push(field);
                collect::<T>(path, keys);
                path.pop();
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Found {
    Table(&'static [&'static str]),
    Value(Kind),
}

/// What a type asks for at this place.
fn look<T: for<'de> Deserialize<'de>>(path: &[&str]) -> Found {
    let found = Cell::new(Found::Value(Kind::Other));
    // It never gets a value, so it fails; by then it has said what it asks for.
    let _ = T::deserialize(Probe { path, in_list: false, found: &found });
    found.get()
}

/// Gives nothing, and notes what it was asked for at the end of a path.
#[derive(Clone, Copy)]
struct Probe<'a> {
    path: &'a [&'a str],
    in_list: bool,
    found: &'a Cell<Found>,
}

impl Probe<'_> {
    fn note<T>(self, kind: Kind) -> Result<T, Error> {
        let kind = match (self.in_list, kind) {
            (false, kind) => kind,
            (true, Kind::Text) => Kind::Texts,
            (true, _) => Kind::Other,
        };
        self.found.set(Found::Value(kind));
        Err(seen())
    }
}

fn seen() -> Error {
    serde::de::Error::custom("seen")
}

macro_rules! noting {
    ($($kind:ident: $($method:ident)*;)*) => {$($(
        fn $method<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
            self.note(Kind::$kind)
        }
    )*)*};
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Error;

    noting! {
        Flag: deserialize_bool;
        Integer: deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8
            deserialize_u16 deserialize_u32 deserialize_u64;
        Number: deserialize_f32 deserialize_f64;
        Text: deserialize_char deserialize_str;
        Other: deserialize_any deserialize_bytes deserialize_byte_buf deserialize_unit
            deserialize_map deserialize_identifier deserialize_ignored_any;
    }

    /// Paths are read as texts, and say so in what they expect.
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let expected = (&visitor as &dyn Expected).to_string();
        self.note(if expected == "path string" { Kind::Path } else { Kind::Text })
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_seq(Below(Probe { in_list: true, ..self }, None))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: V,
    ) -> Result<V::Value, Error> {
        self.note(Kind::Other)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.path.split_first() {
            _ if self.in_list => self.note(Kind::Other),
            None => {
                self.found.set(Found::Table(fields));
                Err(seen())
            }
            Some((key, path)) => visitor.visit_map(Below(Probe { path, ..self }, Some(key))),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        self.note(Kind::Text)
    }
}

/// The one thing in a table, with its key, or in a list.
struct Below<'a>(Probe<'a>, Option<&'a str>);

impl<'de> MapAccess<'de> for Below<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        self.1.take().map(|key| seed.deserialize(key.into_deserializer())).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(self.0)
    }
}

impl<'de> SeqAccess<'de> for Below<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        seed.deserialize(self.0).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    #[derive(serde::Deserialize)]
    #[allow(dead_code, reason = "only the types of the fields are looked at")]
    struct Inner {
        lists: Vec<String>,
        tables: Vec<BTreeMap<String, bool>>,
        time: f64,
    }

    #[derive(serde::Deserialize)]
    #[serde(rename_all = "kebab-case")]
    #[allow(dead_code, reason = "only the types of the fields are looked at")]
    struct Outer {
        is_on: bool,
        number: Option<std::num::NonZeroUsize>,
        file: Option<PathBuf>,
        inner: Inner,
        names: BTreeMap<String, String>,
        #[serde(skip)]
        left_out: u8,
    }

    #[test]
    fn keys_are_those_of_the_fields_with_the_kinds_of_their_types() {
        let keys: Vec<_> =
            keys_of::<Outer>().into_iter().map(|key| (key.dotted(), key.kind)).collect();
        let expected = [
            ("is-on", Kind::Flag),
            ("number", Kind::Integer),
            ("file", Kind::Path),
            ("inner.lists", Kind::Texts),
            ("inner.tables", Kind::Other),
            ("inner.time", Kind::Number),
            ("names", Kind::Other),
        ];
        assert_eq!(keys, expected.map(|(key, kind)| (key.to_owned(), kind)));
    }
}
