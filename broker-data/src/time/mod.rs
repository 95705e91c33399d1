//! Points in time and lengths of time, in nanoseconds, and how they are written as text.
//!
//! All arithmetic is in integers: what is read is exactly what was written, down to the
//! nanosecond and up to both ends of the range, and what lies outside the range is an error.

mod calendar;
mod timespan;
mod timestamp;

pub use timespan::{InvalidTimespan, Timespan};
pub use timestamp::{InvalidTimestamp, Timestamp};

const NANOS_PER_SECOND: i64 = 1_000_000_000;
