//! The messages that Zeek puts inside values.
//!
//! Every message is a vector of a count (the version of this format, [`FORMAT_VERSION`]), a count
//! (the [`MessageType`]) and a vector with the content. Elements behind those that are defined are
//! ignored, here and in the contents.
//!
//! [`ZeekMessageView`] looks into a message that was received, [`ZeekMessage`] owns one. Both
//! validate all of it: what can be constructed from a payload is what the receivers in Zeek accept.

mod check;
mod error;
mod event;
mod log;
mod message;
mod view;

pub use error::InvalidMessage;
pub use event::ZeekEvent;
pub use log::{IdentifierUpdate, LogCreate, LogWrite};
pub use message::ZeekMessage;
pub use view::{
    BatchView, IdentifierUpdateView, LogCreateView, LogWriteView, Metadata, ZeekEventView,
    ZeekMessageView,
};

/// The version of the message format.
pub const FORMAT_VERSION: u64 = 1;

/// The id of the network timestamp among the metadata of an event.
///
/// Ids from 2 to 199 are reserved for Zeek, those from 200 on are free for users.
pub const NETWORK_TIMESTAMP: u64 = 1;

/// What a message claims to be, by its second element.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u64)]
pub enum MessageType {
    /// No message at all; never sent.
    Invalid = 0,
    /// An event.
    Event = 1,
    /// The creation of a log stream.
    LogCreate = 2,
    /// One record of a log stream.
    LogWrite = 3,
    /// A new value for a global variable.
    IdentifierUpdate = 4,
    /// Several messages.
    Batch = 5,
}

impl MessageType {
    /// The type with this number; [`MessageType::Invalid`] for numbers without one.
    #[must_use]
    pub const fn from_number(number: u64) -> Self {
        match number {
            1 => Self::Event,
            2 => Self::LogCreate,
            3 => Self::LogWrite,
            4 => Self::IdentifierUpdate,
            5 => Self::Batch,
            _ => Self::Invalid,
        }
    }

    /// What the value claims to be; whether it is valid is another question, which
    /// [`ZeekMessageView::parse`] answers. Invalid when it is not a vector of at least three elements
    /// or the second one is not a count with a known type.
    #[must_use]
    pub fn of(view: super::View<'_>) -> Self {
        check::classify(view).map_or(Self::Invalid, |outer| outer.message_type)
    }
}
