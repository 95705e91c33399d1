//! Walking through containers.

use super::View;
use crate::Kind;
use crate::binary::{Cursor, WireOrder};
use std::cmp::Ordering;
use std::iter::FusedIterator;

/// The elements of a set or vector, in the order in which they were received.
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    left: usize,
    rest: Values<'a>,
}

/// The pairs of key and value of a table, in the order in which they were received.
#[derive(Clone, Debug)]
pub struct Entries<'a> {
    left: usize,
    rest: Values<'a>,
}

/// Values behind each other.
#[derive(Clone, Debug)]
struct Values<'a> {
    bytes: &'a [u8],
    order: WireOrder,
}

impl<'a> Values<'a> {
    const EMPTY: Self = Self { bytes: &[], order: WireOrder::Ascending };

    /// Takes off the first value. The last one takes what is left, without looking for its end.
    #[inline]
    fn next(&mut self, is_last: bool) -> Option<View<'a>> {
        let mut cursor = Cursor::new(self.bytes);
        let end = if is_last {
            self.bytes.len()
        } else {
            cursor.skip_value().ok()?;
            cursor.pos()
        };
        let (bytes, rest) = self.bytes.split_at_checked(end)?;
        self.bytes = rest;
        Some(View { bytes, order: self.order })
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = View<'a>;

    #[inline]
    fn next(&mut self) -> Option<View<'a>> {
        self.left = self.left.checked_sub(1)?;
        let element = self.rest.next(self.left == 0);
        if element.is_none() {
            self.left = 0;
        }
        element
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Elements<'_> {}
impl FusedIterator for Elements<'_> {}

impl<'a> Iterator for Entries<'a> {
    type Item = (View<'a>, View<'a>);

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let entry = self.rest.next(false).zip(self.rest.next(self.left == 0));
        if entry.is_none() {
            self.left = 0;
        }
        entry
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Entries<'_> {}
impl FusedIterator for Entries<'_> {}

impl<'a> View<'a> {
    fn values(&self, kind: Kind) -> (usize, Values<'a>) {
        match self.contents(kind) {
            Some((count, bytes)) => (count, Values { bytes, order: self.order }),
            None => (0, Values::EMPTY),
        }
    }

    /// The elements of a vector or set, in the order in which they were received; nothing for
    /// other kinds.
    #[must_use]
    pub fn iter(&self) -> Elements<'a> {
        let kind = if self.kind() == Kind::Set { Kind::Set } else { Kind::Vector };
        let (left, rest) = self.values(kind);
        Elements { left, rest }
    }

    /// The pairs of key and value of a table, in the order in which they were received; nothing
    /// for other kinds.
    #[must_use]
    pub fn entries(&self) -> Entries<'a> {
        let (left, rest) = self.values(Kind::Table);
        Entries { left, rest }
    }

    /// The element of a vector at `index`. Takes time in proportion to the bytes before it.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Self> {
        self.path([index])
    }

    /// The element of nested vectors at these indices, the outermost first: `path([2, 0])` is
    /// element 0 of element 2.
    #[must_use]
    pub fn path(&self, indices: impl IntoIterator<Item = usize>) -> Option<Self> {
        let mut cursor = Cursor::new(self.bytes);
        // Of the containers on the way nobody needs to know where they end.
        let mut is_last = true;
        for index in indices {
            let count = match cursor.u8() {
                Ok(tag) if tag == Kind::Vector as u8 => cursor.size().ok()?,
                _ => return None,
            };
            if index >= count {
                return None;
            }
            cursor.skip_values(index).ok()?;
            is_last &= index + 1 == count;
        }
        let start = cursor.pos();
        let bytes = if is_last {
            cursor.from(start)
        } else {
            cursor.skip_value().ok()?;
            cursor.since(start)
        };
        Some(Self { bytes, order: self.order })
    }

    /// The value under `key` in a table; a key may be given as `View`, `Value` or `str`. Takes
    /// time in proportion to the bytes before it.
    #[must_use]
    pub fn lookup<K: ?Sized>(&self, key: &K) -> Option<Self>
    where
        Self: PartialOrd<K>,
    {
        self.search(self.entries(), |(candidate, _)| candidate.partial_cmp(key))
            .map(|(_, value)| value)
    }

    /// Whether a set contains `element`, which may be given as `View`, `Value` or `str`. Takes
    /// time in proportion to the bytes of the set.
    #[must_use]
    pub fn contains<K: ?Sized>(&self, element: &K) -> bool
    where
        Self: PartialOrd<K>,
    {
        let (left, rest) = self.values(Kind::Set);
        self.search(Elements { left, rest }, |candidate| candidate.partial_cmp(element)).is_some()
    }

    /// The first item that compares as equal; gives up early where the order allows it.
    fn search<T>(
        &self,
        items: impl Iterator<Item = T>,
        compare: impl Fn(&T) -> Option<Ordering>,
    ) -> Option<T> {
        for item in items {
            match compare(&item) {
                Some(Ordering::Equal) => return Some(item),
                Some(Ordering::Greater) if self.order == WireOrder::Ascending => return None,
                _ => {}
            }
        }
        None
    }
}

impl<'a> IntoIterator for View<'a> {
    type Item = View<'a>;
    type IntoIter = Elements<'a>;

    fn into_iter(self) -> Elements<'a> {
        self.iter()
    }
}
