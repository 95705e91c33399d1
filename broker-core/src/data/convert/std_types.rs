//! What the conversions from types of the standard library need.

use crate::data::{EnumValue, Timespan, Timestamp};
use std::time::{Duration, SystemTime};

/// The point in time, or the end of the range (in the years 1677 and 2262) that is closest to it.
pub(super) fn timestamp(time: SystemTime) -> Timestamp {
    let end = if time < SystemTime::UNIX_EPOCH { i64::MIN } else { i64::MAX };
    time.try_into().unwrap_or(Timestamp(end))
}

/// The length of time, or "infinite" from about 292 years on.
pub(super) fn timespan(duration: Duration) -> Timespan {
    duration.try_into().unwrap_or(Timespan::INFINITE)
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
