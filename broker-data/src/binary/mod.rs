//! Binary format v1: `tag payload`, all numbers big-endian, nothing padded or aligned.

mod canonical;
mod compare;
mod cursor;
mod decode;
mod encode;
mod error;
mod quick;
mod real;
mod validate;
mod varbyte;

pub use decode::DecodeLimits;
pub use encode::Encode;
pub use error::{DecodeError, DecodeErrorKind};
pub use validate::validate;

pub(super) use canonical::canonicalize;
pub(super) use compare::compare;
pub(super) use cursor::Cursor;
pub(super) use decode::{build, port, subnet};
pub(super) use real::from_wire as real_from_wire;
pub(super) use validate::{WireOrder, is_ascending, scan};
pub(super) use varbyte::write as write_size;

/// The tags on the wire, for matching on bytes; the same numbers as those of `Kind`.
mod tag {
    pub(super) const NONE: u8 = 0;
    pub(super) const BOOLEAN: u8 = 1;
    pub(super) const COUNT: u8 = 2;
    pub(super) const INTEGER: u8 = 3;
    pub(super) const REAL: u8 = 4;
    pub(super) const STRING: u8 = 5;
    pub(super) const ADDRESS: u8 = 6;
    pub(super) const SUBNET: u8 = 7;
    pub(super) const PORT: u8 = 8;
    pub(super) const TIMESTAMP: u8 = 9;
    pub(super) const TIMESPAN: u8 = 10;
    pub(super) const ENUM: u8 = 11;
    pub(super) const SET: u8 = 12;
    pub(super) const TABLE: u8 = 13;
    pub(super) const VECTOR: u8 = 14;
}
