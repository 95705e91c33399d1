//! Comparing encoded values without decoding them.

use super::cursor::Cursor;
use super::error::DecodeError;
use super::{real, tag};
use crate::order::cmp_real;
use std::cmp::Ordering;

/// How two encoded values relate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Comparison {
    /// By the order of [`Value`](crate::Value).
    pub(crate) order: Ordering,
    /// Whether the C++ Broker takes one for a duplicate of the other: as above, but NaN counts as
    /// equal to every real and the comparison goes on behind it. (Not transitive.)
    pub(crate) duplicate: bool,
}

/// Compares the values that `a` and `b` start with; what follows them is ignored. Sets and tables
/// in them must be in ascending order on the wire. Neither allocates nor recurses.
///
/// On bytes that are not valid values the result is some ordering of the bytes.
#[inline]
pub(crate) fn compare(a: &[u8], b: &[u8]) -> Comparison {
    if let (Some(a), Some(b)) = (short_string(a), short_string(b)) {
        let order = a.cmp(b);
        return Comparison { order, duplicate: order.is_eq() };
    }
    compare_any(a, b)
}

/// The bytes of a string below 128 bytes, the usual element of a set and key of a table.
#[inline]
fn short_string(value: &[u8]) -> Option<&[u8]> {
    match value {
        [tag::STRING, size @ ..0x80, bytes @ ..] => bytes.get(..usize::from(*size)),
        _ => None,
    }
}

fn compare_any(a: &[u8], b: &[u8]) -> Comparison {
    Comparer { a: Cursor::new(a), b: Cursor::new(b), nan: Ordering::Equal }.run().unwrap_or_else(
        |_| {
            let order = a.cmp(b);
            Comparison { order, duplicate: order.is_eq() }
        },
    )
}

struct Comparer<'a> {
    a: Cursor<'a>,
    b: Cursor<'a>,
    /// How the first real differs from its counterpart if one of the two is NaN.
    nan: Ordering,
}

/// What a pair of values says about the order of the whole.
enum Step {
    /// Settled, or equal.
    Order(Ordering),
    /// Containers: this many values to compare on either side, and if they are all equal, this.
    Contents(usize, Ordering),
}

impl Comparer<'_> {
    /// Containers need no stack: in depth-first order their elements come next on either side.
    /// When the sizes differ, the fewer elements decide, and if those are equal the sizes do, so
    /// nothing behind them matters any more.
    fn run(mut self) -> Result<Comparison, DecodeError> {
        let mut pending = 1_usize;
        let mut at_end = Ordering::Equal;
        while pending > 0 {
            pending -= 1;
            match self.step()? {
                Step::Order(Ordering::Equal) => {}
                Step::Order(order) => return Ok(self.settled(order)),
                Step::Contents(count, Ordering::Equal) => pending += count,
                Step::Contents(count, order) => (pending, at_end) = (count, order),
            }
        }
        Ok(self.settled(at_end))
    }

    fn settled(&self, order: Ordering) -> Comparison {
        Comparison { order: self.nan.then(order), duplicate: order.is_eq() }
    }

    #[inline]
    fn step(&mut self) -> Result<Step, DecodeError> {
        let (tag, other) = (self.a.u8()?, self.b.u8()?);
        if tag != other {
            return Ok(Step::Order(tag.cmp(&other)));
        }
        Ok(Step::Order(match tag {
            tag::NONE => Ordering::Equal,
            tag::BOOLEAN => (self.a.u8()? != 0).cmp(&(self.b.u8()? != 0)),
            tag::COUNT => self.a.u64()?.cmp(&self.b.u64()?),
            tag::INTEGER | tag::TIMESTAMP | tag::TIMESPAN => {
                self.a.u64()?.cast_signed().cmp(&self.b.u64()?.cast_signed())
            }
            tag::REAL => self.reals()?,
            tag::STRING | tag::ENUM => {
                let (size, other) = (self.a.size()?, self.b.size()?);
                self.a.take(size)?.cmp(self.b.take(other)?)
            }
            tag::ADDRESS => self.bytes::<16>()?,
            tag::SUBNET => self.bytes::<17>()?,
            tag::PORT => self.bytes::<3>()?,
            tag::TABLE => return self.containers(2),
            // Tags that stand for nothing only come from bytes nobody validated, which end soon.
            _ => return self.containers(1),
        }))
    }

    fn bytes<const N: usize>(&mut self) -> Result<Ordering, DecodeError> {
        Ok(self.a.array::<N>()?.cmp(&self.b.array::<N>()?))
    }

    fn reals(&mut self) -> Result<Ordering, DecodeError> {
        let (a, b) = (real::from_wire(self.a.u64()?), real::from_wire(self.b.u64()?));
        let order = cmp_real(a, b);
        if !a.is_nan() && !b.is_nan() {
            return Ok(order);
        }
        self.nan = self.nan.then(order);
        Ok(Ordering::Equal)
    }

    fn containers(&mut self, values_each: usize) -> Result<Step, DecodeError> {
        let (count, other) =
            (self.a.element_count(values_each)?, self.b.element_count(values_each)?);
        Ok(Step::Contents(count.min(other) * values_each, count.cmp(&other)))
    }
}
