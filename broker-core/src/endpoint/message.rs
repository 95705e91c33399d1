use crate::EndpointId;
use broker_proto::data::zeek::{InvalidMessage, ZeekEventView};
use broker_proto::data::{DecodeError, DecodeLimits, Value, View};
use broker_proto::wire::envelope::{Envelope, payload_at};
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

    fn decoded(&self) -> Option<Envelope<'_>> {
        Envelope::decode(&self.envelope).ok()
    }

    /// What the message is about: any bytes.
    #[must_use]
    pub fn topic(&self) -> &BStr {
        BStr::new(self.decoded().map_or(&[][..], |envelope| envelope.topic))
    }

    /// The endpoint that published the message, if all between it and this one speak version 2 of
    /// the protocol; else the last one that does not, or the last hop.
    #[must_use]
    pub fn sender(&self) -> EndpointId {
        self.decoded().map_or(EndpointId::NIL, |envelope| envelope.sender)
    }

    /// Whom the message was addressed to; nil is everyone.
    #[must_use]
    pub fn receiver(&self) -> EndpointId {
        self.decoded().map_or(EndpointId::NIL, |envelope| envelope.receiver)
    }

    /// The encoded value.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.envelope.get(self.payload_at..).unwrap_or_default()
    }

    /// A view of the value that neither copies nor allocates, and checks nothing twice: received
    /// payloads have been checked before they get here.
    #[must_use]
    pub fn view(&self) -> View<'_> {
        View::of_validated(self.payload())
    }

    /// The event of Zeek that the message is, without a copy; its arguments are read by
    /// [`ZeekEventView::args_as`].
    ///
    /// # Errors
    ///
    /// It is something else; the error says what.
    pub fn event(&self) -> Result<ZeekEventView<'_>, InvalidMessage> {
        ZeekEventView::parse(self.view())
    }

    /// The value, decoded.
    ///
    /// # Errors
    ///
    /// The payload is malformed. What an endpoint has received from a peer never is, however deep
    /// its configuration allows values to be.
    pub fn data(&self) -> Result<Value, DecodeError> {
        Value::decode_with(self.payload(), DecodeLimits { max_depth: usize::MAX })
    }

    /// A copy that shares no memory with other messages.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self { envelope: Bytes::copy_from_slice(&self.envelope), payload_at: self.payload_at }
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("sender", &self.sender())
            .field("topic", &self.topic())
            .field("payload", &BStr::new(self.payload()))
            .finish()
    }
}
