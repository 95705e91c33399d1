//! Commands: a name with its length in front, and what belongs to it.

use crate::frame::{COMMAND, put};
use crate::{Error, SocketType};

/// The most bytes of a ping that come back in the pong.
pub(crate) const PING_CONTEXT: usize = 16;

/// A command that was received after the handshake.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command<'a> {
    Ping {
        context: &'a [u8],
    },
    Pong {
        context: &'a [u8],
    },
    Subscribe(&'a [u8]),
    Cancel(&'a [u8]),
    Error(String),
    /// One that other versions have; it is ignored.
    Other,
}

impl<'a> Command<'a> {
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, Error> {
        let (name, rest) = split(body)?;
        Ok(match name {
            b"PING" => {
                let context = rest.get(2..).ok_or(Error::Protocol("a ping without its time"))?;
                // What is longer is not ours to send back.
                let context = context.get(..PING_CONTEXT).unwrap_or(context);
                Self::Ping { context }
            }
            b"PONG" => Self::Pong { context: rest },
            b"SUBSCRIBE" => Self::Subscribe(rest),
            b"CANCEL" => Self::Cancel(rest),
            b"ERROR" => Self::Error(reason(rest)?),
            _ => Self::Other,
        })
    }
}

/// The name of a command, and the rest.
pub(crate) fn split(body: &[u8]) -> Result<(&[u8], &[u8]), Error> {
    let split = body.split_first().and_then(|(len, rest)| rest.split_at_checked((*len).into()));
    split.ok_or(Error::Protocol("a command without a name"))
}

/// The reason in a command that refuses a connection, as text that can be shown.
pub(crate) fn reason(rest: &[u8]) -> Result<String, Error> {
    let (reason, _) = split(rest)?;
    Ok(reason.escape_ascii().to_string())
}

/// Writes a command with a name that has its length in front.
pub(crate) fn put_command(name: &[u8], rest: &[&[u8]], out: &mut Vec<u8>) {
    let mut body = vec![name];
    body.extend_from_slice(rest);
    put(COMMAND, &body, out);
}

/// The properties that a side tells of itself.
pub(crate) fn put_metadata(socket: SocketType, out: &mut Vec<u8>) {
    const NAME: &[u8] = b"\x0bSocket-Type";
    let value = socket.name().as_bytes();
    out.extend_from_slice(NAME);
    out.extend_from_slice(&(value.len() as u32).to_be_bytes());
    out.extend_from_slice(value);
}

/// The type of a socket among the properties of the other side.
pub(crate) fn socket_type(mut metadata: &[u8]) -> Result<&[u8], Error> {
    const BROKEN: Error = Error::Protocol("the properties cannot be read");
    let mut found = None;
    while let Some((&len, rest)) = metadata.split_first() {
        let (name, rest) = rest.split_at_checked(len.into()).ok_or(BROKEN)?;
        let (len, rest) = rest.split_first_chunk::<4>().ok_or(BROKEN)?;
        let len = u32::from_be_bytes(*len) as usize;
        let (value, rest) = rest.split_at_checked(len).ok_or(BROKEN)?;
        if name.eq_ignore_ascii_case(b"Socket-Type") {
            found = Some(value);
        }
        metadata = rest;
    }
    found.ok_or(Error::Protocol("the other side does not say what socket it is"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_told_by_their_names() {
        for (body, command) in [
            (&b"\x04PING\0\x0aabc"[..], Command::Ping { context: b"abc" }),
            (b"\x04PING\0\0", Command::Ping { context: b"" }),
            (b"\x04PONGabc", Command::Pong { context: b"abc" }),
            (b"\x09SUBSCRIBE", Command::Subscribe(b"")),
            (b"\x06CANCELa", Command::Cancel(b"a")),
            (b"\x05ERROR\x03400", Command::Error("400".to_owned())),
            (b"\x05ERROR\x01\x00", Command::Error("\\x00".to_owned())),
            (b"\x04JOINa", Command::Other),
        ] {
            assert_eq!(Command::parse(body).unwrap(), command);
        }
        let long = [&b"\x04PING\0\0"[..], &[7; 40]].concat();
        assert_eq!(Command::parse(&long).unwrap(), Command::Ping { context: &[7; PING_CONTEXT] });
        for broken in [&b""[..], b"\x05PING", b"\x04PING\0", b"\x05ERROR", b"\x05ERROR\x02a"] {
            assert!(Command::parse(broken).is_err(), "{broken:?}");
        }
    }

    #[test]
    fn the_type_of_a_socket_is_found_among_properties() {
        let mut metadata = b"\x08Identity\0\0\0\0".to_vec();
        put_metadata(SocketType::XPub, &mut metadata);
        assert_eq!(socket_type(&metadata).unwrap(), b"XPUB");
        assert!(socket_type(b"").is_err());
        assert!(socket_type(b"\x08Identity\0\0\0\0").is_err());
        for cut in 1..metadata.len() {
            assert!(socket_type(&metadata[..cut]).is_err());
        }
        assert!(socket_type(b"\x01a\xff\xff\xff\xffabc").is_err());
    }
}
