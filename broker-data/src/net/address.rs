use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::text::excerpt;

/// An IPv4 or IPv6 address: 16 bytes, IPv4 as `::ffff:a.b.c.d`.
///
/// As text, an IPv4 address is dotted decimal, every other one the shortest lower-case IPv6 form
/// without a dotted tail. [`FromStr`] reads what RFC 4291 describes and dotted IPv4: no brackets,
/// no zone, no prefix length, no leading zeros in dotted bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct IpAddress([u8; 16]);

impl IpAddress {
    /// The address with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes as they go over the wire.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Whether this is an IPv4 address, that is inside `::ffff:0:0/96`.
    #[must_use]
    pub fn is_v4(&self) -> bool {
        self.0[..10] == [0; 10] && self.0[10] == 0xff && self.0[11] == 0xff
    }
}

impl From<IpAddress> for Ipv6Addr {
    /// All 16 bytes, an IPv4 address as `::ffff:a.b.c.d`.
    fn from(address: IpAddress) -> Self {
        address.0.into()
    }
}

/// The address is not an IPv4 address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not an IPv4 address")]
pub struct NotIpv4(IpAddress);

impl TryFrom<IpAddress> for Ipv4Addr {
    type Error = NotIpv4;

    fn try_from(address: IpAddress) -> Result<Self, NotIpv4> {
        Ipv6Addr::from(address).to_ipv4_mapped().ok_or(NotIpv4(address))
    }
}

impl fmt::Display for IpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Ipv6Addr::from(*self).to_ipv4_mapped() {
            Some(v4) => v4.fmt(f),
            None => Ipv6Addr::from(*self).fmt(f),
        }
    }
}

/// The text is not an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not an address (expected IPv4 or IPv6 text without brackets, zone or prefix length)"
)]
pub struct InvalidIpAddress(String);

impl FromStr for IpAddress {
    type Err = InvalidIpAddress;

    fn from_str(text: &str) -> Result<Self, InvalidIpAddress> {
        let ip: IpAddr = text.parse().map_err(|_| InvalidIpAddress(excerpt(text)))?;
        Ok(ip.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        text.parse::<IpAddress>().unwrap().to_string()
    }

    #[test]
    fn addresses_are_shown_in_their_shortest_form() {
        for text in [
            "0.0.0.0",
            "1.2.3.4",
            "255.255.255.255",
            "::",
            "::1",
            "1::",
            "2001:db8::1:0:0:1",
            "1:0:0:2::3",
            "1:2:3:4:5:6:7:8",
            "fe80::abcd",
        ] {
            assert_eq!(shown(text), text);
        }
        assert_eq!(shown("2001:DB8:0:0:0:0:0:00Ff"), "2001:db8::ff");
        assert_eq!(shown("1:0:0:2:3:0:0:4"), "1::2:3:0:0:4", "the first of two equal runs");
        assert_eq!(shown("1:0:2:3:4:5:6:7"), "1:0:2:3:4:5:6:7", "a single zero group stays");
    }

    #[test]
    fn only_mapped_addresses_have_a_dotted_form() {
        assert_eq!(shown("::ffff:1.2.3.4"), "1.2.3.4");
        assert_eq!(shown("::ffff:102:304"), "1.2.3.4");
        assert_eq!(shown("::1.2.3.4"), "::102:304");
        assert_eq!(shown("64:ff9b::1.2.3.4"), "64:ff9b::102:304");
        assert_eq!(shown("::ffff:0:1.2.3.4"), "::ffff:0:102:304");
    }

    #[test]
    fn anything_else_is_not_an_address() {
        for text in [
            "",
            "1.2.3",
            "1.2.3.",
            "256.0.0.1",
            "01.2.3.4",
            "1.2.3.4/8",
            "123ns",
            " 1.2.3.4",
            "1.2.3.4 ",
            "1.2.3.4\0",
            "[::1]",
            "fe80::1%eth0",
            "1:2:3:4::5:6:7:8",
            "::1::",
            "::00001",
            "::1.2.3.4:5",
            "1:2:3:4:5:6:7:8:9",
        ] {
            assert!(text.parse::<IpAddress>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn standard_addresses_convert_both_ways() {
        let v4: IpAddr = "10.1.2.3".parse().unwrap();
        let v6: IpAddr = "2001:db8::1".parse().unwrap();
        assert_eq!(IpAddr::from(IpAddress::from(v4)), v4);
        assert_eq!(IpAddr::from(IpAddress::from(v6)), v6);
        assert!(IpAddress::from(v4).is_v4() && !IpAddress::from(v6).is_v4());
        assert_eq!(Ipv4Addr::try_from(IpAddress::from(v4)), Ok(Ipv4Addr::new(10, 1, 2, 3)));
        assert!(Ipv4Addr::try_from(IpAddress::from(v6)).is_err());
    }
}
