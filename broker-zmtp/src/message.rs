/// A message, which has one part or several.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    bytes: Vec<u8>,
    /// Where each part ends.
    ends: Vec<usize>,
}

impl Message {
    /// The parts in order.
    pub fn parts(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        (0..self.ends.len()).map(|at| self.part(at).unwrap_or_default())
    }

    /// One of the parts.
    #[must_use]
    pub fn part(&self, at: usize) -> Option<&[u8]> {
        let begin = match at.checked_sub(1) {
            Some(before) => *self.ends.get(before)?,
            None => 0,
        };
        self.bytes.get(begin..*self.ends.get(at)?)
    }

    /// The parts, if there are exactly so many.
    #[must_use]
    pub fn exactly<const COUNT: usize>(&self) -> Option<[&[u8]; COUNT]> {
        let parts = std::array::from_fn(|at| self.part(at).unwrap_or_default());
        (self.ends.len() == COUNT).then_some(parts)
    }

    /// The bytes of all parts together.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn part_count(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn push(&mut self, part: &[u8]) {
        self.bytes.extend_from_slice(part);
        self.ends.push(self.bytes.len());
    }
}

impl<'a> FromIterator<&'a [u8]> for Message {
    fn from_iter<T: IntoIterator<Item = &'a [u8]>>(parts: T) -> Self {
        let mut message = Self::default();
        parts.into_iter().for_each(|part| message.push(part));
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_may_be_empty_and_are_kept_apart() {
        let parts = [&b""[..], b"ab", b"", b"c"];
        let message: Message = parts.into_iter().collect();
        assert_eq!(message.parts().collect::<Vec<_>>(), parts);
        assert_eq!((message.exactly::<4>(), message.exactly::<3>()), (Some(parts), None));
        assert_eq!((message.part(4), message.byte_len()), (None, 3));
        assert_eq!(Message::default().parts().len(), 0);
    }
}
