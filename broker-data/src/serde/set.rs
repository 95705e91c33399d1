//! For fields that are sets: `#[serde(with = "broker_data::serde::set")]`.
//!
//! Other types do not tell a serializer that they are sets, so without this a `BTreeSet` becomes a
//! vector. Other formats see a sequence either way.

use super::name;
use serde::de::{Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;

/// Serializes a sequence as a set; duplicates collapse.
///
/// # Errors
///
/// As the serializer.
pub fn serialize<T, S>(elements: &T, serializer: S) -> Result<S::Ok, S::Error>
where
    T: Serialize,
    S: Serializer,
{
    serializer.serialize_newtype_struct(name::SET, elements)
}

/// Deserializes anything that is made of a sequence, from a set only.
///
/// # Errors
///
/// As the deserializer.
pub fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    deserializer.deserialize_newtype_struct(name::SET, SetVisitor(PhantomData))
}

struct SetVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for SetVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a set")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        T::deserialize(deserializer)
    }
}
