//! Sizes on the wire: unsigned LEB128 of 32 bits in one to five bytes.

/// The largest number of bytes of a size.
pub(crate) const MAX_BYTES: usize = 5;

/// Appends the shortest form of `size`.
///
/// Sizes above `u32::MAX` are never truncated: they come out with more bits than a reader accepts,
/// so that the payload is refused instead of misread. (A payload of 4 GiB fits no frame anyway.)
#[inline]
pub(crate) fn write(size: usize, out: &mut Vec<u8>) {
    let mut rest = size;
    while rest > 0x7F {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// The number of bytes that [`write()`] appends.
#[inline]
pub(crate) fn len(size: usize) -> usize {
    let bits = (usize::BITS - size.leading_zeros()).max(1);
    bits.div_ceil(7) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_in_their_shortest_form() {
        let cases: [(usize, &[u8]); 9] = [
            (0, &[0x00]),
            (127, &[0x7F]),
            (128, &[0x80, 0x01]),
            (300, &[0xAC, 0x02]),
            (16383, &[0xFF, 0x7F]),
            (16384, &[0x80, 0x80, 0x01]),
            (268_435_455, &[0xFF, 0xFF, 0xFF, 0x7F]),
            (268_435_456, &[0x80, 0x80, 0x80, 0x80, 0x01]),
            (4_294_967_295, &[0xFF, 0xFF, 0xFF, 0xFF, 0x0F]),
        ];
        for (size, bytes) in cases {
            let mut out = Vec::new();
            write(size, &mut out);
            assert_eq!(out, bytes, "{size}");
            assert_eq!(len(size), bytes.len(), "{size}");
        }
    }
}
