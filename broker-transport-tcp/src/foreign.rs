//! What the other side speaks if it is not what this side does, from its first bytes.

use broker_core::Reason;

/// Something recognised by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Speaker {
    /// A TLS handshake or an alert.
    Tls,
    /// Broker without encryption.
    Broker,
    /// HTTP, either side of it.
    Http,
    /// SSH, which both sides begin with its name.
    Ssh,
}

impl Speaker {
    /// As in "the other side speaks ...".
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tls => "TLS",
            Self::Broker => "Broker without encryption",
            Self::Http => "HTTP",
            Self::Ssh => "SSH",
        }
    }
}

/// The kind of failure that such a speaker is at an encrypted address.
pub(crate) fn kind_where_tls_is_spoken(speaker: Speaker) -> Reason {
    match speaker {
        Speaker::Broker => Reason::PeerIsPlain,
        Speaker::Tls | Speaker::Http | Speaker::Ssh => Reason::NotBroker,
    }
}

/// Who begins with these bytes, if it is anybody known.
pub(crate) fn speaker(head: &[u8]) -> Option<Speaker> {
    const HTTP: [&[u8]; 8] =
        [b"GET ", b"POST", b"HEAD", b"PUT ", b"OPTI", b"CONN", b"PRI ", b"HTTP"];
    match head {
        // Records of a handshake or with an alert, in any version of the protocol.
        [0x15 | 0x16, 0x03, 0..=4, ..] => Some(Speaker::Tls),
        // A short frame with a message of the first phase, and the magic number after its type.
        [0, 0, _, _, 6..=9, b'Z', b'E', b'E', b'K', ..] => Some(Speaker::Broker),
        _ if head.starts_with(b"SSH-") => Some(Speaker::Ssh),
        _ if HTTP.iter().any(|word| head.starts_with(word)) => Some(Speaker::Http),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_are_recognised_by_their_first_bytes() {
        for (head, who) in [
            (&b"\x16\x03\x01\x02\x00\x01"[..], Some(Speaker::Tls)),
            (b"\x15\x03\x03\x00\x02\x02\x28", Some(Speaker::Tls)),
            (b"\0\0\0\x17\x06ZEEK", Some(Speaker::Broker)),
            (b"\0\0\0\x05\x07ZEEK", Some(Speaker::Broker)),
            (b"GET / HTTP/1.1\r\n", Some(Speaker::Http)),
            (b"HTTP/1.1 400 Bad", Some(Speaker::Http)),
            (b"SSH-2.0-OpenSSH_", Some(Speaker::Ssh)),
            (b"\0\0\0\x17\x06ZOOK", None),
            (b"\x16\x03", None),
            (b"", None),
        ] {
            assert_eq!(speaker(head), who, "{head:?}");
        }
    }
}
