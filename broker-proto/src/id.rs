//! Endpoint identifiers.

use std::fmt;
use std::str::FromStr;

/// The 128-bit identifier of an endpoint.
///
/// The wire carries the 16 bytes in textual order and never validates them; the text form is the
/// lowercase UUID notation. The order is the order of the bytes: in a handshake the endpoint with
/// the smaller id is the originator.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EndpointId([u8; 16]);

impl EndpointId {
    /// "No endpoint" as a sender, "everyone" as a receiver.
    pub const NIL: Self = Self([0; 16]);

    /// A fresh random id (version nibble 4, RFC variant), which every known implementation can
    /// read back from its text form.
    #[must_use]
    pub fn random() -> Self {
        Self::from_random_bits(fastrand::u128(..))
    }

    /// An id made from the given bits; version and variant are forced, so equal ids need equal
    /// bits in the other 122 places.
    #[must_use]
    pub fn from_random_bits(bits: u128) -> Self {
        let mut bytes = bits.to_be_bytes();
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        Self(bytes)
    }

    /// The id with exactly these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes as they go over the wire.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Whether this is the nil id.
    #[must_use]
    pub fn is_nil(&self) -> bool {
        *self == Self::NIL
    }
}

impl fmt::Display for EndpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            if matches!(i, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for EndpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not an endpoint id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an endpoint id: {0:?} (expected 8-4-4-4-12 hexadecimal digits)")]
pub struct InvalidEndpointId(String);

impl FromStr for EndpointId {
    type Err = InvalidEndpointId;

    /// Reads the UUID notation, in either case, with its dashes and nothing else around it.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidEndpointId(text.chars().take(64).collect());

        let text = text.as_bytes();
        if text.len() != 36 {
            return Err(invalid());
        }
        let mut bytes = [0_u8; 16];
        let mut nibbles = 0;
        for (i, digit) in text.iter().enumerate() {
            if matches!(i, 8 | 13 | 18 | 23) {
                if *digit != b'-' {
                    return Err(invalid());
                }
                continue;
            }
            let digit = char::from(*digit).to_digit(16).ok_or_else(invalid)?;
            bytes[nibbles / 2] = (bytes[nibbles / 2] << 4) | digit as u8;
            nibbles += 1;
        }
        Ok(Self(bytes))
    }
}

impl serde::Serialize for EndpointId {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for EndpointId {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'_, str>>::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips_in_either_case() {
        let text = "eeeeeeee-eeee-4eee-8eee-eeeeeeeeeeee";
        let id: EndpointId = text.to_uppercase().parse().unwrap();
        assert_eq!(id.to_string(), text);
        assert_eq!(id.as_bytes()[6], 0x4e);
    }

    #[test]
    fn malformed_text_is_refused() {
        for text in [
            "",
            "eeeeeeeeeeee4eee8eeeeeeeeeeeeeee",
            "{eeeeeeee-eeee-4eee-8eee-eeeeeeeeee}",
            "eeeeeeee-eeee-4eee-8eee-eeeeeeeeeee",
            "eeeeeeee-eeee-4eee-8eee-eeeeeeeeeeeg",
            "eeeeeeee+eeee-4eee-8eee-eeeeeeeeeeee",
        ] {
            assert!(text.parse::<EndpointId>().is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn random_ids_carry_version_4_and_the_rfc_variant() {
        let id = EndpointId::random();
        assert_eq!(id.as_bytes()[6] >> 4, 4);
        assert_eq!(id.as_bytes()[8] >> 6, 0b10);
        assert_ne!(id, EndpointId::random());
    }
}
