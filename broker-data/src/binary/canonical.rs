//! Rewriting a payload so that sets and tables are in ascending order.

use super::compare::compare;
use super::cursor::Cursor;
use super::decode::{DecodeLimits, port, subnet};
use super::error::{DecodeError, DecodeErrorKind};
use super::{tag, varbyte};

/// The same value with the elements of all sets and the pairs of all tables in ascending order
/// and all sizes in their shortest form; checks everything that
/// [`validate`](super::validate()) checks.
///
/// Inner containers are put in order before the outer ones compare them, so no comparison ever has
/// to sort.
pub(crate) fn canonicalize(bytes: &[u8], limits: DecodeLimits) -> Result<Vec<u8>, DecodeError> {
    let mut writer = Canonicalizer {
        input: Cursor::new(bytes),
        limit: limits.depth(),
        out: Vec::with_capacity(bytes.len()),
        scratch: Vec::new(),
    };
    writer.value(0)?;
    match writer.input.left() {
        0 => Ok(writer.out),
        count => {
            let kind = DecodeErrorKind::TrailingBytes { count };
            Err(DecodeError::new(kind, writer.input.pos()))
        }
    }
}

struct Canonicalizer<'a> {
    input: Cursor<'a>,
    limit: usize,
    out: Vec<u8>,
    scratch: Vec<u8>,
}

/// An element of a set or a pair of a table: where it is in the output, where it was in the input.
#[derive(Clone, Copy)]
struct Element {
    start: usize,
    end: usize,
    origin: usize,
}

impl Canonicalizer<'_> {
    fn value(&mut self, depth: usize) -> Result<(), DecodeError> {
        let start = self.input.pos();
        let tag = self.input.from(start).first().copied();
        let Some(tag @ (tag::VECTOR | tag::SET | tag::TABLE)) = tag else {
            self.scalar(tag)?;
            self.out.extend_from_slice(self.input.since(start));
            return Ok(());
        };
        self.input.u8()?;
        if depth >= self.limit {
            return Err(DecodeError::new(DecodeErrorKind::TooDeep { limit: self.limit }, start));
        }
        let values_each = if tag == tag::TABLE { 2 } else { 1 };
        let count = self.input.element_count(values_each)?;
        self.out.push(tag);
        varbyte::write(count, &mut self.out);
        if tag == tag::VECTOR {
            return (0..count).try_for_each(|_| self.value(depth + 1));
        }
        self.unique(count, tag == tag::TABLE, depth)
    }

    /// Passes over a value that is not a container.
    fn scalar(&mut self, tag: Option<u8>) -> Result<(), DecodeError> {
        match tag {
            Some(tag::PORT) => {
                self.input.u8()?;
                port(&mut self.input).map(drop)
            }
            Some(tag::SUBNET) => {
                self.input.u8()?;
                let subnet = subnet(&mut self.input)?;
                if subnet.has_valid_length() {
                    return Ok(());
                }
                let kind = DecodeErrorKind::InvalidPrefixLength(subnet.raw_length());
                Err(DecodeError::new(kind, self.input.pos() - 1))
            }
            _ => self.input.skip_value(),
        }
    }

    fn unique(&mut self, count: usize, is_table: bool, depth: usize) -> Result<(), DecodeError> {
        let mut elements = Vec::new();
        for _ in 0..count {
            let (start, origin) = (self.out.len(), self.input.pos());
            self.value(depth + 1)?;
            if is_table {
                self.value(depth + 1)?;
            }
            elements.push(Element { start, end: self.out.len(), origin });
        }
        self.sort(&mut elements, is_table)
    }

    fn sort(&mut self, elements: &mut [Element], is_table: bool) -> Result<(), DecodeError> {
        let out = &self.out;
        let compare = |a: &Element, b: &Element| compare(tail(out, a.start), tail(out, b.start));
        let in_order = elements.is_sorted_by(|a, b| compare(a, b).order.is_lt());
        if !in_order {
            elements.sort_by(|a, b| compare(a, b).order);
        }
        for pair in elements.windows(2) {
            if let [a, b] = pair
                && compare(a, b).duplicate
            {
                return Err(duplicate(is_table, a.origin.max(b.origin)));
            }
        }
        if !in_order {
            self.rearrange(elements);
        }
        Ok(())
    }

    /// Puts the elements, which are the tail of the output, into the given order.
    fn rearrange(&mut self, elements: &[Element]) {
        self.scratch.clear();
        for element in elements {
            self.scratch.extend_from_slice(&self.out[element.start..element.end]);
        }
        self.out.truncate(self.out.len() - self.scratch.len());
        self.out.append(&mut self.scratch);
    }
}

fn tail(bytes: &[u8], start: usize) -> &[u8] {
    bytes.get(start..).unwrap_or_default()
}

fn duplicate(is_table: bool, offset: usize) -> DecodeError {
    let kind =
        if is_table { DecodeErrorKind::DuplicateKey } else { DecodeErrorKind::DuplicateElement };
    DecodeError::new(kind, offset)
}
