//! The messages of phase 1 (any version) and phase 2 (versions 1 and 2).

use super::routing_update::{self, InvalidRoutingUpdate};
use super::{MAGIC, PROTOCOL_VERSION, PROTOCOL_VERSION_MAX, Reader, frame, put_string};
use crate::limits::FilterLimits;
use crate::{EndpointId, ErrorCode};
use bstr::BString;
use bytes::Bytes;

/// A message of the handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HandshakeMessage {
    /// Says who is there and which versions it speaks.
    Hello {
        /// The sender's id.
        sender: EndpointId,
        /// The lowest version it speaks.
        min_version: u8,
        /// The highest version it speaks.
        max_version: u8,
    },
    /// Provokes early I/O errors and has no other meaning.
    Probe,
    /// The originator's choice of a version.
    VersionSelect {
        /// The sender's id.
        sender: EndpointId,
        /// The version both sides will speak.
        version: u8,
    },
    /// Gives the reason for closing the connection.
    DropConn {
        /// The sender's id.
        sender: EndpointId,
        /// A known code; unknown ones do not decode.
        code: ErrorCode,
        /// The reason in words.
        description: BString,
    },
    /// The originator's subscriptions and, in version 2, its role.
    OriginatorSyn(Vec<Bytes>, Option<Role>),
    /// The responder's subscriptions and, in version 2, its role.
    ResponderSynAck(Vec<Bytes>, Option<Role>),
    /// Ends the handshake.
    OriginatorAck,
}

/// What an endpoint of version 2 does with the messages of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It passes nothing on.
    Leaf,
    /// It passes messages on, and announces what is behind it.
    Relay,
}

/// Why a handshake message is refused, and with which `drop_conn` it is answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{description}")]
pub struct InvalidHandshakeMessage {
    /// The code of the answer.
    pub code: ErrorCode,
    /// The text of the answer.
    pub description: BString,
    /// Set if the message is what it should be, but the filter in it is larger than allowed.
    pub filter: Option<InvalidRoutingUpdate>,
}

const HELLO: u8 = 6;
const PROBE: u8 = 7;
const VERSION_SELECT: u8 = 8;
const DROP_CONN: u8 = 9;
const ORIGINATOR_SYN: u8 = 10;
const RESPONDER_SYN_ACK: u8 = 11;
const ORIGINATOR_ACK: u8 = 12;

impl HandshakeMessage {
    /// A hello from `sender` that offers version 1 only.
    #[must_use]
    pub fn hello(sender: EndpointId) -> Self {
        Self::Hello { sender, min_version: PROTOCOL_VERSION, max_version: PROTOCOL_VERSION }
    }

    /// The name in diagnostics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Hello { .. } => "hello",
            Self::Probe => "probe",
            Self::VersionSelect { .. } => "version_select",
            Self::DropConn { .. } => "drop_conn",
            Self::OriginatorSyn(..) => "originator_syn",
            Self::ResponderSynAck(..) => "responder_syn_ack",
            Self::OriginatorAck => "originator_ack",
        }
    }

    /// The message as a frame, length included.
    #[must_use]
    pub fn to_frame(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        frame::put_frame(&mut out, |out| self.put(out));
        out
    }

    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Hello { sender, min_version, max_version } => {
                put_phase_1(out, HELLO, Some(sender));
                out.extend_from_slice(&[*min_version, *max_version]);
            }
            Self::Probe => put_phase_1(out, PROBE, None),
            Self::VersionSelect { sender, version } => {
                put_phase_1(out, VERSION_SELECT, Some(sender));
                out.push(*version);
            }
            Self::DropConn { sender, code, description } => {
                put_phase_1(out, DROP_CONN, Some(sender));
                out.push(code.number());
                put_string(out, description);
            }
            Self::OriginatorSyn(filter, role) => put_filter(out, ORIGINATOR_SYN, filter, *role),
            Self::ResponderSynAck(filter, role) => {
                put_filter(out, RESPONDER_SYN_ACK, filter, *role);
            }
            Self::OriginatorAck => out.push(ORIGINATOR_ACK),
        }
    }

    /// Reads the payload of a frame; bytes behind a complete message are ignored, as in the
    /// C++ Broker. A filter comes in ascending order and without the entries that another one
    /// covers.
    ///
    /// # Errors
    ///
    /// The message is not one of the handshake, breaks one of the rules that hold in every state,
    /// or has a filter above the limits; the error is the `drop_conn` to answer with.
    pub fn decode(payload: &[u8], limits: FilterLimits) -> Result<Self, InvalidHandshakeMessage> {
        let mut reader = Reader::new(payload);
        let tag = reader.u8().unwrap_or_default();
        let (name, decoded) = match tag {
            HELLO => ("hello_msg", decode_hello(&mut reader)),
            PROBE => ("probe_msg", magic(&mut reader).map(|()| Self::Probe)),
            VERSION_SELECT => ("version_select_msg", decode_version_select(&mut reader)),
            DROP_CONN => ("drop_conn_msg", decode_drop_conn(&mut reader)),
            ORIGINATOR_SYN => (
                "v1::originator_syn_msg",
                filter(payload, reader, limits)
                    .map(|(filter, role)| Self::OriginatorSyn(filter, role)),
            ),
            RESPONDER_SYN_ACK => (
                "v1::responder_syn_ack_msg",
                filter(payload, reader, limits)
                    .map(|(filter, role)| Self::ResponderSynAck(filter, role)),
            ),
            ORIGINATOR_ACK => ("v1::originator_ack_msg", Ok(Self::OriginatorAck)),
            _ => return Err(refuse(ErrorCode::InvalidMessage, "invalid message type tag")),
        };
        decoded.map_err(|flaw| flaw.into_refusal(name))
    }
}

fn put_phase_1(out: &mut Vec<u8>, tag: u8, sender: Option<&EndpointId>) {
    out.push(tag);
    out.extend_from_slice(&MAGIC.to_be_bytes());
    if let Some(sender) = sender {
        out.extend_from_slice(sender.as_bytes());
    }
}

fn put_filter(out: &mut Vec<u8>, tag: u8, filter: &[Bytes], role: Option<Role>) {
    out.push(tag);
    routing_update::encode(out, filter);
    out.extend(role.map(|role| role as u8));
}

enum Flaw {
    Truncated,
    Refusal(InvalidHandshakeMessage),
    TooLarge(InvalidRoutingUpdate),
}

impl Flaw {
    fn into_refusal(self, name: &str) -> InvalidHandshakeMessage {
        match self {
            Self::Truncated => {
                refuse(ErrorCode::InvalidMessage, &format!("failed to parse {name}"))
            }
            Self::Refusal(refusal) => refusal,
            Self::TooLarge(error) => InvalidHandshakeMessage {
                filter: Some(error),
                ..refuse(ErrorCode::Unspecified, "too many subscriptions")
            },
        }
    }
}

fn refuse(code: ErrorCode, description: &str) -> InvalidHandshakeMessage {
    InvalidHandshakeMessage { code, description: description.into(), filter: None }
}

fn need<T>(value: Option<T>) -> Result<T, Flaw> {
    value.ok_or(Flaw::Truncated)
}

fn magic(reader: &mut Reader<'_>) -> Result<(), Flaw> {
    if need(reader.u32())? == MAGIC {
        return Ok(());
    }
    Err(Flaw::Refusal(refuse(ErrorCode::WrongMagicNumber, "wrong magic number")))
}

fn decode_hello(reader: &mut Reader<'_>) -> Result<HandshakeMessage, Flaw> {
    magic(reader)?;
    let sender = need(reader.id())?;
    let min_version = need(reader.u8())?;
    let max_version = need(reader.u8())?;
    if min_version > PROTOCOL_VERSION_MAX || max_version < PROTOCOL_VERSION.max(min_version) {
        let refusal = refuse(ErrorCode::PeerIncompatible, "unsupported versions offered");
        return Err(Flaw::Refusal(refusal));
    }
    Ok(HandshakeMessage::Hello { sender, min_version, max_version })
}

fn decode_version_select(reader: &mut Reader<'_>) -> Result<HandshakeMessage, Flaw> {
    magic(reader)?;
    let sender = need(reader.id())?;
    let version = need(reader.u8())?;
    if !(PROTOCOL_VERSION..=PROTOCOL_VERSION_MAX).contains(&version) {
        let refusal = refuse(ErrorCode::PeerIncompatible, "unsupported version selected");
        return Err(Flaw::Refusal(refusal));
    }
    Ok(HandshakeMessage::VersionSelect { sender, version })
}

fn decode_drop_conn(reader: &mut Reader<'_>) -> Result<HandshakeMessage, Flaw> {
    magic(reader)?;
    let sender = need(reader.id())?;
    let number = need(reader.u8())?;
    let description = BString::from(need(reader.string())?);
    // 41 exists, but the C++ Broker has no name for it and refuses it from peers.
    match ErrorCode::from_number(number).filter(|code| *code <= ErrorCode::LogicError) {
        Some(code) => Ok(HandshakeMessage::DropConn { sender, code, description }),
        None => {
            let code = ErrorCode::Unspecified;
            let refusal = InvalidHandshakeMessage { code, description, filter: None };
            Err(Flaw::Refusal(refusal))
        }
    }
}

/// Reads a filter, and the role behind it if there is one. A count that cannot be true is malformed
/// whatever the limits are.
fn filter(
    payload: &[u8],
    mut reader: Reader<'_>,
    limits: FilterLimits,
) -> Result<(Vec<Bytes>, Option<Role>), Flaw> {
    let count = need(reader.varbyte())? as usize;
    if count > reader.rest().len() {
        return Err(Flaw::Truncated);
    }
    let (filter, rest) = routing_update::entries(payload, reader, Some(count), limits).map_err(
        |error| match error {
            InvalidRoutingUpdate::Truncated { .. } => Flaw::Truncated,
            error => Flaw::TooLarge(error),
        },
    )?;
    let role = match rest.first() {
        Some(0) => Some(Role::Leaf),
        Some(1) => Some(Role::Relay),
        _ => None,
    };
    Ok((filter, role))
}

/// Whether a payload is the message that its side ends the handshake with: the next frames of that
/// side are envelopes, for which a transport may have other rules.
#[must_use]
pub fn ends_handshake(payload: &[u8]) -> bool {
    matches!(payload.first(), Some(&(RESPONDER_SYN_ACK | ORIGINATOR_ACK)))
}
