//! Checking a payload without building values.

use super::canonical::canonicalize;
use super::cursor::Cursor;
use super::decode::DecodeLimits;
use super::error::{DecodeError, DecodeErrorKind};
use super::{quick, tag};
use crate::{IpAddress, Protocol};

/// Checks that `bytes` is exactly one value that [`Value::decode_with`](crate::Value) would
/// accept, without building it.
///
/// Allocates nothing as long as the elements of sets and the keys of tables arrive in ascending
/// order, which all senders that encode whole values do. Otherwise it sorts a copy, which takes
/// memory in proportion to the bytes received. Either way the time is at most in proportion to
/// n log n of the size.
///
/// # Errors
///
/// The first thing found wrong; see [`DecodeErrorKind`] for the rules.
pub fn validate(bytes: &[u8], limits: DecodeLimits) -> Result<(), DecodeError> {
    scan(bytes, limits).map(drop)
}

/// What is known about the order of the sets and tables in a valid payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum WireOrder {
    /// All of them are in ascending order.
    Ascending,
    /// Nothing.
    Unknown,
}

/// As [`validate`], and says whether sets and tables are in ascending order.
#[inline]
pub(crate) fn scan(bytes: &[u8], limits: DecodeLimits) -> Result<WireOrder, DecodeError> {
    if quick::is_valid(bytes, limits.depth()) {
        return Ok(WireOrder::Ascending);
    }
    look_closely(bytes, limits)
}

/// What is wrong, unless it is the order.
#[cold]
fn look_closely(bytes: &[u8], limits: DecodeLimits) -> Result<WireOrder, DecodeError> {
    canonicalize(bytes, limits).map(|_| WireOrder::Unknown)
}

/// Whether all sets and tables of a valid payload are in ascending order; never allocates.
pub(crate) fn is_ascending(bytes: &[u8]) -> bool {
    quick::is_valid(bytes, DecodeLimits::HIGHEST_DEPTH)
}

/// Refuses bytes after the value.
pub(super) fn finish(input: &Cursor<'_>) -> Result<(), DecodeError> {
    match input.left() {
        0 => Ok(()),
        count => Err(DecodeError::new(DecodeErrorKind::TrailingBytes { count }, input.pos())),
    }
}

/// Reads the payload of a value that is not a container, whose tag was read from `start`.
pub(super) fn scalar(input: &mut Cursor<'_>, tag: u8, start: usize) -> Result<(), DecodeError> {
    match tag {
        tag::NONE => Ok(()),
        tag::COUNT | tag::INTEGER | tag::REAL | tag::TIMESTAMP | tag::TIMESPAN => {
            input.take(8).map(drop)
        }
        tag::STRING | tag::ENUM => {
            let size = input.size()?;
            input.take(size).map(drop)
        }
        tag::BOOLEAN => input.take(1).map(drop),
        tag::ADDRESS => input.take(16).map(drop),
        tag::PORT => port(input),
        tag::SUBNET => subnet(input),
        tag => Err(DecodeError::new(DecodeErrorKind::UnknownTag(tag), start)),
    }
}

fn port(input: &mut Cursor<'_>) -> Result<(), DecodeError> {
    let [_, _, protocol] = input.array()?;
    if protocol > Protocol::Icmp as u8 {
        return Err(DecodeError::new(DecodeErrorKind::UnknownProtocol(protocol), input.pos() - 1));
    }
    Ok(())
}

fn subnet(input: &mut Cursor<'_>) -> Result<(), DecodeError> {
    let bytes = input.array()?;
    let length = input.u8()?;
    let least = if IpAddress::from_bytes(bytes).is_v4() { 96 } else { 0 };
    if !(least..=128).contains(&length) {
        return Err(DecodeError::new(
            DecodeErrorKind::InvalidPrefixLength(length),
            input.pos() - 1,
        ));
    }
    Ok(())
}

pub(super) fn duplicate(is_table: bool, offset: usize) -> DecodeError {
    let kind =
        if is_table { DecodeErrorKind::DuplicateKey } else { DecodeErrorKind::DuplicateElement };
    DecodeError::new(kind, offset)
}
