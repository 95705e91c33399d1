use std::fmt;
use std::str::FromStr;

use super::small_number;
use crate::text::excerpt;

/// The transport protocol of a port; the number is the one on the wire.
///
/// The text form is `tcp`, `udp`, `icmp` or, for the unknown protocol, `?`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Protocol {
    #[default]
    Unknown = 0,
    Tcp = 1,
    Udp = 2,
    Icmp = 3,
}

impl Protocol {
    /// The word used in the text form.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "?",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Icmp => "icmp",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Protocol {
    type Err = InvalidPort;

    /// Any word that is not one of the three known ones, case included, means
    /// [`Protocol::Unknown`]: that is how every implementation reads `sctp`. An empty text and one
    /// with white space, control characters or a slash is no word and an error.
    fn from_str(text: &str) -> Result<Self, InvalidPort> {
        match text {
            "tcp" => Ok(Self::Tcp),
            "udp" => Ok(Self::Udp),
            "icmp" => Ok(Self::Icmp),
            word if !word.is_empty() && word.bytes().all(|b| b.is_ascii_graphic() && b != b'/') => {
                Ok(Self::Unknown)
            }
            _ => Err(InvalidPort::Protocol(excerpt(text))),
        }
    }
}

/// A transport port; ordered by number, then protocol.
///
/// The text form is `<number>/<protocol>`, for example `80/tcp`. On input the protocol may be
/// missing, which means TCP, or any other word, which means [`Protocol::Unknown`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Port {
    /// The port number.
    pub number: u16,
    /// The transport protocol.
    pub protocol: Protocol,
}

impl Port {
    /// A port of the given protocol.
    #[must_use]
    pub const fn new(number: u16, protocol: Protocol) -> Self {
        Self { number, protocol }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.protocol)
    }
}

/// The text is not a port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidPort {
    /// What is in front of the slash is not a port number.
    #[error("{0:?} is not a port number (expected 0 to 65535, as in 80/tcp)")]
    Number(String),
    /// What is behind the slash is not a word.
    #[error("{0:?} is not a transport protocol (expected tcp, udp, icmp or ?)")]
    Protocol(String),
}

impl FromStr for Port {
    type Err = InvalidPort;

    fn from_str(text: &str) -> Result<Self, InvalidPort> {
        let (number, protocol) = match text.split_once('/') {
            Some((number, protocol)) => (number, protocol.parse()?),
            None => (text, Protocol::Tcp),
        };
        let number = small_number(number)
            .and_then(|n| u16::try_from(n).ok())
            .ok_or_else(|| InvalidPort::Number(excerpt(number)))?;
        Ok(Self { number, protocol })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_read_back_as_themselves() {
        for text in ["0/?", "80/tcp", "53/udp", "8/icmp", "65535/tcp"] {
            assert_eq!(text.parse::<Port>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_missing_protocol_means_tcp() {
        assert_eq!("80".parse(), Ok(Port::new(80, Protocol::Tcp)));
    }

    #[test]
    fn an_unknown_protocol_word_means_unknown() {
        for text in ["80/sctp", "80/unknown", "80/?", "80/TCP", "80/udp-lite"] {
            assert_eq!(text.parse(), Ok(Port::new(80, Protocol::Unknown)), "{text:?}");
        }
    }

    #[test]
    fn anything_else_is_not_a_port() {
        for text in [
            "",
            "tcp",
            "/tcp",
            "/",
            "80/",
            "-1/tcp",
            "+1/tcp",
            "65536/tcp",
            "99999999999999/tcp",
            "080/tcp",
            " 80/tcp",
            "80 /tcp",
            "80/ tcp",
            "80/tcp ",
            "80/tcp\0",
            "80/tcp/udp",
            "80abc/tcp",
            "0x50/tcp",
        ] {
            assert!(text.parse::<Port>().is_err(), "{text:?}");
        }
    }
}
