//! For fuzzers: how the bytes of an input become decisions.

/// Takes decisions off the front of an input. One that is used up decides for zero.
pub struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    /// All decisions that there are.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether all of them have been taken.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// A number.
    pub fn u8(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or_default()
    }

    /// A number of two bytes.
    pub fn u16(&mut self) -> u16 {
        u16::from_be_bytes([self.u8(), self.u8()])
    }

    /// One of the numbers below `count`, which is not zero.
    pub fn below(&mut self, count: usize) -> usize {
        usize::from(self.u8()) % count
    }

    /// One of the items; `None` if there are none.
    pub fn pick<T: Copy>(&mut self, items: &[T]) -> Option<T> {
        let at = usize::from(self.u8());
        items.get(at.checked_rem(items.len())?).copied()
    }

    /// The next `count` bytes, or as many as there are.
    pub fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (head, tail) = self.rest.split_at(count.min(self.rest.len()));
        self.rest = tail;
        head
    }

    /// A string of up to 255 bytes.
    pub fn string(&mut self) -> &'a [u8] {
        let length = self.u8();
        self.bytes(length.into())
    }

    /// Everything that has not been taken.
    #[must_use]
    pub fn rest(self) -> &'a [u8] {
        self.rest
    }
}
