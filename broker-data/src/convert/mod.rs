//! Between [`Value`] and Rust types.
//!
//! | Rust | Value |
//! |---|---|
//! | `()` | none |
//! | `bool` | boolean |
//! | `u8` to `u64`, `usize` | count |
//! | `i8` to `i64`, `isize` | integer |
//! | `f32`, `f64` | real |
//! | `str`, `String`, `[u8]`, `Vec<u8>`, `BString` | string |
//! | `IpAddr`, `Ipv4Addr`, `Ipv6Addr`, [`IpAddress`](super::IpAddress) | address |
//! | `SystemTime`, [`Timestamp`](super::Timestamp) | timestamp |
//! | `Duration`, [`Timespan`](super::Timespan) | timespan |
//! | `Option` | none, or the value inside |
//! | slices and `Vec` of everything but `u8`, tuples | vector |
//! | `BTreeSet`, `HashSet` | set |
//! | `BTreeMap`, `HashMap` | table |
//!
//! [`From`] and [`Encode`](super::Encode) go from left to right, [`FromValue`] and `TryFrom` from
//! right to left. The way back is exact: kinds are never converted into each other, numbers must
//! fit, sequences of a fixed length must have it.

mod encode;
mod error;
mod from_value;
mod into_value;
mod std_types;

pub use error::ConversionError;

use super::Value;

/// What can be read from a [`Value`].
///
/// ```
/// use broker_data::{Value, vector};
///
/// let value = vector!["web", 80_u64, ()];
/// let (name, port, comment): (String, u16, Option<String>) = value.to()?;
/// assert_eq!((name.as_str(), port, comment), ("web", 80, None));
/// # Ok::<_, broker_data::ConversionError>(())
/// ```
pub trait FromValue: Sized {
    /// Reads a value.
    ///
    /// # Errors
    ///
    /// When the kind is another one, a number does not fit, or a part does not convert.
    fn from_value(value: &Value) -> Result<Self, ConversionError>;

    /// As [`FromValue::from_value`], but may take the contents over.
    ///
    /// # Errors
    ///
    /// As [`FromValue::from_value`].
    fn from_owned(value: Value) -> Result<Self, ConversionError> {
        Self::from_value(&value)
    }
}

/// A type whose sequences are vectors: every type but `u8`, whose sequences are strings.
///
/// Implement this marker for own types that should be usable in slices and [`Vec`].
#[diagnostic::on_unimplemented(
    message = "a sequence of `{Self}` is not known to be a vector",
    note = "implement the marker trait `Element` for your type: `impl Element for {Self} {{}}`"
)]
pub trait Element {}

impl Value {
    /// Reads the value as a Rust type.
    ///
    /// # Errors
    ///
    /// As [`FromValue::from_value`].
    pub fn to<T: FromValue>(&self) -> Result<T, ConversionError> {
        T::from_value(self)
    }

    /// Turns the value into a Rust type, without copying strings.
    ///
    /// # Errors
    ///
    /// As [`FromValue::from_value`].
    pub fn into_type<T: FromValue>(self) -> Result<T, ConversionError> {
        T::from_owned(self)
    }

    /// A string.
    pub fn string(bytes: impl Into<Vec<u8>>) -> Self {
        Self::String(bytes.into().into())
    }

    /// An enum value with this label.
    pub fn enum_value(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Enum(super::EnumValue(bytes.into().into()))
    }

    /// A vector of elements of one type; for different types see [`vector!`](crate::vector).
    pub fn vector<T: Into<Self>>(elements: impl IntoIterator<Item = T>) -> Self {
        Self::Vector(elements.into_iter().map(Into::into).collect())
    }

    /// A set of elements of one type, duplicates collapsed; for different types see
    /// [`set!`](crate::set).
    pub fn set<T: Into<Self>>(elements: impl IntoIterator<Item = T>) -> Self {
        Self::Set(elements.into_iter().map(Into::into).collect())
    }

    /// A table of keys of one type and values of one type, of which the last one under a key
    /// counts; for different types see [`table!`](crate::table).
    pub fn table<K: Into<Self>, V: Into<Self>>(entries: impl IntoIterator<Item = (K, V)>) -> Self {
        Self::Table(entries.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }
}

/// A vector of elements of any types that convert into `Value`.
///
/// ```
/// use broker_data::{Value, vector};
///
/// let value = vector![1_u64, "two", vector![3.0]];
/// assert!(matches!(value, Value::Vector(elements) if elements.len() == 3));
/// ```
#[macro_export]
macro_rules! vector {
    ($($element:expr),* $(,)?) => {
        $crate::Value::Vector(::std::vec![$($crate::Value::from($element)),*])
    };
}

/// A set of elements of any types that convert into `Value`.
///
/// ```
/// use broker_data::{Value, set};
///
/// let value = set!["a", 1_u64, "a"];
/// assert!(matches!(value, Value::Set(elements) if elements.len() == 2));
/// ```
#[macro_export]
macro_rules! set {
    ($($element:expr),* $(,)?) => {
        $crate::Value::Set(
            ::std::iter::IntoIterator::into_iter(
                [$($crate::Value::from($element)),*] as [$crate::Value; _]
            ).collect()
        )
    };
}

/// A table of keys and values of any types that convert into `Value`.
///
/// ```
/// use broker_data::{Value, table};
///
/// let value = table! { "a" => 1_u64, 2_u64 => "b" };
/// assert!(matches!(value, Value::Table(entries) if entries.len() == 2));
/// ```
#[macro_export]
macro_rules! table {
    ($($key:expr => $value:expr),* $(,)?) => {
        $crate::Value::Table(
            ::std::iter::IntoIterator::into_iter(
                [$(($crate::Value::from($key), $crate::Value::from($value))),*]
                    as [($crate::Value, $crate::Value); _]
            ).collect()
        )
    };
}

#[cfg(test)]
mod tests;
