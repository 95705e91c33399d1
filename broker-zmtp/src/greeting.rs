//! The first 64 bytes of each side.

use crate::Error;

pub(crate) const LEN: usize = 64;
const MECHANISM: usize = 20;

/// What a greeting says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Greeting {
    /// The minor version; the major one is 3.
    pub(crate) minor: u8,
    pub(crate) mechanism: [u8; MECHANISM],
}

/// Writes a greeting.
pub(crate) fn put(minor: u8, mechanism: &str, as_server: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(&[0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0x7f, 3, minor]);
    out.extend_from_slice(&padded(mechanism));
    out.push(as_server.into());
    out.extend_from_slice(&[0; 31]);
}

/// A name as it stands in a greeting.
pub(crate) fn padded(name: &str) -> [u8; MECHANISM] {
    let mut padded = [0; MECHANISM];
    padded.iter_mut().zip(name.bytes()).for_each(|(place, byte)| *place = byte);
    padded
}

/// Reads what there is of a greeting; `None` while more is needed. What cannot become one is an
/// error at the first byte that says so.
pub(crate) fn parse(bytes: &[u8]) -> Result<Option<Greeting>, Error> {
    if bytes.first().is_some_and(|byte| *byte != 0xff)
        || bytes.get(9).is_some_and(|byte| byte & 1 == 0)
    {
        return Err(Error::NotZmtp);
    }
    if let Some(&major) = bytes.get(10).filter(|major| **major < 3) {
        return Err(Error::OldVersion(major));
    }
    let Some(greeting) = bytes.first_chunk::<LEN>() else { return Ok(None) };
    let mut mechanism = [0; MECHANISM];
    mechanism.copy_from_slice(greeting.get(12..12 + MECHANISM).unwrap_or(&[0; MECHANISM]));
    Ok(Some(Greeting { minor: greeting[11], mechanism }))
}

/// The mechanism of a greeting as text that can be shown.
pub(crate) fn name(mechanism: &[u8; MECHANISM]) -> String {
    let name = mechanism.split(|byte| *byte == 0).next().unwrap_or_default();
    name.iter().map(|byte| if byte.is_ascii_graphic() { *byte as char } else { '?' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greeting_is_read_as_it_was_written() {
        let mut out = Vec::new();
        put(1, "CURVE", true, &mut out);
        assert_eq!((out.len(), out[32]), (LEN, 1));
        let greeting = parse(&out).unwrap().unwrap();
        assert_eq!((greeting.minor, name(&greeting.mechanism).as_str()), (1, "CURVE"));
        assert_eq!(greeting.mechanism, padded("CURVE"));
        for cut in 0..LEN {
            assert_eq!(parse(&out[..cut]).unwrap(), None);
        }
    }

    #[test]
    fn other_protocols_are_told_by_their_first_bytes() {
        assert_eq!(parse(b"G"), Err(Error::NotZmtp));
        assert_eq!(parse(b"\x01\0"), Err(Error::NotZmtp));
        assert_eq!(parse(b"\xff\0\0\0\0\0\0\0\x01\x7e"), Err(Error::NotZmtp));
        assert_eq!(parse(b"\xff\0\0\0\0\0\0\0\x01\x7f\x01"), Err(Error::OldVersion(1)));
    }
}
