use crate::Address;
use std::net::IpAddr;

/// Where connections come from, as far as an attacker does not have it for free: of IPv6 that is a
/// network. What is shared out fairly is shared out between these.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SourceAddress {
    /// An address, also where it is mapped into IPv6.
    V4([u8; 4]),
    /// The network of an address.
    V6([u8; 8]),
    /// What is no address of IP.
    Other(String),
}

impl SourceAddress {
    /// Where a connection comes from.
    #[must_use]
    pub fn of(remote: &Address) -> Self {
        let host = remote.host();
        match host.parse().map(|address: IpAddr| address.to_canonical()) {
            Ok(IpAddr::V4(address)) => Self::V4(address.octets()),
            Ok(IpAddr::V6(address)) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Self::V6([a, b, c, d, e, f, g, h])
            }
            Err(_) => Self::Other(host.to_owned()),
        }
    }
}
