//! The payload of a routing update: the complete filter of its sender.

use super::{Reader, put_string, put_varbyte};
use crate::limits::FilterLimits;
use bytes::Bytes;

/// Appends the payload that announces `filter`.
pub fn encode(out: &mut Vec<u8>, filter: &[Bytes]) {
    put_varbyte(out, u32::try_from(filter.len()).unwrap_or(u32::MAX));
    for topic in filter {
        put_string(out, topic);
    }
}

/// Why a routing update is not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRoutingUpdate {
    /// An entry says it is longer than what is left of the payload.
    #[error("entry {index} at byte {offset} is longer than the payload")]
    Truncated {
        /// Which entry.
        index: usize,
        /// Where it starts in the payload.
        offset: usize,
    },
    /// More entries than this side is ready to remember.
    #[error("more than {limit} entries, the limit filter-entries")]
    TooManyEntries {
        /// The limit.
        limit: usize,
    },
    /// More bytes than this side is ready to remember.
    #[error("{bytes} bytes are more than {limit}, the limit filter-bytes")]
    TooLarge {
        /// The bytes of all entries together.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
}

impl InvalidRoutingUpdate {
    /// Whether the filter is well-formed as far as it was read, and larger than allowed.
    #[must_use]
    pub fn is_too_large(&self) -> bool {
        matches!(self, Self::TooManyEntries { .. } | Self::TooLarge { .. })
    }
}

impl FilterLimits {
    /// Checks a filter that has been read.
    ///
    /// # Errors
    ///
    /// It has too many entries, or too many bytes.
    pub fn check(&self, filter: &[Bytes]) -> Result<(), InvalidRoutingUpdate> {
        if filter.len() > self.entries {
            return Err(InvalidRoutingUpdate::TooManyEntries { limit: self.entries });
        }
        let bytes = filter.iter().map(Bytes::len).sum();
        if bytes > self.bytes {
            return Err(InvalidRoutingUpdate::TooLarge { bytes, limit: self.bytes });
        }
        Ok(())
    }
}

/// Reads a filter. The count in front is not believed (the C++ Broker skips it, too): entries are
/// read until the payload ends, and an empty payload is an empty filter. The entries share one copy
/// of the payload.
///
/// # Errors
///
/// An entry is cut off, or there is more than `limits` allow.
pub fn decode(payload: &[u8], limits: FilterLimits) -> Result<Vec<Bytes>, InvalidRoutingUpdate> {
    let mut filter = Vec::new();
    if payload.is_empty() {
        return Ok(filter);
    }
    // Before anything is copied; the sizes in front of the entries are not held against them.
    if payload.len() > limits.bytes.saturating_add(limits.entries.saturating_mul(5)) {
        let (bytes, limit) = (payload.len(), limits.bytes);
        return Err(InvalidRoutingUpdate::TooLarge { bytes, limit });
    }
    let payload = Bytes::copy_from_slice(payload);
    let mut reader = Reader::new(&payload);
    reader.varbyte().ok_or(InvalidRoutingUpdate::Truncated { index: 0, offset: 0 })?;
    while !reader.rest().is_empty() {
        if filter.len() == limits.entries {
            return Err(InvalidRoutingUpdate::TooManyEntries { limit: limits.entries });
        }
        let offset = payload.len() - reader.rest().len();
        let topic = reader
            .string()
            .ok_or(InvalidRoutingUpdate::Truncated { index: filter.len(), offset })?;
        filter.push(payload.slice_ref(topic));
    }
    limits.check(&filter).map(|()| filter)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: FilterLimits = FilterLimits { entries: 3, bytes: 9 };

    #[test]
    fn the_count_is_skipped_whatever_it_says() {
        assert_eq!(decode(&[], LIMITS).unwrap(), Vec::<Bytes>::new());
        assert_eq!(decode(&[1, 2, b'/', b'x', 2, b'/', b'y'], LIMITS).unwrap(), ["/x", "/y"]);
        assert_eq!(decode(&[0xff, 0xff, 0xff, 0xff, 0x0f], LIMITS).unwrap(), Vec::<Bytes>::new());
    }

    #[test]
    fn a_cut_entry_is_named_by_index_and_offset() {
        let error = decode(&[2, 1, b'a', 5, b'b'], LIMITS).unwrap_err();
        assert_eq!(error, InvalidRoutingUpdate::Truncated { index: 1, offset: 3 });
    }

    #[test]
    fn entries_and_their_bytes_are_bounded() {
        assert_eq!(decode(&[3, 0, 0, 0], LIMITS).unwrap().len(), 3);
        let error = decode(&[3, 0, 0, 0, 0], LIMITS).unwrap_err();
        assert_eq!(error, InvalidRoutingUpdate::TooManyEntries { limit: 3 });
        let update = |length: u8| [&[1, length][..], &vec![b'a'; length.into()]].concat();
        assert_eq!(decode(&update(9), LIMITS).unwrap(), ["aaaaaaaaa"]);
        for length in [10, 100] {
            let error = decode(&update(length), LIMITS).unwrap_err();
            assert!(matches!(error, InvalidRoutingUpdate::TooLarge { limit: 9, .. }), "{error}");
        }
    }
}
