use crate::EndpointId;
use broker_proto::data::zeek::{InvalidMessage, ZeekEventView};
use broker_proto::data::{DecodeError, DecodeLimits, Value, View};
use broker_proto::wire::envelope::{Envelope, payload_at};
use broker_proto::wire::frame::{PREFIX, split_frame};
use bstr::BStr;
use bytes::Bytes;
use std::fmt;

/// A received message. It holds the bytes as they came, and looks into them when asked.
///
/// Small messages that arrived together share one block of memory of up to 64 KiB, which lives as
/// long as any of them does; who keeps single messages for long keeps a [`Self::detached`] copy.
///
/// # Examples
///
/// ```
/// # mod broker { pub use broker_core::{self as core, *, endpoint::*, transport::*}; }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let endpoint = broker_core::Endpoint::builder().build()?;
/// let mut hub = endpoint.hub("/alerts/");
/// endpoint.publish("/alerts/scan", "10.0.0.7").await?;
///
/// let message = hub.recv().await.ok_or("shut down")?;
/// assert_eq!(message.topic(), "/alerts/scan");
/// assert_eq!(message.sender(), endpoint.id());
/// assert_eq!(message.view().as_str(), Some("10.0.0.7"), "without a copy");
/// assert_eq!(message.data()?.to_string(), "10.0.0.7");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Message {
    envelope: Bytes,
    payload_at: usize,
}

impl Message {
    /// A message from the bytes of an envelope that has been checked.
    pub(super) fn new(envelope: Bytes) -> Self {
        let payload_at = payload_at(&envelope);
        Self { envelope, payload_at }
    }

    /// The message as one that is borrowed.
    #[must_use]
    pub fn as_view(&self) -> MessageView<'_> {
        MessageView { envelope: &self.envelope, payload_at: self.payload_at }
    }

    /// What the message is about: any bytes.
    #[must_use]
    pub fn topic(&self) -> &BStr {
        self.as_view().topic()
    }

    /// The endpoint that published the message, if all between it and this one speak version 2 of
    /// the protocol; else the last one that does not, or the last hop.
    #[must_use]
    pub fn sender(&self) -> EndpointId {
        self.as_view().sender()
    }

    /// Whom the message was addressed to; nil is everyone.
    #[must_use]
    pub fn receiver(&self) -> EndpointId {
        self.as_view().receiver()
    }

    /// The encoded value.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.as_view().payload()
    }

    /// A view of the value that neither copies nor allocates, and checks nothing twice: received
    /// payloads have been checked before they get here.
    #[must_use]
    pub fn view(&self) -> View<'_> {
        self.as_view().view()
    }

    /// The event of Zeek that the message is, without a copy; its arguments are read by
    /// [`ZeekEventView::args_as`].
    ///
    /// # Errors
    ///
    /// It is something else; the error says what.
    pub fn event(&self) -> Result<ZeekEventView<'_>, InvalidMessage> {
        self.as_view().event()
    }

    /// The value, decoded.
    ///
    /// # Errors
    ///
    /// The payload is malformed. What an endpoint has received from a peer never is, however deep
    /// its configuration allows values to be.
    pub fn data(&self) -> Result<Value, DecodeError> {
        self.as_view().data()
    }

    /// A copy that shares no memory with other messages.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self { envelope: Bytes::copy_from_slice(&self.envelope), payload_at: self.payload_at }
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_view().fmt(f)
    }
}

/// A received message that is borrowed: what a [`Message`] says, without a share in its memory.
#[derive(Clone, Copy)]
pub struct MessageView<'a> {
    envelope: &'a [u8],
    payload_at: usize,
}

impl<'a> MessageView<'a> {
    fn decoded(&self) -> Option<Envelope<'a>> {
        Envelope::decode(self.envelope).ok()
    }

    /// As [`Message::topic`].
    #[must_use]
    pub fn topic(&self) -> &'a BStr {
        BStr::new(self.decoded().map_or(&[][..], |envelope| envelope.topic))
    }

    /// As [`Message::sender`].
    #[must_use]
    pub fn sender(&self) -> EndpointId {
        self.decoded().map_or(EndpointId::NIL, |envelope| envelope.sender)
    }

    /// As [`Message::receiver`].
    #[must_use]
    pub fn receiver(&self) -> EndpointId {
        self.decoded().map_or(EndpointId::NIL, |envelope| envelope.receiver)
    }

    /// As [`Message::payload`].
    #[inline]
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        self.envelope.get(self.payload_at..).unwrap_or_default()
    }

    /// As [`Message::view`].
    #[inline]
    #[must_use]
    pub fn view(&self) -> View<'a> {
        View::of_validated(self.payload())
    }

    /// As [`Message::event`].
    ///
    /// # Errors
    ///
    /// As [`Message::event`].
    pub fn event(&self) -> Result<ZeekEventView<'a>, InvalidMessage> {
        ZeekEventView::parse(self.view())
    }

    /// As [`Message::data`].
    ///
    /// # Errors
    ///
    /// As [`Message::data`].
    pub fn data(&self) -> Result<Value, DecodeError> {
        Value::decode_with(self.payload(), DecodeLimits { max_depth: usize::MAX })
    }

    /// A copy that is not borrowed, and shares no memory with other messages.
    #[must_use]
    pub fn to_message(&self) -> Message {
        let envelope = Bytes::copy_from_slice(self.envelope);
        Message { envelope, payload_at: self.payload_at }
    }
}

/// Messages that have arrived together, lent by a subscriber or hub: an iterator that costs no
/// reference count for each. What it has not come to is received next.
#[derive(Debug)]
pub struct Messages<'a> {
    frames: &'a [u8],
    /// How many bytes of frames were walked.
    walked: &'a mut usize,
}

impl<'a> Messages<'a> {
    pub(super) fn new(frames: &'a [u8], walked: &'a mut usize) -> Self {
        Self { frames, walked }
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = MessageView<'a>;

    #[inline]
    fn next(&mut self) -> Option<MessageView<'a>> {
        let (frame, rest) = split_frame(self.frames)?;
        self.frames = rest;
        *self.walked += frame.len();
        let envelope = frame.get(PREFIX..)?;
        Some(MessageView { envelope, payload_at: payload_at(envelope) })
    }
}

impl fmt::Debug for MessageView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("sender", &self.sender())
            .field("topic", &self.topic())
            .field("payload", &BStr::new(self.payload()))
            .finish()
    }
}
