//! The bytes of the protocol: frames, handshake messages and envelopes.
//!
//! Plain functions between bytes and structs; what a message means is decided elsewhere.

pub mod announcement;
pub mod command;
pub mod drops;
pub mod envelope;
pub mod frame;
pub mod handshake;
mod primitive;
pub mod routing_update;

pub use primitive::{Reader, put_string, put_varbyte};

/// The bytes `ZEEK` that open every message of phase 1.
pub const MAGIC: u32 = 0x5a45_454b;

/// The version of the protocol that the C++ Broker speaks, and the lowest one.
pub const PROTOCOL_VERSION: u8 = 1;

/// The highest version: messages are told apart wherever they have been, and relays announce what
/// is behind them.
pub const PROTOCOL_VERSION_MAX: u8 = 2;

/// The hop limit that new messages carry.
pub const DEFAULT_TTL: u16 = 16;

/// The topic of routing updates, pings and pongs.
pub const CONTROL_TOPIC: &[u8] = b"<$>";
