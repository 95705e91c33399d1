//! Frames: a byte of flags, a length of one or eight bytes, a body.

use crate::Error;

/// More parts of the message follow.
pub(crate) const MORE: u8 = 1;
/// The length has eight bytes.
const LONG: u8 = 2;
/// The body is a command.
pub(crate) const COMMAND: u8 = 4;

/// What stands in front of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// Without the one that says how the length is written.
    pub(crate) flags: u8,
    /// Bytes of the header itself.
    pub(crate) len: usize,
    /// Bytes of the body.
    pub(crate) body: u64,
}

/// Reads a header from the front of what was received; `None` if there is too little.
pub(crate) fn header(bytes: &[u8]) -> Result<Option<Header>, Error> {
    let Some((&flags, rest)) = bytes.split_first() else { return Ok(None) };
    if flags & !(MORE | LONG | COMMAND) != 0 {
        return Err(Error::Protocol("a frame has flags that do not exist"));
    }
    if flags & COMMAND != 0 && flags & MORE != 0 {
        return Err(Error::Protocol("a command in several parts"));
    }
    let body = match flags & LONG {
        0 => rest.first().map(|length| (2, u64::from(*length))),
        _ => rest.first_chunk::<8>().map(|length| (9, u64::from_be_bytes(*length))),
    };
    Ok(body.map(|(len, body)| Header { flags: flags & !LONG, len, body }))
}

/// Writes the header of a frame with a body of so many bytes.
pub(crate) fn put_header(flags: u8, body: usize, out: &mut Vec<u8>) {
    match u8::try_from(body) {
        Ok(short) => out.extend_from_slice(&[flags, short]),
        Err(_) => {
            out.push(flags | LONG);
            out.extend_from_slice(&(body as u64).to_be_bytes());
        }
    }
}

/// Writes a frame whose body is in pieces.
pub(crate) fn put(flags: u8, body: &[&[u8]], out: &mut Vec<u8>) {
    put_header(flags, body.iter().map(|piece| piece.len()).sum(), out);
    body.iter().for_each(|piece| out.extend_from_slice(piece));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_written_in_one_byte_or_in_eight() {
        for (length, len) in [(0, 2), (255, 2), (256, 9), (70_000, 9)] {
            let body = vec![7; length];
            let mut out = Vec::new();
            put(MORE, &[&body[..length / 2], &body[length / 2..]], &mut out);
            let header = header(&out).unwrap().unwrap();
            assert_eq!(header, Header { flags: MORE, len, body: length as u64 });
            assert_eq!(out[len..], body);
            for cut in 0..len {
                assert_eq!(super::header(&out[..cut]).unwrap(), None);
            }
        }
    }

    #[test]
    fn flags_that_do_not_exist_are_refused() {
        for flags in [8, 0x80, COMMAND | MORE] {
            assert!(header(&[flags, 0]).is_err(), "{flags}");
        }
    }
}
