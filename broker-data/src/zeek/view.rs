//! Looking into received messages.

use super::check::{self, Parts};
use super::error::InvalidMessage;
use super::{MessageType, NETWORK_TIMESTAMP, ZeekMessage};
use crate::{BStr, ConversionError, Elements, FromValue, Timestamp, View};
use std::iter::FusedIterator;

/// A borrowed view of a valid message.
#[derive(Clone, Copy, Debug)]
pub enum ZeekMessageView<'a> {
    /// An event.
    Event(ZeekEventView<'a>),
    /// The creation of a log stream.
    LogCreate(LogCreateView<'a>),
    /// One record of a log stream.
    LogWrite(LogWriteView<'a>),
    /// A new value for a global variable.
    IdentifierUpdate(IdentifierUpdateView<'a>),
    /// Several messages.
    Batch(BatchView<'a>),
}

/// A borrowed view of an event.
#[derive(Clone, Copy, Debug)]
pub struct ZeekEventView<'a> {
    name: &'a BStr,
    args: View<'a>,
    metadata: Option<View<'a>>,
}

/// A borrowed view of the creation of a log stream.
#[derive(Clone, Copy, Debug)]
pub struct LogCreateView<'a> {
    /// The stream, for example `Conn::LOG`.
    pub stream: &'a BStr,
    /// The writer, for example `Log::WRITER_ASCII`.
    pub writer: &'a BStr,
    /// What the writer needs to know; see [`LogCreate`](super::LogCreate).
    pub writer_info: View<'a>,
    /// The columns; see [`LogCreate`](super::LogCreate).
    pub fields: View<'a>,
}

/// A borrowed view of a log record.
#[derive(Clone, Copy, Debug)]
pub struct LogWriteView<'a> {
    /// The stream, for example `Conn::LOG`.
    pub stream: &'a BStr,
    /// The writer, for example `Log::WRITER_ASCII`.
    pub writer: &'a BStr,
    /// The path, for example `conn`.
    pub path: &'a BStr,
    /// The record in Zeek's own serialization.
    pub record: &'a [u8],
}

/// A borrowed view of a new value for a global variable.
#[derive(Clone, Copy, Debug)]
pub struct IdentifierUpdateView<'a> {
    /// The name of the variable.
    pub identifier: &'a BStr,
    /// The new value.
    pub value: View<'a>,
}

/// A borrowed view of several messages.
#[derive(Clone, Copy, Debug)]
pub struct BatchView<'a> {
    items: View<'a>,
}

impl<'a> ZeekMessageView<'a> {
    /// Checks that the value is a valid message, batches and what is in them included. Does not
    /// allocate.
    ///
    /// # Errors
    ///
    /// The first thing found wrong.
    pub fn parse(view: View<'a>) -> Result<Self, InvalidMessage> {
        check::parts(view).map(Self::from)
    }

    /// The type of the message.
    #[must_use]
    pub fn message_type(&self) -> MessageType {
        match self {
            Self::Event(_) => MessageType::Event,
            Self::LogCreate(_) => MessageType::LogCreate,
            Self::LogWrite(_) => MessageType::LogWrite,
            Self::IdentifierUpdate(_) => MessageType::IdentifierUpdate,
            Self::Batch(_) => MessageType::Batch,
        }
    }

    /// Decodes the message.
    #[must_use]
    pub fn to_message(&self) -> ZeekMessage {
        ZeekMessage::from(*self)
    }
}

fn string(view: View<'_>) -> &[u8] {
    view.as_bytes().unwrap_or_default()
}

fn label(view: View<'_>) -> &BStr {
    view.as_enum().unwrap_or_default()
}

impl<'a> From<Parts<View<'a>>> for ZeekMessageView<'a> {
    #[inline]
    fn from(parts: Parts<View<'a>>) -> Self {
        match parts {
            Parts::Event { name, args, metadata } => {
                Self::Event(ZeekEventView { name: string(name).into(), args, metadata })
            }
            Parts::LogCreate { stream, writer, writer_info, fields } => {
                let (stream, writer) = (label(stream), label(writer));
                Self::LogCreate(LogCreateView { stream, writer, writer_info, fields })
            }
            Parts::LogWrite { stream, writer, path, record } => Self::LogWrite(LogWriteView {
                stream: label(stream),
                writer: label(writer),
                path: string(path).into(),
                record: string(record),
            }),
            Parts::IdentifierUpdate { identifier, value } => {
                let identifier = string(identifier).into();
                Self::IdentifierUpdate(IdentifierUpdateView { identifier, value })
            }
            Parts::Batch { items } => Self::Batch(BatchView { items }),
        }
    }
}

impl<'a> ZeekEventView<'a> {
    /// The name, for example `Cluster::hello`. May be empty.
    #[must_use]
    pub fn name(&self) -> &'a BStr {
        self.name
    }

    /// The vector of the arguments.
    #[must_use]
    pub fn args(&self) -> View<'a> {
        self.args
    }

    /// Reads the arguments as a Rust type, usually a tuple.
    ///
    /// # Errors
    ///
    /// When the number or the kind of the arguments is another one.
    pub fn read_args<T: FromValue>(&self) -> Result<T, ConversionError> {
        self.args.to_value().into_type()
    }

    /// The metadata as ids and values; nothing when the event has none or an empty list. Ids may
    /// come in any order and more than once.
    #[must_use]
    pub fn metadata(&self) -> Metadata<'a> {
        Metadata { entries: self.metadata.map(|metadata| metadata.iter()) }
    }

    /// Whether the event has a list of metadata, be it an empty one.
    #[must_use]
    pub fn has_metadata(&self) -> bool {
        self.metadata.is_some()
    }

    /// The first metadata value with this id.
    #[must_use]
    pub fn metadata_value(&self, id: u64) -> Option<View<'a>> {
        self.metadata().find(|&(candidate, _)| candidate == id).map(|(_, value)| value)
    }

    /// The network time at which the sender raised the event.
    #[must_use]
    pub fn network_timestamp(&self) -> Option<Timestamp> {
        self.metadata_value(NETWORK_TIMESTAMP)?.as_timestamp()
    }
}

/// The metadata of an event, as ids and values.
#[derive(Clone, Debug)]
pub struct Metadata<'a> {
    entries: Option<Elements<'a>>,
}

impl<'a> Iterator for Metadata<'a> {
    type Item = (u64, View<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let mut entry = self.entries.as_mut()?.next()?.iter();
        Some((entry.next()?.as_count()?, entry.next()?))
    }
}

impl FusedIterator for Metadata<'_> {}

impl<'a> BatchView<'a> {
    /// The number of messages; a batch in the batch counts as one.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is no message.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The messages.
    pub fn messages(&self) -> impl Iterator<Item = ZeekMessageView<'a>> + use<'a> {
        self.items.iter().filter_map(|item| ZeekMessageView::parse(item).ok())
    }
}
