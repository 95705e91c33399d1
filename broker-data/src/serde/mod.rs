//! Values and types that implement `Serialize` and `Deserialize`.
//!
//! [`to_value`] and [`from_value`] map the way Zeek maps its own types, so a struct stands for a
//! record:
//!
//! | Rust | Value |
//! |---|---|
//! | struct | vector of the fields in their order; a skipped field is nil |
//! | `Option`, `()` | nil, or the value inside |
//! | newtype struct | what is inside |
//! | tuple, `Vec` and other sequences, `BTreeSet` too | vector |
//! | a field `#[serde(with = "broker_data::serde::set")]` | set |
//! | map | table |
//! | unsigned, signed, floating-point numbers | count, integer, real |
//! | `str`, `String`, `char`, byte strings | string |
//! | enum variant without data | enum value with the name of the variant |
//! | enum variant with data | vector of that enum value and the data |
//! | [`IpAddress`](super::IpAddress), [`Subnet`](super::Subnet), [`Port`](super::Port), [`Timestamp`](super::Timestamp), [`Timespan`](super::Timespan), [`EnumValue`](super::EnumValue), [`Value`] | themselves |
//!
//! The way back is strict: kinds are not converted into each other, numbers must fit and tuples
//! must have their length. As in Zeek a record may have more elements than the struct has fields.
//!
//! In other formats the types of the data model are their text forms where the format is for
//! people, and bytes or numbers otherwise; a [`Value`] names its kind: `{"count":5}` in JSON.
//! (That is not the JSON form which WebSocket clients speak.)
//!
//! ```
//! use broker_data::{IpAddress, Value, serde::{from_value, to_value}, vector};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize, PartialEq, Debug)]
//! struct Host { address: IpAddress, name: Option<String>, hits: u32 }
//!
//! let host = Host { address: "10.0.0.1".parse()?, name: None, hits: 3 };
//! let value = to_value(&host)?;
//! assert_eq!(value, vector!["10.0.0.1".parse::<IpAddress>()?, (), 3_u64]);
//! assert_eq!(from_value::<Host>(&value)?, host);
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

mod access;
mod de;
mod error;
mod ser;
pub mod set;
mod tagged;
mod types;

pub use de::from_value;
pub use error::Error;
pub use ser::to_value;

use super::Value;

/// The names by which [`to_value`] and [`from_value`] know the types of the data model when other
/// types contain them.
mod name {
    pub(super) const VALUE: &str = "$broker::Value";
    pub(super) const ADDRESS: &str = "$broker::Address";
    pub(super) const SUBNET: &str = "$broker::Subnet";
    pub(super) const PORT: &str = "$broker::Port";
    pub(super) const TIMESTAMP: &str = "$broker::Timestamp";
    pub(super) const TIMESPAN: &str = "$broker::Timespan";
    pub(super) const ENUM: &str = "$broker::EnumValue";
    pub(super) const SET: &str = "$broker::Set";
}

#[cfg(test)]
mod tests;
