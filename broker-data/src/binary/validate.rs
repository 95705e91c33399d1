//! Checking a payload without building values.

use super::canonical::canonicalize;
use super::decode::DecodeLimits;
use super::error::DecodeError;
use super::quick;

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
/// The first thing found wrong; see [`DecodeErrorKind`](crate::DecodeErrorKind) for the rules.
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
    // This finds what is wrong, unless it is the order.
    canonicalize(bytes, limits).map(|_| WireOrder::Unknown)
}

/// Whether all sets and tables of a valid payload are in ascending order; never allocates.
pub(crate) fn is_ascending(bytes: &[u8]) -> bool {
    quick::is_valid(bytes, DecodeLimits::HIGHEST_DEPTH)
}
