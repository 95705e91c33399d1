//! Addresses, subnets and ports.

/// An IPv4 or IPv6 address: 16 octets, IPv4 as `::ffff:a.b.c.d`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Address([u8; 16]);

impl Address {
    /// The address with these octets.
    #[must_use]
    pub const fn from_octets(octets: [u8; 16]) -> Self {
        Self(octets)
    }

    /// The octets as they go over the wire.
    #[must_use]
    pub const fn octets(&self) -> &[u8; 16] {
        &self.0
    }

    /// Whether this is an IPv4 address, that is inside `::ffff:0:0/96`.
    #[must_use]
    pub fn is_v4(&self) -> bool {
        self.0[..10] == [0; 10] && self.0[10] == 0xff && self.0[11] == 0xff
    }
}

/// A network: an address and a prefix length on the 128-bit scale.
///
/// Values from the wire are kept as they came, host bits included, so that passing them on
/// changes nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Subnet {
    address: Address,
    raw_length: u8,
}

impl Subnet {
    /// The subnet with exactly these wire fields; `raw_length` counts from the start of the 128-bit
    /// address (IPv4 length plus 96).
    #[must_use]
    pub const fn from_raw(address: Address, raw_length: u8) -> Self {
        Self { address, raw_length }
    }

    /// The network address.
    #[must_use]
    pub const fn address(&self) -> Address {
        self.address
    }

    /// The prefix length on the 128-bit scale.
    #[must_use]
    pub const fn raw_length(&self) -> u8 {
        self.raw_length
    }
}

/// The transport protocol of a port; the number is the one on the wire.
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

/// A transport port; ordered by number, then protocol.
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
