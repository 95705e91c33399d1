//! The payload of a routing update: the complete filter of its sender.

use super::{Reader, put_string, put_varbyte};
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
    #[error("entry {index} at octet {offset} is longer than the payload")]
    Truncated {
        /// Which entry.
        index: usize,
        /// Where it starts in the payload.
        offset: usize,
    },
    /// More entries than this side is ready to remember.
    #[error("more than {limit} entries")]
    TooManyEntries {
        /// The limit.
        limit: usize,
    },
}

/// Reads a filter. The count in front is not believed (the reference skips it, too): entries are
/// read until the payload ends, and an empty payload is an empty filter.
///
/// # Errors
///
/// An entry is cut off, or there are more than `limit`.
pub fn decode(payload: &[u8], limit: usize) -> Result<Vec<Bytes>, InvalidRoutingUpdate> {
    let mut filter = Vec::new();
    if payload.is_empty() {
        return Ok(filter);
    }
    let mut reader = Reader::new(payload);
    reader.varbyte().ok_or(InvalidRoutingUpdate::Truncated { index: 0, offset: 0 })?;
    while !reader.rest().is_empty() {
        if filter.len() == limit {
            return Err(InvalidRoutingUpdate::TooManyEntries { limit });
        }
        let offset = payload.len() - reader.rest().len();
        let topic = reader
            .string()
            .ok_or(InvalidRoutingUpdate::Truncated { index: filter.len(), offset })?;
        filter.push(Bytes::copy_from_slice(topic));
    }
    Ok(filter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_skipped_whatever_it_says() {
        assert_eq!(decode(&[], 9).unwrap(), Vec::<Bytes>::new());
        assert_eq!(decode(&[1, 2, b'/', b'x', 2, b'/', b'y'], 9).unwrap(), ["/x", "/y"]);
        assert_eq!(decode(&[0xff, 0xff, 0xff, 0xff, 0x0f], 9).unwrap(), Vec::<Bytes>::new());
    }

    #[test]
    fn a_cut_entry_is_named_by_index_and_offset() {
        let error = decode(&[2, 1, b'a', 5, b'b'], 9).unwrap_err();
        assert_eq!(error, InvalidRoutingUpdate::Truncated { index: 1, offset: 3 });
    }

    #[test]
    fn entries_are_bounded() {
        assert_eq!(decode(&[3, 0, 0, 0], 3).unwrap().len(), 3);
        let error = decode(&[3, 0, 0, 0], 2).unwrap_err();
        assert_eq!(error, InvalidRoutingUpdate::TooManyEntries { limit: 2 });
    }
}
