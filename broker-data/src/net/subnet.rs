use std::fmt;
use std::str::FromStr;

use super::{InvalidIpAddress, IpAddress, small_number};
use crate::text::excerpt;

/// Where the prefix of an IPv4 network starts on the 128-bit scale.
const V4_OFFSET: u8 = 96;

/// A network: an address and a prefix length on the 128-bit scale.
///
/// Values from the wire are kept as they came, host bits included, so that passing them on
/// changes nothing. [`Subnet::new`] and [`FromStr`] make values in normal form: a length that fits
/// the address family, host bits cleared. The text form is `<address>/<length>`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Subnet {
    address: IpAddress,
    raw_length: u8,
}

impl Subnet {
    /// The network of this address with a prefix of `length` bits: 0 to 32 for an IPv4 address, 0
    /// to 128 for an IPv6 address. Bits behind the prefix are cleared.
    ///
    /// # Errors
    ///
    /// The length does not fit the address family.
    pub fn new(address: IpAddress, length: u8) -> Result<Self, InvalidSubnet> {
        let (max, offset) = if address.is_v4() { (32, V4_OFFSET) } else { (128, 0) };
        if length > max {
            return Err(InvalidSubnet::Length { length: length.to_string(), max });
        }
        let raw_length = length + offset;
        Ok(Self { address: masked(address, raw_length), raw_length })
    }

    /// The subnet with exactly these wire fields; `raw_length` counts from the start of the 128-bit
    /// address (IPv4 length plus 96).
    #[must_use]
    pub const fn from_raw(address: IpAddress, raw_length: u8) -> Self {
        Self { address, raw_length }
    }

    /// The network address.
    #[must_use]
    pub const fn address(&self) -> IpAddress {
        self.address
    }

    /// The prefix length on the 128-bit scale.
    #[must_use]
    pub const fn raw_length(&self) -> u8 {
        self.raw_length
    }

    /// The prefix length on the scale of the address family, as the text form shows it. For raw
    /// lengths that no sender should produce it wraps around, as in other implementations.
    #[must_use]
    pub fn length(&self) -> u8 {
        let offset = if self.address.is_v4() { V4_OFFSET } else { 0 };
        self.raw_length.wrapping_sub(offset)
    }

    /// Whether the text form says everything about this value, so that it reads back as the same
    /// value: the length is in range and no host bits are set.
    #[must_use]
    pub fn is_normal(&self) -> bool {
        Self::new(self.address, self.length()) == Ok(*self)
    }
}

fn masked(address: IpAddress, raw_length: u8) -> IpAddress {
    let host_bits = u128::MAX.checked_shr(raw_length.into()).unwrap_or(0);
    IpAddress::from_bytes((u128::from_be_bytes(*address.bytes()) & !host_bits).to_be_bytes())
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length())
    }
}

/// The text, or the pair of address and length, is not a subnet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSubnet {
    /// There is no slash in the text.
    #[error("{0:?} is not a subnet (expected <address>/<length>)")]
    NoLength(String),
    /// What is in front of the slash is not an address.
    #[error("not a subnet: {0}")]
    Address(#[from] InvalidIpAddress),
    /// The length is not a number the address family allows.
    #[error("{length:?} is not a prefix length for this address (expected 0 to {max})")]
    Length {
        /// What was given.
        length: String,
        /// The largest length for the family of the address.
        max: u8,
    },
}

impl FromStr for Subnet {
    type Err = InvalidSubnet;

    fn from_str(text: &str) -> Result<Self, InvalidSubnet> {
        let (address, length) =
            text.split_once('/').ok_or_else(|| InvalidSubnet::NoLength(excerpt(text)))?;
        let address: IpAddress = address.parse()?;
        match small_number(length).and_then(|n| u8::try_from(n).ok()) {
            Some(length) => Self::new(address, length),
            None => Err(InvalidSubnet::Length {
                length: excerpt(length),
                max: if address.is_v4() { 32 } else { 128 },
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn host_bits_are_cleared() {
        for (text, normal) in [
            ("192.168.1.77/24", "192.168.1.0/24"),
            ("10.1.2.3/8", "10.0.0.0/8"),
            ("10.1.2.3/0", "0.0.0.0/0"),
            ("1.2.3.4/32", "1.2.3.4/32"),
            ("::ffff:10.0.0.1/8", "10.0.0.0/8"),
            ("2001:db8:ffff::/33", "2001:db8:8000::/33"),
            ("2001:db8::1/128", "2001:db8::1/128"),
            ("ffff::/0", "::/0"),
        ] {
            let subnet: Subnet = text.parse().unwrap();
            assert_eq!(subnet.to_string(), normal);
            assert!(subnet.is_normal());
        }
    }

    #[test]
    fn a_length_that_does_not_fit_the_family_is_an_error() {
        let v4: IpAddress = "10.0.0.0".parse().unwrap();
        assert!(Subnet::new(v4, 33).is_err());
        assert!(Subnet::new(IpAddress::default(), 129).is_err());
        assert_eq!(Subnet::new(v4, 32).unwrap().raw_length(), 128);
        for text in ["10.0.0.0/33", "::/129", "::ffff:10.0.0.0/104", "::/256", "::/4294967296"] {
            let error = text.parse::<Subnet>().unwrap_err();
            assert!(error.to_string().contains("expected 0 to"), "{error}");
        }
    }

    #[test]
    fn anything_else_is_not_a_subnet() {
        for text in [
            "",
            "/",
            "10.0.0.0",
            "10.0.0.0/",
            "10.0.0.0/-1",
            "10.0.0.0/+8",
            "10.0.0.0/08",
            "10.0.0.0/ 8",
            "10.0.0.0/8 ",
            "10.0.0.0/8/9",
            "10.0.0.0/8a",
            "10.0.0.0/0x8",
            "10/8",
            "/8",
            "10.0.0.0/8\0",
        ] {
            assert!(text.parse::<Subnet>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn wire_fields_are_kept_and_shown_even_if_they_are_odd() {
        let v4: IpAddress = "10.1.2.3".parse().unwrap();
        let odd = Subnet::from_raw(v4, 0);
        assert_eq!((odd.to_string(), odd.is_normal()), ("10.1.2.3/160".to_owned(), false));
        let host_bits = Subnet::from_raw(v4, 104);
        assert_eq!((host_bits.to_string(), host_bits.is_normal()), ("10.1.2.3/8".into(), false));
    }

    proptest! {
        #[test]
        fn subnets_in_normal_form_read_back_as_themselves(bytes: [u8; 16], v4: bool, length: u8) {
            let mut bytes = bytes;
            if v4 {
                bytes[..12].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]);
            }
            let subnet = Subnet::new(IpAddress::from_bytes(bytes), length % 129);
            if let Ok(subnet) = subnet {
                prop_assert!(subnet.is_normal());
                prop_assert_eq!(subnet.to_string().parse(), Ok(subnet));
            } else {
                prop_assert!(v4 && length % 129 > 32);
            }
        }
    }
}
