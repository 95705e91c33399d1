//! What travels on the streams of a connection.
//!
//! Each direction has [`STREAMS`] unidirectional streams, used from the lowest number on. Number 0
//! is the control stream. It opens with one byte of flags ([`TOTAL_ORDER`]; others are ignored),
//! and everything else on it and on the other streams, the *topic streams*, are items:
//!
//! | bytes | item |
//! |---|---|
//! | a 32-bit length below 2^31, and as many bytes | a frame, as over TCP |
//! | 2^31 + n, then n times a stream number (8 bits) and a count (64 bits) | a barrier: what follows on this stream comes after so many frames of those streams |
//! | 2^32 - 1, on the control stream | the end: nothing follows on any stream |

use broker_core::wire::frame::PREFIX;

/// Streams of one direction.
pub(crate) const STREAMS: usize = 17;

/// The number of the control stream; the others are topic streams.
pub(crate) const CONTROL: usize = 0;

/// Streams that carry the messages of topics.
pub(crate) const TOPIC_STREAMS: usize = STREAMS - 1;

/// The flag of a side that wants all frames in order.
pub(crate) const TOTAL_ORDER: u8 = 1;

const BARRIER: u32 = 1 << 31;
const END: u32 = u32::MAX;

/// Bytes of one entry of a barrier.
const ENTRY: usize = 9;

/// The longest item that is not a frame.
pub(crate) const BARRIER_MAX: usize = PREFIX + STREAMS * ENTRY;

/// The first item in some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Item<'a> {
    /// More bytes are needed to tell.
    Incomplete,
    /// A frame of this size, prefix included; its bytes may not be there yet.
    Frame(usize),
    /// A barrier with these entries, and the size of the item.
    Barrier(Entries<'a>, usize),
    /// The end.
    End,
}

/// Looks at the first item; the error says what is wrong.
pub(crate) fn first_item(bytes: &[u8]) -> Result<Item<'_>, &'static str> {
    let Some((prefix, rest)) = bytes.split_first_chunk::<PREFIX>() else {
        return Ok(Item::Incomplete);
    };
    let number = u32::from_be_bytes(*prefix);
    if number < BARRIER {
        return Ok(Item::Frame(PREFIX + number as usize));
    }
    if number == END {
        return Ok(Item::End);
    }
    let length = (number - BARRIER) as usize * ENTRY;
    if length > STREAMS * ENTRY {
        return Err("a barrier has too many entries");
    }
    Ok(match rest.get(..length) {
        Some(entries) => Item::Barrier(Entries(entries), PREFIX + length),
        None => Item::Incomplete,
    })
}

/// The entries of a barrier.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Entries<'a>(&'a [u8]);

impl Entries<'_> {
    /// Each stream with its count.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, u64)> {
        self.0.chunks_exact(ENTRY).filter_map(|entry| {
            let (stream, count) = entry.split_first()?;
            Some((usize::from(*stream), u64::from_be_bytes(count.try_into().ok()?)))
        })
    }
}

/// Appends a barrier, if there is anything to say in it.
pub(crate) fn put_barrier(out: &mut Vec<u8>, entries: &[(usize, u64)]) {
    if entries.is_empty() {
        return;
    }
    debug_assert!(entries.len() <= STREAMS);
    out.extend_from_slice(&(BARRIER + entries.len() as u32).to_be_bytes());
    for (stream, count) in entries {
        out.push(*stream as u8);
        out.extend_from_slice(&count.to_be_bytes());
    }
}

/// Appends the end.
pub(crate) fn put_end(out: &mut Vec<u8>) {
    out.extend_from_slice(&END.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_barrier_reads_as_it_was_written_once_it_is_complete() {
        let entries: Vec<_> =
            (0..STREAMS).map(|stream| (stream, u64::MAX - stream as u64)).collect();
        let mut bytes = Vec::new();
        put_barrier(&mut bytes, &entries);
        assert_eq!(bytes.len(), BARRIER_MAX);
        for length in 0..bytes.len() {
            assert_eq!(first_item(&bytes[..length]), Ok(Item::Incomplete));
        }
        let Ok(Item::Barrier(read, BARRIER_MAX)) = first_item(&bytes) else { panic!("no barrier") };
        assert_eq!(read.iter().collect::<Vec<_>>(), entries);
    }

    #[test]
    fn lengths_barriers_and_the_end_do_not_collide() {
        assert_eq!(first_item(&[0x7f, 255, 255, 255]), Ok(Item::Frame(PREFIX + (1 << 31) - 1)));
        let mut end = Vec::new();
        put_end(&mut end);
        assert_eq!(first_item(&end), Ok(Item::End));
        assert!(first_item(&[0x80, 0, 0, 18]).is_err());
        assert!(first_item(&[0xff, 255, 255, 254]).is_err());
        put_barrier(&mut end, &[]);
        assert_eq!(end.len(), PREFIX);
    }
}
