//! Phase 3: envelopes, the messages of an established peering.

use super::{CONTROL_TOPIC, DEFAULT_TTL, Reader, frame, routing_update};
use crate::EndpointId;
use crate::limits::TOPIC;
use bytes::Bytes;

/// Bytes in front of the topic, or of the passage.
pub const HEADER_LEN: usize = 37;

/// Bytes that a passage takes between header and topic.
pub const PASSAGE_LEN: usize = 28;

/// In the byte of the type: a passage follows the header.
const HAS_PASSAGE: u8 = 0x80;

/// What data and commands between two endpoints of version 2 have in addition: which message of
/// which publisher this is, wherever it has been since. The sender in the header is then the
/// publisher and not the last hop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passage {
    /// Tells apart the streams of messages with one publisher: of its lives, and of the relays that
    /// number the messages of a publisher of version 1.
    pub stream: u32,
    /// The number of the message in its stream; later messages have larger ones.
    pub number: u64,
    /// The relay at which the message has entered the overlay; nil as long as none has had it.
    pub entry: EndpointId,
}

impl Passage {
    fn to_bytes(self) -> [u8; PASSAGE_LEN] {
        let mut bytes = [0; PASSAGE_LEN];
        bytes[..4].copy_from_slice(&self.stream.to_be_bytes());
        bytes[4..12].copy_from_slice(&self.number.to_be_bytes());
        bytes[12..].copy_from_slice(self.entry.as_bytes());
        bytes
    }
}

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
    /// What relays of version 2 tell each other about the overlay.
    Announcement = 6,
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
            6 => Self::Announcement,
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
            Self::Announcement => "announcement",
        }
    }

    /// Whether envelopes of this type keep a peering working, so that no overflow policy may drop
    /// them.
    #[must_use]
    pub fn is_control(self) -> bool {
        !matches!(self, Self::Data | Self::Command)
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
    /// The endpoint that handed it over, the last hop; with a [`Passage`] the publisher.
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
        let kind = kind_of(number).ok_or(InvalidEnvelope::Type(number))?;
        let rest = rest.get(passage_len(number)..).ok_or(InvalidEnvelope::Short(bytes.len()))?;
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
    let before = |header: &[u8; HEADER_LEN]| {
        passage_len(header[TYPE_AT]) + usize::from(u16_at(header, TOPIC_LENGTH_AT))
    };
    (HEADER_LEN + bytes.first_chunk().map_or(0, before)).min(bytes.len())
}

/// The passage of an envelope, if it has one.
#[inline]
#[must_use]
pub fn passage(bytes: &[u8]) -> Option<Passage> {
    let (header, rest) = bytes.split_first_chunk::<HEADER_LEN>()?;
    if header[TYPE_AT] & HAS_PASSAGE == 0 {
        return None;
    }
    let mut reader = Reader::new(rest);
    Some(Passage { stream: reader.u32()?, number: reader.u64()?, entry: reader.id()? })
}

/// What a byte says about the type: only what overlays carry can have a passage.
#[inline]
fn kind_of(number: u8) -> Option<EnvelopeType> {
    let kind = EnvelopeType::from_number(number & !HAS_PASSAGE)?;
    (number & HAS_PASSAGE == 0 || !kind.is_control()).then_some(kind)
}

#[inline]
fn passage_len(number: u8) -> usize {
    if number & HAS_PASSAGE == 0 { 0 } else { PASSAGE_LEN }
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

/// The same as [`start_frame`] for a message with a passage.
pub fn start_passage_frame(
    out: &mut Vec<u8>,
    publisher: EndpointId,
    receiver: EndpointId,
    kind: EnvelopeType,
    passage: Passage,
    topic: &[u8],
) -> Result<usize, TopicTooLong> {
    if topic.len() > TOPIC {
        return Err(TopicTooLong(topic.len()));
    }
    let start = start_frame(out, publisher, receiver, kind, DEFAULT_TTL, b"")?;
    if let Some(head) = out.get_mut(start + frame::PREFIX..).and_then(<[u8]>::first_chunk_mut) {
        mark_passage(head, topic.len());
    }
    out.extend_from_slice(&passage.to_bytes());
    out.extend_from_slice(topic);
    Ok(start)
}

fn mark_passage(head: &mut [u8; HEADER_LEN], topic: usize) {
    head[TYPE_AT] |= HAS_PASSAGE;
    head[TOPIC_LENGTH_AT..].copy_from_slice(&(topic as u16).to_be_bytes());
}

/// Appends a frame (prefix included) without a passage in the form that has this one.
///
/// The frame has been decoded before; a shorter one is left out.
pub fn put_with_passage(out: &mut Vec<u8>, frame: &[u8], passage: Passage, ttl: u16) {
    let Some((head, rest)) = frame.split_first_chunk::<{ frame::PREFIX + HEADER_LEN }>() else {
        return;
    };
    let start = out.len();
    let mut head = *head;
    head[frame::PREFIX + TYPE_AT] |= HAS_PASSAGE;
    head[frame::PREFIX + TTL_AT..][..2].copy_from_slice(&ttl.to_be_bytes());
    out.extend_from_slice(&head);
    out.extend_from_slice(&passage.to_bytes());
    out.extend_from_slice(rest);
    frame::finish_frame(out, start);
}

/// Appends a frame (prefix included) that has a passage in the form without one, as the message of
/// this sender.
///
/// The frame has been decoded before; a shorter one is left out.
pub fn put_without_passage(out: &mut Vec<u8>, frame: &[u8], sender: EndpointId, ttl: u16) {
    let Some((head, rest)) = frame.split_first_chunk::<{ frame::PREFIX + HEADER_LEN }>() else {
        return;
    };
    let start = out.len();
    let mut head = *head;
    head[frame::PREFIX + TYPE_AT] &= !HAS_PASSAGE;
    out.extend_from_slice(&head);
    out.extend_from_slice(rest.get(PASSAGE_LEN..).unwrap_or_default());
    frame::finish_frame(out, start);
    readdress(out.get_mut(start..).unwrap_or_default(), sender, ttl);
}

/// Gives the message of a frame (prefix included) with a passage its number.
pub fn set_number(frame: &mut [u8], number: u64) {
    const LENGTH: usize = frame::PREFIX + HEADER_LEN + PASSAGE_LEN;
    if let Some(head) = frame.first_chunk_mut::<LENGTH>() {
        head[LENGTH - 24..LENGTH - 16].copy_from_slice(&number.to_be_bytes());
    }
}

/// Rewrites hop limit and entry of a frame (prefix included) with a passage that is about to be
/// passed on.
///
/// The frame has been decoded before; a shorter one is left alone.
pub fn pass_on(frame: &mut [u8], entry: EndpointId, ttl: u16) {
    const LENGTH: usize = frame::PREFIX + HEADER_LEN + PASSAGE_LEN;
    if let Some(head) = frame.first_chunk_mut::<LENGTH>() {
        head[frame::PREFIX + TTL_AT..][..2].copy_from_slice(&ttl.to_be_bytes());
        head[LENGTH - 16..].copy_from_slice(entry.as_bytes());
    }
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
    let kind = bytes.get(frame::PREFIX + TYPE_AT).copied().and_then(kind_of);
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
        Self::new(EnvelopeType::RoutingUpdate, from, to, payload)
    }

    /// An announcement with a payload that has been encoded before.
    #[must_use]
    pub fn announcement(from: EndpointId, to: EndpointId, payload: Bytes) -> Self {
        Self::new(EnvelopeType::Announcement, from, to, payload)
    }

    fn new(kind: EnvelopeType, from: EndpointId, to: EndpointId, payload: Bytes) -> Self {
        let mut head = control(kind, from, to, |_| {});
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
