//! Checking a payload without building values.

use super::canonical::canonicalize;
use super::compare::compare;
use super::cursor::Cursor;
use super::decode::DecodeLimits;
use super::error::{DecodeError, DecodeErrorKind};
use super::tag;
use crate::{IpAddress, Protocol};
use std::cmp::Ordering;

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
    let mut scanner = Scanner::new(bytes, limits.depth());
    match scanner.value(0) {
        Ok(()) => finish(&scanner.input).map(|()| WireOrder::Ascending),
        Err(Stopped) => match scanner.invalid {
            Some(error) => Err(error),
            None => canonicalize(bytes, limits).map(|_| WireOrder::Unknown),
        },
    }
}

/// Whether all sets and tables of a valid payload are in ascending order; never allocates.
pub(crate) fn is_ascending(bytes: &[u8]) -> bool {
    Scanner::new(bytes, DecodeLimits::HIGHEST_DEPTH).value(0).is_ok()
}

/// Refuses bytes after the value.
pub(super) fn finish(input: &Cursor<'_>) -> Result<(), DecodeError> {
    match input.left() {
        0 => Ok(()),
        count => Err(DecodeError::new(DecodeErrorKind::TrailingBytes { count }, input.pos())),
    }
}

/// Reads the payload of a value that is not a container, whose tag was read from `start`.
#[inline(always)]
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

#[inline]
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

/// The scanner does not go on: because of what it says is invalid or, if that is nothing, because
/// elements of a set or keys of a table are not in ascending order.
///
/// Without anything in it, because a reason that every level hands to the one above would make
/// every value of every message pass through memory.
struct Stopped;

struct Scanner<'a> {
    input: Cursor<'a>,
    limit: usize,
    invalid: Option<DecodeError>,
}

impl<'a> Scanner<'a> {
    fn new(bytes: &'a [u8], limit: usize) -> Self {
        Self { input: Cursor::new(bytes), limit, invalid: None }
    }

    #[inline]
    fn check<T>(&mut self, outcome: Result<T, DecodeError>) -> Result<T, Stopped> {
        match outcome {
            Ok(value) => Ok(value),
            Err(error) => Err(self.refuse(error)),
        }
    }

    #[cold]
    fn refuse(&mut self, error: DecodeError) -> Stopped {
        self.invalid = Some(error);
        Stopped
    }

    #[inline]
    fn value(&mut self, depth: usize) -> Result<(), Stopped> {
        if self.input.skip_plain() { Ok(()) } else { self.other_value(depth) }
    }

    /// A value that has to be looked at more closely.
    #[inline]
    fn other_value(&mut self, depth: usize) -> Result<(), Stopped> {
        let start = self.input.pos();
        let tag = self.input.u8();
        match self.check(tag)? {
            tag @ (tag::VECTOR | tag::SET | tag::TABLE) => self.container(tag, start, depth),
            tag => {
                let outcome = scalar(&mut self.input, tag, start);
                self.check(outcome)
            }
        }
    }

    fn container(&mut self, tag: u8, start: usize, depth: usize) -> Result<(), Stopped> {
        if depth >= self.limit {
            let kind = DecodeErrorKind::TooDeep { limit: self.limit };
            return Err(self.refuse(DecodeError::new(kind, start)));
        }
        if tag == tag::VECTOR {
            let count = self.input.element_count(1);
            for _ in 0..self.check(count)? {
                self.value(depth + 1)?;
            }
            return Ok(());
        }
        self.unique(tag == tag::TABLE, depth)
    }

    /// The elements of a set, or the pairs of a table.
    fn unique(&mut self, is_table: bool, depth: usize) -> Result<(), Stopped> {
        let count = self.input.element_count(1 + usize::from(is_table));
        let count = self.check(count)?;
        let mut previous = None;
        for _ in 0..count {
            let start = self.input.pos();
            self.value(depth + 1)?;
            if let Some(previous) = previous.replace(start) {
                self.ascending(previous, start, is_table)?;
            }
            if is_table {
                self.value(depth + 1)?;
            }
        }
        Ok(())
    }

    #[inline]
    fn ascending(&mut self, previous: usize, start: usize, is_table: bool) -> Result<(), Stopped> {
        let comparison = compare(self.input.from(previous), self.input.from(start));
        if comparison.duplicate {
            return Err(self.refuse(duplicate(is_table, start)));
        }
        match comparison.order {
            Ordering::Less => Ok(()),
            _ => Err(Stopped),
        }
    }
}

pub(super) fn duplicate(is_table: bool, offset: usize) -> DecodeError {
    let kind =
        if is_table { DecodeErrorKind::DuplicateKey } else { DecodeErrorKind::DuplicateElement };
    DecodeError::new(kind, offset)
}
