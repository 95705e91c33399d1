//! The rules of peering, as state machines without I/O: bytes and time in, decisions out.

mod bye;
mod control;
mod failure;
mod handshake;
mod heard;
mod registry;
mod status;
mod timers;

#[cfg(any(test, feature = "sim"))]
pub(crate) use control::Census;
pub(crate) use control::{Action, Close, Control, DialId, Settings, Unpeer};
pub(crate) use failure::sniff_length;
pub use failure::{Failure, HangUpGuess, PeerError};
pub(crate) use heard::Heard;
pub(crate) use registry::{PeerRecord, PeerRegistry};
pub use status::{Direction, PeerStatus};

use std::fmt;
use std::time::Duration;

/// Time since the endpoint was started.
pub(crate) type Time = Duration;

/// A connection of this endpoint, peered or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ConnId(pub(crate) u64);

impl fmt::Display for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connection {}", self.0)
    }
}
