//! Writing containers without making a [`Value`](super::Value) first.

use super::binary::{Cursor, Encode, compare, write_size};
use super::{Kind, Value};

/// A place at the end of a buffer where one value belongs.
///
/// A slot that is dropped unused holds nil, so what stands in the buffer is always well-formed.
///
/// ```
/// use broker_data::{Slot, Value};
///
/// let mut buffer = Vec::new();
/// let mut event = Slot::new(&mut buffer).vector();
/// event.push(&1_u64).push(&1_u64);
/// let mut content = event.next().vector();
/// content.push("ping");
/// content.next().vector().push("hi").push(&5_u64);
/// content.finish();
/// event.finish();
/// assert!(Value::decode(&buffer).is_ok());
/// ```
#[derive(Debug)]
pub struct Slot<'b> {
    out: Option<&'b mut Vec<u8>>,
}

impl<'b> Slot<'b> {
    /// A slot behind what is in `out`.
    #[must_use]
    pub fn new(out: &'b mut Vec<u8>) -> Self {
        Self { out: Some(out) }
    }

    /// Writes a value.
    #[inline]
    pub fn put<T: Encode + ?Sized>(mut self, value: &T) {
        if let Some(out) = self.out.take() {
            value.encode_into(out);
        }
    }

    /// Starts a vector.
    #[must_use]
    #[inline]
    pub fn vector(self) -> VectorBuilder<'b> {
        VectorBuilder(Container::open(self, Kind::Vector))
    }

    /// Starts a set.
    #[must_use]
    #[inline]
    pub fn set(self) -> SetBuilder<'b> {
        SetBuilder(Unique::open(self, Kind::Set))
    }

    /// Starts a table.
    #[must_use]
    #[inline]
    pub fn table(self) -> TableBuilder<'b> {
        TableBuilder(Unique::open(self, Kind::Table))
    }
}

impl Drop for Slot<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(out) = self.out.take() {
            Value::None.encode_into(out);
        }
    }
}

/// Writes the elements of a vector one after the other. Finished by being dropped.
#[derive(Debug)]
pub struct VectorBuilder<'b>(Container<'b>);

impl VectorBuilder<'_> {
    /// Appends an element.
    #[inline]
    pub fn push<T: Encode + ?Sized>(&mut self, element: &T) -> &mut Self {
        self.0.count += 1;
        if let Some(out) = &mut self.0.out {
            element.encode_into(out);
        }
        self
    }

    /// The place of the next element.
    #[allow(clippy::should_implement_trait, reason = "not an iterator, but it goes on")]
    #[inline]
    pub fn next(&mut self) -> Slot<'_> {
        self.0.count += 1;
        Slot { out: self.0.out.as_deref_mut() }
    }

    /// Finishes the vector.
    #[inline]
    pub fn finish(self) {}
}

/// Writes the elements of a set one after the other. Finished by being dropped.
///
/// Elements added in ascending order, which is cheapest, stay where they are. Others are put in
/// order at the end, and elements that were added before are left out.
#[derive(Debug)]
pub struct SetBuilder<'b>(Unique<'b>);

impl SetBuilder<'_> {
    /// Adds an element.
    #[inline]
    pub fn insert<T: Encode + ?Sized>(&mut self, element: &T) -> &mut Self {
        self.0.begin();
        if let Some(out) = &mut self.0.inner.out {
            element.encode_into(out);
        }
        self
    }

    /// The place of the next element.
    #[allow(clippy::should_implement_trait, reason = "not an iterator, but it goes on")]
    #[inline]
    pub fn next(&mut self) -> Slot<'_> {
        self.0.begin();
        Slot { out: self.0.inner.out.as_deref_mut() }
    }

    /// Finishes the set.
    #[inline]
    pub fn finish(self) {}
}

/// Writes the pairs of a table one after the other. Finished by being dropped.
///
/// Pairs added in ascending order of the keys, which is cheapest, stay where they are. Others are
/// put in order at the end, and of pairs with the same key the last one counts.
#[derive(Debug)]
pub struct TableBuilder<'b>(Unique<'b>);

impl TableBuilder<'_> {
    /// Adds a pair.
    pub fn insert<K, V>(&mut self, key: &K, value: &V) -> &mut Self
    where
        K: Encode + ?Sized,
        V: Encode + ?Sized,
    {
        self.entry(key).put(value);
        self
    }

    /// The place of the value under `key`.
    #[inline]
    pub fn entry<K: Encode + ?Sized>(&mut self, key: &K) -> Slot<'_> {
        self.0.begin();
        let mut out = self.0.inner.out.as_deref_mut();
        if let Some(out) = &mut out {
            key.encode_into(out);
        }
        Slot { out }
    }

    /// Finishes the table.
    #[inline]
    pub fn finish(self) {}
}

/// A container whose size is filled in at the end.
#[derive(Debug)]
struct Container<'b> {
    out: Option<&'b mut Vec<u8>>,
    /// Where the size goes, for which one byte is there.
    size_at: usize,
    count: usize,
}

impl<'b> Container<'b> {
    #[inline]
    fn open(mut slot: Slot<'b>, kind: Kind) -> Self {
        let mut out = slot.out.take();
        let mut size_at = 0;
        if let Some(out) = &mut out {
            out.extend_from_slice(&[kind as u8, 0]);
            size_at = out.len() - 1;
        }
        Self { out, size_at, count: 0 }
    }
}

impl Container<'_> {
    /// Makes room for a size of more than one byte.
    #[cold]
    fn put_long_size(&mut self) {
        if let Some(out) = &mut self.out {
            let mut size = Vec::new();
            write_size(self.count, &mut size);
            out.splice(self.size_at..=self.size_at, size);
        }
    }
}

impl Drop for Container<'_> {
    #[inline]
    fn drop(&mut self) {
        let place = self.out.as_mut().and_then(|out| out.get_mut(self.size_at));
        match (place, u8::try_from(self.count)) {
            (Some(place), Ok(size @ ..0x80)) => *place = size,
            _ => self.put_long_size(),
        }
    }
}

/// A container whose elements are unique and in ascending order: the first value of every element
/// (all there is in a set, the key in a table) decides.
#[derive(Debug)]
struct Unique<'b> {
    inner: Container<'b>,
    is_table: bool,
    /// Where the last two elements start.
    last: [Option<usize>; 2],
    ascending: bool,
}

impl<'b> Unique<'b> {
    #[inline]
    fn open(slot: Slot<'b>, kind: Kind) -> Self {
        let inner = Container::open(slot, kind);
        Self { inner, is_table: kind == Kind::Table, last: [None; 2], ascending: true }
    }

    #[inline]
    fn begin(&mut self) {
        self.check_last();
        self.inner.count += 1;
        let start = self.inner.out.as_ref().map(|out| out.len());
        self.last = [self.last[1], start];
    }

    #[inline]
    fn check_last(&mut self) {
        if let (Some(out), [Some(a), Some(b)], true) = (&self.inner.out, self.last, self.ascending)
        {
            self.ascending = compare(&out[a..], &out[b..]).order.is_lt();
        }
    }

    #[cold]
    fn sort(&mut self) {
        let first = self.inner.size_at + 1;
        let Some(out) = &mut self.inner.out else { return };
        let Some(elements) = split(&out[first..], self.is_table) else { return };
        let mut sorted = Vec::with_capacity(out.len() - first);
        self.inner.count = 0;
        let mut rest = elements.as_slice();
        while let [element, behind @ ..] = rest {
            rest = behind;
            if behind.first().is_none_or(|next| compare(element, next).order.is_ne()) {
                sorted.extend_from_slice(element);
                self.inner.count += 1;
            }
        }
        out.truncate(first);
        out.append(&mut sorted);
    }
}

/// The elements of a set or table, sorted, equal ones in the order in which they came; nothing if
/// an element is not what it should be.
fn split(contents: &[u8], is_table: bool) -> Option<Vec<&[u8]>> {
    let mut cursor = Cursor::new(contents);
    let mut elements = Vec::new();
    while cursor.left() > 0 {
        let start = cursor.pos();
        cursor.skip_value().ok()?;
        if is_table {
            cursor.skip_value().ok()?;
        }
        elements.push(cursor.since(start));
    }
    elements.sort_by(|a, b| compare(a, b).order);
    Some(elements)
}

impl Drop for Unique<'_> {
    #[inline]
    fn drop(&mut self) {
        self.check_last();
        if !self.ascending {
            self.sort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(build: impl FnOnce(Slot<'_>)) -> Value {
        let mut buffer = vec![0xAA];
        build(Slot::new(&mut buffer));
        assert_eq!(buffer.remove(0), 0xAA, "what was there stays");
        let value = Value::decode(&buffer).unwrap();
        assert_eq!(value.encode(), buffer, "not in canonical form");
        value
    }

    #[test]
    fn vectors_of_every_length_get_their_size() {
        for len in [0_u64, 1, 127, 128, 129, 300, 16384] {
            let value = built(|slot| {
                let mut vector = slot.vector();
                for n in 0..len {
                    vector.push(&n);
                }
            });
            assert_eq!(value, Value::Vector((0..len).map(Value::Count).collect()));
        }
    }

    #[test]
    fn containers_nest() {
        let value = built(|slot| {
            let mut outer = slot.vector();
            outer.push("a");
            let mut table = outer.next().table();
            table.entry("k").set().insert(&true);
            table.finish();
            outer.push(&1_i64);
        });
        let table = [(Value::String("k".into()), Value::Set([Value::Boolean(true)].into()))];
        let expected =
            vec![Value::String("a".into()), Value::Table(table.into()), Value::Integer(1)];
        assert_eq!(value, Value::Vector(expected));
    }

    #[test]
    fn sets_come_out_in_order_and_without_duplicates() {
        for order in [[1_u64, 2, 3, 4], [4, 3, 2, 1], [2, 2, 1, 3], [1, 2, 3, 3], [1, 1, 1, 1]] {
            let value = built(|slot| {
                let mut set = slot.set();
                for n in &order {
                    set.insert(n);
                }
            });
            assert_eq!(value, Value::Set(order.into_iter().map(Value::Count).collect()));
        }
    }

    #[test]
    fn the_last_pair_under_a_key_counts() {
        let value = built(|slot| {
            let mut table = slot.table();
            table.insert("b", &1_u64).insert("a", &2_u64).insert("b", &3_u64);
        });
        let entries = [("a", 2), ("b", 3)].map(|(k, v)| (Value::String(k.into()), Value::Count(v)));
        assert_eq!(value, Value::Table(entries.into()));
    }

    #[test]
    fn an_unused_slot_holds_nil() {
        let value = built(|slot| {
            let mut vector = slot.vector();
            drop(vector.next());
            vector.push(&false);
        });
        assert_eq!(value, Value::Vector(vec![Value::None, Value::Boolean(false)]));
    }
}
