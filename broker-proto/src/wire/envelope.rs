//! Phase 3: envelopes, the messages of an established peering.

use super::{CONTROL_TOPIC, DEFAULT_TTL, frame, routing_update};
use crate::EndpointId;
use crate::limits::TOPIC;
use bytes::Bytes;

/// Bytes in front of the topic.
pub const HEADER_LEN: usize = 37;

const RECEIVER_AT: usize = 16;
const TYPE_AT: usize = 32;
const TTL_AT: usize = 33;
const TOPIC_LENGTH_AT: usize = 35;

/// What an envelope carries; the number is the one on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum EnvelopeType {
    /// A value for the subscribers of the topic.
    Data = 1,
    /// A command between the parts of a data store.
    Command = 2,
    /// The complete filter of the sender.
    RoutingUpdate = 3,
    /// A request for a pong with the same payload.
    Ping = 4,
    /// The answer to a ping.
    Pong = 5,
}

impl EnvelopeType {
    /// The type with this number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Data,
            2 => Self::Command,
            3 => Self::RoutingUpdate,
            4 => Self::Ping,
            5 => Self::Pong,
            _ => return None,
        })
    }

    /// The name in metrics and diagnostics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Command => "command",
            Self::RoutingUpdate => "routing-update",
            Self::Ping => "ping",
            Self::Pong => "pong",
        }
    }

    /// Whether envelopes of this type keep a peering working, so that no overflow policy may drop
    /// them.
    #[must_use]
    pub fn is_control(self) -> bool {
        matches!(self, Self::RoutingUpdate | Self::Ping | Self::Pong)
    }
}

/// Why a frame is not an envelope. The frame is dropped, the connection stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEnvelope {
    /// Too few bytes for the header.
    #[error("{0} bytes are too few for an envelope")]
    Short(usize),
    /// No such type.
    #[error("unknown envelope type {0}")]
    Type(u8),
    /// The topic is longer than the frame.
    #[error("a topic of {topic} bytes does not fit into the {rest} that follow")]
    Topic {
        /// The announced length.
        topic: usize,
        /// The bytes behind the header.
        rest: usize,
    },
}

/// A view of the bytes of an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// The endpoint that handed it over: always the last hop.
    pub sender: EndpointId,
    /// The endpoint it is for; nil is everyone who subscribed.
    pub receiver: EndpointId,
    /// What it carries.
    pub kind: EnvelopeType,
    /// How many more hops it may take.
    pub ttl: u16,
    /// What it is about.
    pub topic: &'a [u8],
    /// What it says.
    pub payload: &'a [u8],
}

impl<'a> Envelope<'a> {
    /// Reads the payload of a frame.
    ///
    /// # Errors
    ///
    /// The frame is no envelope; what the payload of the envelope says is not looked at.
    #[inline]
    pub fn decode(bytes: &'a [u8]) -> Result<Self, InvalidEnvelope> {
        let (header, rest) =
            bytes.split_first_chunk::<HEADER_LEN>().ok_or(InvalidEnvelope::Short(bytes.len()))?;
        let number = header[TYPE_AT];
        let kind = EnvelopeType::from_number(number).ok_or(InvalidEnvelope::Type(number))?;
        let length = usize::from(u16_at(header, TOPIC_LENGTH_AT));
        let (topic, payload) = rest
            .split_at_checked(length)
            .ok_or(InvalidEnvelope::Topic { topic: length, rest: rest.len() })?;
        Ok(Self {
            sender: id_at(header, 0),
            receiver: id_at(header, RECEIVER_AT),
            kind,
            ttl: u16_at(header, TTL_AT),
            topic,
            payload,
        })
    }

    /// Appends the envelope as a frame, length included.
    ///
    /// # Errors
    ///
    /// The topic does not fit into its 16-bit length; nothing is appended.
    pub fn put_frame(&self, out: &mut Vec<u8>) -> Result<(), TopicTooLong> {
        let start = start_frame(out, self.sender, self.receiver, self.kind, self.ttl, self.topic)?;
        out.extend_from_slice(self.payload);
        frame::finish_frame(out, start);
        Ok(())
    }
}

/// Where the payload begins in the bytes of an envelope that has been decoded before.
#[inline]
pub fn payload_at(bytes: &[u8]) -> usize {
    let topic =
        bytes.first_chunk().map_or(0, |header| usize::from(u16_at(header, TOPIC_LENGTH_AT)));
    (HEADER_LEN + topic).min(bytes.len())
}

/// Whether the bytes at the beginning of a frame's payload are the header of an envelope of this
/// sender and type; for those who look at a header before the rest of the frame has arrived.
#[must_use]
pub fn is_from(bytes: &[u8], sender: EndpointId, kind: EnvelopeType) -> bool {
    bytes
        .first_chunk::<HEADER_LEN>()
        .is_some_and(|header| id_at(header, 0) == sender && header[TYPE_AT] == kind as u8)
}

fn id_at(header: &[u8; HEADER_LEN], at: usize) -> EndpointId {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&header[at..at + 16]);
    EndpointId::from_bytes(bytes)
}

fn u16_at(header: &[u8; HEADER_LEN], at: usize) -> u16 {
    u16::from_be_bytes([header[at], header[at + 1]])
}

/// The topic has more bytes than an envelope can say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a topic of {0} bytes is too long, the limit is 65535")]
pub struct TopicTooLong(pub usize);

/// Appends everything of a frame up to the payload, and returns where the frame starts, for
/// [`frame::finish_frame`].
pub fn start_frame(
    out: &mut Vec<u8>,
    sender: EndpointId,
    receiver: EndpointId,
    kind: EnvelopeType,
    ttl: u16,
    topic: &[u8],
) -> Result<usize, TopicTooLong> {
    if topic.len() > TOPIC {
        return Err(TopicTooLong(topic.len()));
    }
    let start = out.len();
    let mut head = [0; frame::PREFIX + HEADER_LEN];
    head[4..20].copy_from_slice(sender.as_bytes());
    head[20..36].copy_from_slice(receiver.as_bytes());
    head[36] = kind as u8;
    head[37..39].copy_from_slice(&ttl.to_be_bytes());
    head[39..41].copy_from_slice(&(topic.len() as u16).to_be_bytes());
    out.extend_from_slice(&head);
    out.extend_from_slice(topic);
    Ok(start)
}

/// Rewrites sender and hop limit of a frame (prefix included) that is about to be passed on.
///
/// The frame has been decoded before; a shorter one is left alone.
pub fn readdress(frame: &mut [u8], sender: EndpointId, ttl: u16) {
    if let Some(head) = frame.first_chunk_mut::<{ frame::PREFIX + HEADER_LEN }>() {
        head[4..20].copy_from_slice(sender.as_bytes());
        head[37..39].copy_from_slice(&ttl.to_be_bytes());
    }
}

/// Whether a frame (prefix included) must not be dropped: everything but data and commands, which
/// takes in the messages of the handshake.
pub fn is_control_frame(bytes: &[u8]) -> bool {
    let kind = bytes.get(frame::PREFIX + TYPE_AT).copied().and_then(EnvelopeType::from_number);
    kind.is_none_or(EnvelopeType::is_control)
}

fn control(
    kind: EnvelopeType,
    from: EndpointId,
    to: EndpointId,
    write: impl FnOnce(&mut Vec<u8>),
) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    if let Ok(start) = start_frame(&mut out, from, to, kind, DEFAULT_TTL, CONTROL_TOPIC) {
        write(&mut out);
        frame::finish_frame(&mut out, start);
    }
    out
}

/// A routing update that announces `filter`, as a frame.
#[must_use]
pub fn routing_update_frame(from: EndpointId, to: EndpointId, filter: &[Bytes]) -> Vec<u8> {
    control(EnvelopeType::RoutingUpdate, from, to, |out| routing_update::encode(out, filter))
}

/// A frame of which the larger part is shared with those for other receivers.
#[derive(Debug, Clone)]
pub struct SharedFrame {
    /// Everything before the payload, the prefix included.
    head: Vec<u8>,
    payload: Bytes,
}

impl SharedFrame {
    /// A routing update with a payload that has been encoded before.
    #[must_use]
    pub fn routing_update(from: EndpointId, to: EndpointId, payload: Bytes) -> Self {
        let mut head = control(EnvelopeType::RoutingUpdate, from, to, |_| {});
        let length = head.len().saturating_sub(frame::PREFIX) + payload.len();
        if let Some(prefix) = head.first_chunk_mut() {
            *prefix = (length as u32).to_be_bytes();
        }
        Self { head, payload }
    }

    /// The frame.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        [&self.head[..], &self.payload].concat()
    }
}

/// A ping, as a frame.
#[must_use]
pub fn ping_frame(from: EndpointId, to: EndpointId, payload: &[u8]) -> Vec<u8> {
    control(EnvelopeType::Ping, from, to, |out| out.extend_from_slice(payload))
}

/// A pong, as a frame.
#[must_use]
pub fn pong_frame(from: EndpointId, to: EndpointId, payload: &[u8]) -> Vec<u8> {
    control(EnvelopeType::Pong, from, to, |out| out.extend_from_slice(payload))
}
