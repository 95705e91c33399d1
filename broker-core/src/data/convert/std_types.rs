//! Between the network and time types of the data model and those of the standard library.

use super::ConversionError;
use crate::data::{Address, EnumValue, Timespan, Timestamp};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, SystemTime};

impl From<Ipv4Addr> for Address {
    fn from(address: Ipv4Addr) -> Self {
        Self::from_octets(address.to_ipv6_mapped().octets())
    }
}

/// `::ffff:a.b.c.d` is the IPv4 address: the data model does not tell them apart.
impl From<Ipv6Addr> for Address {
    fn from(address: Ipv6Addr) -> Self {
        Self::from_octets(address.octets())
    }
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => address.into(),
        }
    }
}

/// IPv4 for addresses in `::ffff:0:0/96`.
impl From<Address> for IpAddr {
    fn from(address: Address) -> Self {
        Ipv6Addr::from(*address.octets()).to_canonical()
    }
}

fn saturate(nanoseconds: u128) -> i64 {
    i64::try_from(nanoseconds).unwrap_or(i64::MAX)
}

/// Saturates at the ends of the range, in the years 1677 and 2262.
impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => Self(saturate(since.as_nanos())),
            Err(before) => {
                let before = i128::try_from(before.duration().as_nanos()).unwrap_or(i128::MAX);
                Self(i64::try_from(-before).unwrap_or(i64::MIN))
            }
        }
    }
}

/// Rounded down where the clock of the system is coarser.
impl From<Timestamp> for SystemTime {
    fn from(timestamp: Timestamp) -> Self {
        let offset = Duration::from_nanos(timestamp.0.unsigned_abs());
        if timestamp.0 < 0 { Self::UNIX_EPOCH - offset } else { Self::UNIX_EPOCH + offset }
    }
}

/// Saturates at 2^63-1 nanoseconds, about 292 years, which means "infinite" by convention.
impl From<Duration> for Timespan {
    fn from(duration: Duration) -> Self {
        Self(saturate(duration.as_nanos()))
    }
}

/// Fails for negative timespans.
impl TryFrom<Timespan> for Duration {
    type Error = ConversionError;

    fn try_from(timespan: Timespan) -> Result<Self, ConversionError> {
        match u64::try_from(timespan.0) {
            Ok(nanoseconds) => Ok(Self::from_nanos(nanoseconds)),
            Err(_) => Err(ConversionError::range("a timespan of zero or more", timespan.0)),
        }
    }
}

impl From<&str> for EnumValue {
    fn from(label: &str) -> Self {
        Self(label.into())
    }
}

impl From<String> for EnumValue {
    fn from(label: String) -> Self {
        Self(label.into())
    }
}
