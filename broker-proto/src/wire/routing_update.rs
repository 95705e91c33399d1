//! The payload of a routing update: the complete filter of its sender.

use super::{Reader, put_string, put_varbyte};
use crate::limits::FilterLimits;
use bytes::Bytes;

/// Appends the payload that announces `filter`.
pub fn encode<'a>(
    out: &mut Vec<u8>,
    filter: impl IntoIterator<Item = &'a Bytes, IntoIter: ExactSizeIterator>,
) {
    let filter = filter.into_iter();
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
    /// An entry that is longer than this side is ready to compare with others.
    #[error("an entry of {bytes} bytes, the limit filter-entry is {limit}")]
    EntryTooLong {
        /// Its length.
        bytes: usize,
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
        !matches!(self, Self::Truncated { .. })
    }
}

/// Reads a filter. The count in front is not believed (the C++ Broker skips it, too): entries are
/// read until the payload ends, and an empty payload is an empty filter. The entries share one copy
/// of the payload, and are merged: sorted,
/// and without those that another one covers.
///
/// # Errors
///
/// An entry is cut off, or there is more than `limits` allow.
pub fn decode(payload: &[u8], limits: FilterLimits) -> Result<Vec<Bytes>, InvalidRoutingUpdate> {
    if payload.is_empty() {
        return Ok(Vec::new());
    }
    let mut reader = Reader::new(payload);
    reader.varbyte().ok_or(InvalidRoutingUpdate::Truncated { index: 0, offset: 0 })?;
    entries(payload, reader, None, limits).map(|(filter, _)| filter)
}

/// Reads the entries of a filter from `reader`, which is somewhere in `payload`: `count` of them or
/// all that there are. Returns them and what follows. Nothing is allocated before everything has
/// been checked.
pub(super) fn entries<'a>(
    payload: &'a [u8],
    reader: Reader<'a>,
    count: Option<usize>,
    limits: FilterLimits,
) -> Result<(Vec<Bytes>, &'a [u8]), InvalidRoutingUpdate> {
    let at = |reader: &Reader<'_>| payload.len() - reader.rest().len();
    let (mut check, mut index, mut bytes) = (reader, 0, 0_usize);
    while count.map_or(!check.rest().is_empty(), |count| index < count) {
        if index == limits.entries {
            return Err(InvalidRoutingUpdate::TooManyEntries { limit: limits.entries });
        }
        let offset = at(&check);
        let topic = check.string().ok_or(InvalidRoutingUpdate::Truncated { index, offset })?;
        if topic.len() > limits.entry {
            let (bytes, limit) = (topic.len(), limits.entry);
            return Err(InvalidRoutingUpdate::EntryTooLong { bytes, limit });
        }
        bytes += topic.len();
        if bytes > limits.bytes {
            return Err(InvalidRoutingUpdate::TooLarge { bytes, limit: limits.bytes });
        }
        index += 1;
    }
    let (from, to) = (at(&reader), at(&check));
    let copy = Bytes::copy_from_slice(payload.get(from..to).unwrap_or_default());
    let mut reader = Reader::new(&copy);
    let topics = (0..index).map_while(|_| reader.string().map(|topic| copy.slice_ref(topic)));
    Ok((merged(topics.collect()), check.rest()))
}

/// A filter in ascending order and without the entries that another one covers.
pub(crate) fn merged(mut filter: Vec<Bytes>) -> Vec<Bytes> {
    if !filter.is_sorted() {
        filter.sort_unstable();
    }
    // In this order a prefix comes directly before everything that it covers.
    filter.dedup_by(|entry, before| entry.starts_with(before));
    filter
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: FilterLimits = FilterLimits { entries: 3, entry: 7, bytes: 9 };

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

    fn update(lengths: &[u8]) -> Vec<u8> {
        let mut payload = vec![lengths.len() as u8];
        for (letter, length) in (b'a'..).zip(lengths) {
            payload.push(*length);
            payload.extend(vec![letter; usize::from(*length)]);
        }
        payload
    }

    #[test]
    fn entries_and_their_bytes_are_bounded() {
        assert_eq!(decode(&update(&[1, 1, 1]), LIMITS).unwrap().len(), 3);
        let error = decode(&update(&[0, 0, 0, 0]), LIMITS).unwrap_err();
        assert_eq!(error, InvalidRoutingUpdate::TooManyEntries { limit: 3 });
        assert_eq!(decode(&update(&[7, 2]), LIMITS).unwrap(), ["aaaaaaa", "bb"]);
        let error = decode(&update(&[7, 3]), LIMITS).unwrap_err();
        assert_eq!(error, InvalidRoutingUpdate::TooLarge { bytes: 10, limit: 9 });
        let error = decode(&update(&[8]), LIMITS).unwrap_err();
        assert_eq!(error, InvalidRoutingUpdate::EntryTooLong { bytes: 8, limit: 7 });
    }

    #[test]
    fn entries_are_sorted_and_those_that_another_one_covers_are_left_out() {
        let payload = [&[5_u8][..], b"\x02/c\x04/a/x\x02/a\x02/c\x03/ab"].concat();
        let limits = FilterLimits { entries: 9, entry: 9, bytes: 99 };
        assert_eq!(decode(&payload, limits).unwrap(), ["/a", "/c"]);
        assert_eq!(decode(&[&payload[..], &[0]].concat(), limits).unwrap(), [""]);
    }
}
