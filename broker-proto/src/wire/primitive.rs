use crate::EndpointId;

/// Takes primitives off the front of a message; every method answers `None` where bytes are
/// missing or do not form what is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader at the start of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What has not been read.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next `count` bytes.
    pub fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.rest.split_at_checked(count)?;
        self.rest = tail;
        Some(head)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.rest.split_first_chunk::<N>()?;
        self.rest = tail;
        Some(*head)
    }

    /// One byte.
    pub fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    /// A boolean: any byte but 0 is true.
    pub fn bool(&mut self) -> Option<bool> {
        self.u8().map(|byte| byte != 0)
    }

    /// A 16-bit number.
    pub fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    /// A 32-bit number.
    pub fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    /// A 64-bit number.
    pub fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// An endpoint id.
    pub fn id(&mut self) -> Option<EndpointId> {
        self.array().map(EndpointId::from_bytes)
    }

    /// A size: up to five groups of seven bits, the lowest first, at most 32 bits together. Longer
    /// forms than needed are fine, as everywhere in the protocol.
    pub fn varbyte(&mut self) -> Option<u32> {
        let mut value = 0_u64;
        for group in 0..5 {
            let byte = self.u8()?;
            value |= u64::from(byte & 0x7f) << (7 * group);
            if byte & 0x80 == 0 {
                return u32::try_from(value).ok();
            }
        }
        None
    }

    /// A string: its size, then its bytes.
    pub fn string(&mut self) -> Option<&'a [u8]> {
        let length = self.varbyte()?;
        self.bytes(length as usize)
    }
}

/// Appends a size.
pub fn put_varbyte(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a string. Topics and texts are far below the 4 GiB that a size can say; longer ones are
/// cut there.
pub fn put_string(out: &mut Vec<u8>, string: &[u8]) {
    let length = u32::try_from(string.len()).unwrap_or(u32::MAX);
    put_varbyte(out, length);
    out.extend_from_slice(string.get(..length as usize).unwrap_or(string));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_the_documented_bytes() {
        for (value, bytes) in [
            (0, &[0x00][..]),
            (127, &[0x7f]),
            (128, &[0x80, 0x01]),
            (300, &[0xac, 0x02]),
            (16383, &[0xff, 0x7f]),
            (16384, &[0x80, 0x80, 0x01]),
            (u32::MAX, &[0xff, 0xff, 0xff, 0xff, 0x0f]),
        ] {
            let mut out = Vec::new();
            put_varbyte(&mut out, value);
            assert_eq!(out, bytes);
            assert_eq!(Reader::new(bytes).varbyte(), Some(value));
        }
    }

    #[test]
    fn overlong_sizes_are_read_up_to_five_bytes_and_32_bits() {
        assert_eq!(Reader::new(&[0x81, 0x80, 0x80, 0x80, 0x00]).varbyte(), Some(1));
        assert_eq!(Reader::new(&[0x80, 0x80, 0x80, 0x80, 0x10]).varbyte(), None);
        assert_eq!(Reader::new(&[0x81, 0x80, 0x80, 0x80, 0x80, 0x00]).varbyte(), None);
        assert_eq!(Reader::new(&[0x80]).varbyte(), None);
    }

    #[test]
    fn a_string_longer_than_the_message_is_not_read() {
        assert_eq!(Reader::new(&[3, b'a', b'b']).string(), None);
        assert_eq!(Reader::new(&[2, b'a', b'b']).string(), Some(&b"ab"[..]));
    }
}
