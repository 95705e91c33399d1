//! The rules of peering, as state machines without I/O: bytes and time in, decisions out.

mod bye;
mod crowd;
mod handshake;
mod last_activity;
mod local_filter;
mod machine;
mod pace;
mod registry;
mod status;
mod timers;
mod tracked;

pub use handshake::{Dialect, HandshakeFrame};
pub use last_activity::LastActivity;
pub use local_filter::{SubscribeError, is_internal};
pub use machine::Census;
pub use machine::{Action, Close, DialId, Opened, PeeringMachine, PendingDial, Settings, Unpeer};
pub use registry::PeerRecord;
pub use status::{Direction, PeerStatus};

use std::fmt;
use std::time::Duration;

/// Time since the endpoint was started.
pub type Time = Duration;

/// A connection of this endpoint, peered or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connection {}", self.0)
    }
}
