//! Walking over a payload that is as nearly all are: valid, and with sets and tables in order.
//!
//! Whatever is not is left to somebody slower. So positions are all that is handed from value to
//! value, which keeps them in registers; an error would take every value through memory.

use super::compare::compare;
use super::{tag, varbyte};
use crate::{IpAddress, Protocol};

/// Bytes of a value, tag included, by its tag, where these are always as many and any of them will
/// do; 0 for every other kind.
const PLAIN: [u8; 256] = {
    let mut sizes = [0; 256];
    sizes[tag::NONE as usize] = 1;
    sizes[tag::BOOLEAN as usize] = 2;
    sizes[tag::COUNT as usize] = 9;
    sizes[tag::INTEGER as usize] = 9;
    sizes[tag::REAL as usize] = 9;
    sizes[tag::TIMESTAMP as usize] = 9;
    sizes[tag::TIMESPAN as usize] = 9;
    sizes[tag::ADDRESS as usize] = 17;
    sizes
};

/// Whether `bytes` is one valid value without a set or table out of order, with at most `depth`
/// containers inside each other.
#[inline]
pub(super) fn is_valid(bytes: &[u8], depth: usize) -> bool {
    values(bytes, 0, 1, depth) == Some(bytes.len())
}

/// Where the values end that begin at `at`, or nothing if one of them has to be looked at more
/// closely. If the last ones are plain the end may be beyond that of the payload.
fn values(bytes: &[u8], mut at: usize, mut count: usize, mut depth: usize) -> Option<usize> {
    while count > 0 {
        count -= 1;
        let tag = *bytes.get(at)?;
        let plain = usize::from(PLAIN[usize::from(tag)]);
        if plain != 0 {
            at += plain;
        } else if tag == tag::STRING {
            let (size, start) = size(bytes, at + 1)?;
            at = start + size;
        } else if tag == tag::VECTOR {
            let (elements, start) = size(bytes, at + 1)?;
            let inside = depth.checked_sub(1)?;
            if count == 0 {
                // Behind the last of the values nothing has to be remembered: so most messages,
                // in which the arguments are at the end, are one loop.
                (at, count, depth) = (start, elements, inside);
            } else {
                at = values(bytes, start, elements, inside)?;
            }
        } else {
            at = other(bytes, at, tag, depth)?;
        }
    }
    Some(at)
}

#[inline(never)]
fn other(bytes: &[u8], at: usize, tag: u8, depth: usize) -> Option<usize> {
    match tag {
        tag::ENUM => {
            let (size, at) = size(bytes, at + 1)?;
            Some(at + size)
        }
        tag::PORT => (*bytes.get(at + 3)? <= Protocol::Icmp as u8).then_some(at + 4),
        tag::SUBNET => subnet(bytes, at + 1),
        tag::SET | tag::TABLE => unique(bytes, at + 1, tag == tag::TABLE, depth.checked_sub(1)?),
        _ => None,
    }
}

/// The elements of a set, or the pairs of a table.
fn unique(bytes: &[u8], at: usize, is_table: bool, depth: usize) -> Option<usize> {
    let (count, mut at) = size(bytes, at)?;
    let (mut previous, mut start_of_previous) = (at, None);
    for index in 0..count {
        let start = beginning(bytes, at);
        let end = match start {
            Some((_, end)) => end,
            None => values(bytes, at, 1, depth)?,
        };
        let before = std::mem::replace(&mut start_of_previous, start);
        let in_order = match (before, start) {
            (Some((before, _)), Some((start, _))) if before != start => before < start,
            _ => index == 0 || ascending(bytes.get(previous..)?, bytes.get(at..end)?),
        };
        if !in_order {
            return None;
        }
        previous = at;
        at = if is_table { values(bytes, end, 1, depth)? } else { end };
    }
    Some(at)
}

fn ascending(previous: &[u8], element: &[u8]) -> bool {
    let comparison = compare(previous, element);
    !comparison.duplicate && comparison.order.is_lt()
}

/// The first eight bytes of a short string, of which those that differ say which string comes
/// first, and where the string ends. Nothing for other values, and close to the end of the payload.
#[inline(always)]
fn beginning(bytes: &[u8], at: usize) -> Option<(u64, usize)> {
    let (head, _) = bytes.get(at..)?.split_first_chunk::<10>()?;
    let [tag::STRING, size @ ..0x80, first @ ..] = *head else { return None };
    let first = u64::from_be_bytes(first);
    let behind = u64::MAX.checked_shr(8 * u32::from(size)).unwrap_or(0);
    Some((first & !behind, at + 2 + usize::from(size)))
}

fn subnet(bytes: &[u8], at: usize) -> Option<usize> {
    let (address, rest) = bytes.get(at..)?.split_first_chunk::<16>()?;
    let least = if IpAddress::from_bytes(*address).is_v4() { 96 } else { 0 };
    (least..=128).contains(rest.first()?).then_some(at + 17)
}

/// Where so many values end that begin at `at`, of which nothing is looked at but their sizes;
/// nothing if they do not end within the payload.
pub(super) fn skip(bytes: &[u8], mut at: usize, count: usize) -> Option<usize> {
    let mut pending = count;
    while pending > 0 {
        pending -= 1;
        let tag = *bytes.get(at)?;
        let plain = PLAIN[usize::from(tag)];
        at = match tag {
            _ if plain != 0 => at + usize::from(plain),
            tag::STRING | tag::ENUM => {
                let (size, at) = size(bytes, at + 1)?;
                at + size
            }
            tag::SUBNET => at + 18,
            tag::PORT => at + 4,
            tag::SET | tag::VECTOR | tag::TABLE => {
                let (count, at) = size(bytes, at + 1)?;
                pending += count << u8::from(tag == tag::TABLE);
                at
            }
            _ => return None,
        };
    }
    (at <= bytes.len()).then_some(at)
}

/// A size, and where it ends.
#[inline(always)]
fn size(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    match *bytes.get(at)? {
        short @ ..0x80 => Some((usize::from(short), at + 1)),
        _ => long_size(bytes, at),
    }
}

#[cold]
fn long_size(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let mut size = 0;
    for (index, &byte) in bytes.get(at..)?.iter().take(varbyte::MAX_BYTES).enumerate() {
        size |= u64::from(byte & 0x7F) << (7 * index);
        if byte < 0x80 {
            let size = usize::try_from(u32::try_from(size).ok()?).ok()?;
            return Some((size, at + index + 1));
        }
    }
    None
}
