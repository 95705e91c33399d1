//! Reading fields off a payload.

use super::error::{DecodeError, DecodeErrorKind};
use super::{quick, tag, varbyte};

/// A position in a payload.
#[derive(Clone, Copy)]
pub(crate) struct Cursor<'a> {
    bytes: &'a [u8],
    pos: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, pos: 0 }
    }

    pub(crate) const fn pos(&self) -> usize {
        self.pos
    }

    #[inline]
    pub(crate) const fn left(&self) -> usize {
        self.bytes.len() - self.pos
    }

    /// The bytes from `start`, an earlier position, up to the current one.
    pub(crate) fn since(&self, start: usize) -> &'a [u8] {
        self.bytes.get(start..self.pos).unwrap_or_default()
    }

    /// The bytes from `start`, an earlier position, up to the end of the payload.
    pub(crate) fn from(&self, start: usize) -> &'a [u8] {
        self.bytes.get(start..).unwrap_or_default()
    }

    #[cold]
    fn end(&self, needed: usize) -> DecodeError {
        DecodeError::new(DecodeErrorKind::UnexpectedEnd { needed, left: self.left() }, self.pos)
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        match self.bytes.get(self.pos) {
            Some(&byte) => {
                self.pos += 1;
                Ok(byte)
            }
            None => Err(self.end(1)),
        }
    }

    #[inline]
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], DecodeError> {
        match self.bytes.get(self.pos..).and_then(|rest| rest.get(..count)) {
            Some(taken) => {
                self.pos += count;
                Ok(taken)
            }
            None => Err(self.end(count)),
        }
    }

    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        match self.bytes.get(self.pos..).and_then(|rest| rest.first_chunk::<N>()) {
            Some(taken) => {
                self.pos += N;
                Ok(*taken)
            }
            None => Err(self.end(N)),
        }
    }

    #[inline]
    pub(crate) fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_be_bytes)
    }

    /// A size: one to five bytes, not necessarily the shortest form.
    #[inline]
    pub(crate) fn size(&mut self) -> Result<usize, DecodeError> {
        match self.bytes.get(self.pos) {
            Some(&byte) if byte < 0x80 => {
                self.pos += 1;
                Ok(usize::from(byte))
            }
            _ => self.long_size(),
        }
    }

    fn long_size(&mut self) -> Result<usize, DecodeError> {
        let start = self.pos;
        let mut size = 0_u64;
        for index in 0..varbyte::MAX_BYTES {
            let byte = self.u8()?;
            size |= u64::from(byte & 0x7F) << (7 * index);
            if byte < 0x80 {
                return u32::try_from(size)
                    .ok()
                    .and_then(|size| usize::try_from(size).ok())
                    .ok_or(DecodeError::new(DecodeErrorKind::SizeTooLarge, start));
            }
        }
        Err(DecodeError::new(DecodeErrorKind::SizeTooLong, start))
    }

    /// The number of elements of a container whose elements take at least `least` bytes each;
    /// refused when they cannot all be there.
    #[inline]
    pub(crate) fn element_count(&mut self, least: usize) -> Result<usize, DecodeError> {
        let count = self.size()?;
        match count.checked_mul(least) {
            Some(needed) if needed <= self.left() => Ok(count),
            needed => Err(self.end(needed.unwrap_or(usize::MAX))),
        }
    }

    /// Skips the value at the position, as [`Self::skip_values`] does.
    #[inline]
    pub(crate) fn skip_value(&mut self) -> Result<(), DecodeError> {
        self.skip_values(1)
    }

    /// Skips so many values, looking at the structure only. Does not recurse; takes time in
    /// proportion to the bytes skipped.
    #[inline]
    pub(crate) fn skip_values(&mut self, count: usize) -> Result<(), DecodeError> {
        match quick::skip(self.bytes, self.pos, count) {
            Some(end) => {
                self.pos = end;
                Ok(())
            }
            None => self.skip_slowly(count),
        }
    }

    /// Finds what is wrong with them.
    #[cold]
    fn skip_slowly(&mut self, count: usize) -> Result<(), DecodeError> {
        let mut pending = count;
        while pending > 0 {
            pending -= 1;
            let start = self.pos;
            match self.u8()? {
                tag::NONE => {}
                tag::BOOLEAN => drop(self.take(1)?),
                tag::COUNT | tag::INTEGER | tag::REAL | tag::TIMESTAMP | tag::TIMESPAN => {
                    self.take(8)?;
                }
                tag::STRING | tag::ENUM => {
                    let size = self.size()?;
                    self.take(size)?;
                }
                tag::ADDRESS => drop(self.take(16)?),
                tag::SUBNET => drop(self.take(17)?),
                tag::PORT => drop(self.take(3)?),
                tag::SET | tag::VECTOR => pending += self.element_count(1)?,
                tag::TABLE => pending += 2 * self.element_count(2)?,
                tag => return Err(DecodeError::new(DecodeErrorKind::UnknownTag(tag), start)),
            }
        }
        Ok(())
    }
}
