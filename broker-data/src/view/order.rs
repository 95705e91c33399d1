//! Comparing views with each other and with values.

use super::View;
use crate::binary::{self, Cursor, WireOrder, canonicalize, compare, is_ascending};
use crate::order::cmp_real;
use crate::{DecodeError, DecodeLimits, Kind, Value};
use std::borrow::Cow;
use std::cmp::Ordering;

impl<'a> View<'a> {
    /// The bytes with sets and tables in ascending order; a copy only where they are not.
    pub(crate) fn ascending(&self) -> Cow<'a, [u8]> {
        if self.order == WireOrder::Ascending || is_ascending(self.bytes) {
            return Cow::Borrowed(self.bytes);
        }
        match canonicalize(self.bytes, DecodeLimits::HIGHEST) {
            Ok(bytes) => Cow::Owned(bytes),
            Err(_) => Cow::Borrowed(self.bytes),
        }
    }
}

impl Ord for View<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        if self.bytes == other.bytes {
            return Ordering::Equal;
        }
        match self.kind().cmp(&other.kind()) {
            Ordering::Equal => compare(&self.ascending(), &other.ascending()).order,
            order => order,
        }
    }
}

impl PartialOrd for View<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for View<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for View<'_> {}

impl PartialOrd<Value> for View<'_> {
    fn partial_cmp(&self, other: &Value) -> Option<Ordering> {
        if self.kind() != other.kind() {
            return Some(self.kind().cmp(&other.kind()));
        }
        compare_with(&mut Cursor::new(&self.ascending()), other).ok()
    }
}

impl PartialEq<Value> for View<'_> {
    fn eq(&self, other: &Value) -> bool {
        self.partial_cmp(other) == Some(Ordering::Equal)
    }
}

impl PartialOrd<View<'_>> for Value {
    fn partial_cmp(&self, other: &View<'_>) -> Option<Ordering> {
        other.partial_cmp(self).map(Ordering::reverse)
    }
}

impl PartialEq<View<'_>> for Value {
    fn eq(&self, other: &View<'_>) -> bool {
        other == self
    }
}

impl PartialOrd<str> for View<'_> {
    fn partial_cmp(&self, other: &str) -> Option<Ordering> {
        Some(match self.as_bytes() {
            Some(bytes) => bytes.cmp(other.as_bytes()),
            None => self.kind().cmp(&Kind::String),
        })
    }
}

impl PartialEq<str> for View<'_> {
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == Some(other.as_bytes())
    }
}

/// Compares the value at the cursor, whose sets and tables are in ascending order, and moves behind
/// it if the two are equal. Recurses as deep as `value` goes.
fn compare_with(input: &mut Cursor<'_>, value: &Value) -> Result<Ordering, DecodeError> {
    let (tag, other) = (input.u8()?, value.kind() as u8);
    if tag != other {
        return Ok(tag.cmp(&other));
    }
    Ok(match value {
        Value::None => Ordering::Equal,
        Value::Boolean(value) => (input.u8()? != 0).cmp(value),
        Value::Count(value) => input.u64()?.cmp(value),
        Value::Integer(value) => input.u64()?.cast_signed().cmp(value),
        Value::Real(value) => cmp_real(binary::real_from_wire(input.u64()?), *value),
        Value::String(value) => string(input)?.cmp(value.as_slice()),
        Value::Enum(value) => string(input)?.cmp(value.0.as_slice()),
        Value::Address(value) => input.array()?.cmp(value.bytes()),
        Value::Subnet(value) => binary::subnet(input)?.cmp(value),
        Value::Port(value) => binary::port(input)?.cmp(value),
        Value::Timestamp(value) => input.u64()?.cast_signed().cmp(&value.0),
        Value::Timespan(value) => input.u64()?.cast_signed().cmp(&value.0),
        Value::Set(elements) => sequence(input, 1, elements.len(), elements)?,
        Value::Vector(elements) => sequence(input, 1, elements.len(), elements)?,
        Value::Table(entries) => {
            let values = entries.iter().flat_map(|(key, value)| [key, value]);
            sequence(input, 2, entries.len(), values)?
        }
    })
}

fn string<'a>(input: &mut Cursor<'a>) -> Result<&'a [u8], DecodeError> {
    let size = input.size()?;
    input.take(size)
}

/// Compares a container of `len` elements, or pairs, that consist of `each` values.
fn sequence<'v>(
    input: &mut Cursor<'_>,
    each: usize,
    len: usize,
    values: impl IntoIterator<Item = &'v Value>,
) -> Result<Ordering, DecodeError> {
    let count = input.element_count(each)?;
    for value in values.into_iter().take(count.saturating_mul(each)) {
        let order = compare_with(input, value)?;
        if order.is_ne() {
            return Ok(order);
        }
    }
    Ok(count.cmp(&len))
}
