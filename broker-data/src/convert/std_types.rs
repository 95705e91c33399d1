//! Between the network and time types of the data model and those of the standard library.

use super::ConversionError;
use crate::{EnumValue, IpAddress, Timespan, Timestamp};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, SystemTime};

impl From<Ipv4Addr> for IpAddress {
    fn from(address: Ipv4Addr) -> Self {
        address.to_ipv6_mapped().into()
    }
}

/// Takes the bytes as they are, so `::ffff:a.b.c.d` becomes an IPv4 address.
impl From<Ipv6Addr> for IpAddress {
    fn from(address: Ipv6Addr) -> Self {
        Self::from_bytes(address.octets())
    }
}

impl From<IpAddr> for IpAddress {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => address.into(),
            IpAddr::V6(address) => address.into(),
        }
    }
}

/// IPv4 for addresses in `::ffff:0:0/96`.
impl From<IpAddress> for IpAddr {
    fn from(address: IpAddress) -> Self {
        Ipv6Addr::from(address).to_canonical()
    }
}

/// Saturates at the ends of the range, in the years 1677 and 2262.
impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let nanoseconds = |duration: Duration| i128::try_from(duration.as_nanos());
        Self(match time.duration_since(SystemTime::UNIX_EPOCH).map(nanoseconds) {
            Ok(after) => after.ok().and_then(|n| n.try_into().ok()).unwrap_or(i64::MAX),
            Err(error) => {
                let before = nanoseconds(error.duration()).ok();
                before.and_then(|n| (-n).try_into().ok()).unwrap_or(i64::MIN)
            }
        })
    }
}

/// Fails only where the system's own time has a smaller range.
impl TryFrom<Timestamp> for SystemTime {
    type Error = ConversionError;

    fn try_from(timestamp: Timestamp) -> Result<Self, ConversionError> {
        let distance = Duration::from_nanos(timestamp.0.unsigned_abs());
        let time = if timestamp.0 < 0 {
            Self::UNIX_EPOCH.checked_sub(distance)
        } else {
            Self::UNIX_EPOCH.checked_add(distance)
        };
        time.ok_or_else(|| ConversionError::range("a time of this system", timestamp.0))
    }
}

/// Saturates at 2^63-1 nanoseconds, about 292 years, which means "infinite" by convention.
impl From<Duration> for Timespan {
    fn from(duration: Duration) -> Self {
        duration.as_nanos().try_into().map_or(Self::INFINITE, Self)
    }
}

/// Fails for negative timespans.
impl TryFrom<Timespan> for Duration {
    type Error = ConversionError;

    fn try_from(timespan: Timespan) -> Result<Self, ConversionError> {
        let nanoseconds = u64::try_from(timespan.0);
        nanoseconds
            .map(Self::from_nanos)
            .map_err(|_| ConversionError::range("a timespan of zero or more", timespan.0))
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
