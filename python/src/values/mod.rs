//! From encoded bytes to Python objects and back, in one pass and without a tree in between.

mod decode;
mod encode;
mod raw;
mod scalars;
mod times;
mod types;

pub(crate) use decode::{Flavor, decode, decode_event};
pub(crate) use encode::{encode, encode_event};
pub(crate) use raw::RawData;
pub(crate) use scalars::{Count, Enum, Port, text_bytes};
pub(crate) use times::{Timespan, Timestamp};
