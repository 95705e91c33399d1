//! Reading values that are written as most programs write them: `@data-type` in front of `data`,
//! no white space, no escapes, no detours.
//!
//! Whatever is not is left to `typed`, from the start of the value, which also finds out what is
//! wrong with it. So positions are all that is handed on here.

use std::str::FromStr;

use crate::binary::write_size;
use crate::{IpAddress, Kind, Port, Protocol, Timespan, Timestamp};

const HEAD: &[u8; 15] = b"{\"@data-type\":\"";

/// The type of the value at `at`, and where its data starts.
#[inline]
pub(super) fn head(text: &[u8], at: usize) -> Option<(Kind, usize)> {
    let (head, rest) = text.get(at..)?.split_first_chunk()?;
    if head != HEAD {
        return None;
    }
    macro_rules! rest_is {
        ($kind:ident, $name:literal) => {{
            const REST: &[u8] = concat!($name, "\",\"data\":").as_bytes();
            (rest.starts_with(REST)).then_some((Kind::$kind, at + HEAD.len() + REST.len()))
        }};
    }
    // Its first letters say which type it can be only.
    match *rest.first_chunk::<6>()? {
        [b's', b't', ..] => rest_is!(String, "string"),
        [b'c', ..] => rest_is!(Count, "count"),
        [b'v', ..] => rest_is!(Vector, "vector"),
        [b'a', ..] => rest_is!(Address, "address"),
        [b'p', ..] => rest_is!(Port, "port"),
        [b'i', ..] => rest_is!(Integer, "integer"),
        [b'b', ..] => rest_is!(Boolean, "boolean"),
        [b'e', ..] => rest_is!(Enum, "enum-value"),
        [b't', _, _, _, b's', b't'] => rest_is!(Timestamp, "timestamp"),
        [b't', _, _, _, b's', b'p'] => rest_is!(Timespan, "timespan"),
        [b't', ..] => rest_is!(Table, "table"),
        [b's', b'u', ..] => rest_is!(Subnet, "subnet"),
        [b's', ..] => rest_is!(Set, "set"),
        [b'r', ..] => rest_is!(Real, "real"),
        [b'n', ..] => rest_is!(None, "none"),
        _ => None,
    }
}

/// Translates the data at `at` of a value that is no container; returns where the text goes on
/// behind the bracket that closes the value. If that is nothing, nothing was written.
#[inline]
pub(super) fn data(text: &[u8], at: usize, kind: Kind, out: &mut Vec<u8>) -> Option<usize> {
    match kind {
        Kind::Count => {
            let (number, end) = digits(text, at)?;
            let end = closed(text, end)?;
            put(kind, number, out);
            Some(end)
        }
        Kind::String | Kind::Enum => {
            let (bytes, end) = string(text, at)?;
            let end = closed(text, end)?;
            match u8::try_from(bytes.len()) {
                Ok(short @ ..0x80) => out.extend_from_slice(&[kind as u8, short]),
                _ => {
                    out.push(kind as u8);
                    write_size(bytes.len(), out);
                }
            }
            out.extend_from_slice(bytes);
            Some(end)
        }
        Kind::Vector | Kind::Set | Kind::Table => None,
        _ => other(text, at, kind, out),
    }
}

#[inline(never)]
fn other(text: &[u8], at: usize, kind: Kind, out: &mut Vec<u8>) -> Option<usize> {
    match kind {
        Kind::Boolean => {
            let rest = text.get(at..)?;
            let (value, length) = match rest {
                [b't', b'r', b'u', b'e', ..] => (1, 4),
                [b'f', b'a', b'l', b's', b'e', ..] => (0, 5),
                _ => return None,
            };
            let end = closed(text, at + length)?;
            out.extend_from_slice(&[kind as u8, value]);
            Some(end)
        }
        Kind::Integer => {
            let negative = text.get(at) == Some(&b'-');
            let (number, end) = digits(text, at + usize::from(negative))?;
            let end = closed(text, end)?;
            let number = i64::try_from(number).ok()?;
            put(kind, if negative { -number } else { number }.cast_unsigned(), out);
            Some(end)
        }
        Kind::Address => {
            let (bytes, end) = string(text, at)?;
            let end = closed(text, end)?;
            let address = match v4(bytes) {
                Some(v4) => v4,
                None => parsed::<IpAddress>(bytes)?,
            };
            out.push(kind as u8);
            out.extend_from_slice(address.bytes());
            Some(end)
        }
        Kind::Port => {
            if text.get(at) != Some(&b'"') {
                return None;
            }
            let (number, slash) = digits(text, at + 1)?;
            let rest = text.get(slash..)?;
            let (protocol, length) = match rest {
                [b'/', b't', b'c', b'p', b'"', ..] => (Protocol::Tcp, 5),
                [b'/', b'u', b'd', b'p', b'"', ..] => (Protocol::Udp, 5),
                [b'/', b'i', b'c', b'm', b'p', b'"', ..] => (Protocol::Icmp, 6),
                [b'/', b'?', b'"', ..] => (Protocol::Unknown, 3),
                _ => return None,
            };
            let end = closed(text, slash + length)?;
            crate::Encode::encode_into(&Port::new(u16::try_from(number).ok()?, protocol), out);
            Some(end)
        }
        Kind::Timestamp => {
            let (bytes, end) = string(text, at)?;
            let end = closed(text, end)?;
            put(kind, Timestamp::of_text(bytes)?.0.cast_unsigned(), out);
            Some(end)
        }
        Kind::Timespan => {
            let (bytes, end) = string(text, at)?;
            let end = closed(text, end)?;
            put(kind, parsed::<Timespan>(bytes)?.0.cast_unsigned(), out);
            Some(end)
        }
        _ => None,
    }
}

#[inline]
fn put(kind: Kind, number: u64, out: &mut Vec<u8>) {
    let [a, b, c, d, e, f, g, h] = number.to_be_bytes();
    out.extend_from_slice(&[kind as u8, a, b, c, d, e, f, g, h]);
}

/// Behind the bracket at `at`.
#[inline]
fn closed(text: &[u8], at: usize) -> Option<usize> {
    (text.get(at) == Some(&b'}')).then_some(at + 1)
}

/// A number that surely fits, and where it ends.
#[inline]
fn digits(text: &[u8], start: usize) -> Option<(u64, usize)> {
    const SURE: usize = 18;
    let digit = |at: usize| text.get(at).map(|byte| byte.wrapping_sub(b'0')).filter(|n| *n < 10);
    let first = digit(start)?;
    let (mut number, mut at) = (u64::from(first), start + 1);
    while let Some(next) = digit(at) {
        number = number.wrapping_mul(10).wrapping_add(u64::from(next));
        at += 1;
    }
    // JSON has no zeros in front.
    let known = at - start <= SURE && (first != 0 || at == start + 1);
    known.then_some((number, at))
}

/// What is in the string that starts at `at`, if it has no escapes, and where it ends.
#[inline]
fn string(text: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let (b'"', body) = text.get(at..)?.split_first()? else { return None };
    let length = plain_length(body)?;
    let (bytes, rest) = body.split_at_checked(length)?;
    (rest.first() == Some(&b'"')).then_some((bytes, at + length + 2))
}

/// The bytes in front of the first quote or backslash.
#[inline]
fn plain_length(body: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::MAX / 0xff;
    let equal = |word: u64, byte: u8| {
        let word = word ^ (ONES * u64::from(byte));
        word.wrapping_sub(ONES) & !word
    };
    let (words, rest) = body.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let found = (equal(word, b'"') | equal(word, b'\\')) & (ONES << 7);
        if found != 0 {
            return Some(index * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let last = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
    Some(body.len() - rest.len() + last)
}

/// A dotted address without zeros in front of its numbers.
fn v4(bytes: &[u8]) -> Option<IpAddress> {
    let (a, dot) = byte(bytes, 0)?;
    let (b, dot) = byte(bytes, behind_dot(bytes, dot)?)?;
    let (c, dot) = byte(bytes, behind_dot(bytes, dot)?)?;
    let (d, end) = byte(bytes, behind_dot(bytes, dot)?)?;
    let address = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d];
    (end == bytes.len()).then(|| IpAddress::from_bytes(address))
}

#[inline]
fn byte(bytes: &[u8], at: usize) -> Option<(u8, usize)> {
    let (number, end) = digits(bytes, at)?;
    Some((u8::try_from(number).ok()?, end))
}

#[inline]
fn behind_dot(bytes: &[u8], at: usize) -> Option<usize> {
    (bytes.get(at) == Some(&b'.')).then_some(at + 1)
}

fn parsed<T: FromStr>(bytes: &[u8]) -> Option<T> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}
