//! The rules of peering, as state machines without I/O: bytes and time in, decisions out.

mod bye;
mod control;
mod failure;
mod handshake;
mod heard;
mod local_filter;
mod registry;
mod status;
mod timers;
mod tracked;

pub use control::Census;
pub use control::{Action, Close, Control, DialId, OpenDial, Settings, Unpeer};
pub use failure::sniff_length;
pub use failure::{Failure, HangUpGuess, PeerError};
pub use heard::Heard;
pub use local_filter::is_internal;
pub use registry::PeerRecord;
pub use status::{Direction, PeerStatus};

use std::fmt;
use std::time::Duration;

/// Time since the endpoint was started.
pub type Time = Duration;

/// A connection of this endpoint, peered or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

impl fmt::Display for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connection {}", self.0)
    }
}
