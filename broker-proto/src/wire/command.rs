//! The payload of command envelopes: what the parts of a data store tell each other.
//!
//! Stores are not part of this crate; commands are understood so that malformed ones go no further
//! and well-formed ones can be shown. Values inside commands stay encoded.

use super::Reader;
use crate::EndpointId;
use crate::data::{self, DecodeError, DecodeLimits};

/// A party of a store: an endpoint and a number at it; all zero is nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EntityId {
    /// The endpoint.
    pub endpoint: EndpointId,
    /// Which object of the endpoint.
    pub object: u64,
}

/// A command with its envelope of sequence number and parties.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InternalCommand<'a> {
    /// The sequence number, 0 for messages outside of a sequence.
    pub sequence: u64,
    /// Who sends it.
    pub sender: EntityId,
    /// Who it is for.
    pub receiver: EntityId,
    /// What it says.
    pub content: Command<'a>,
}

/// The content of a command. Keys, values and states are encoded values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Command<'a> {
    Put {
        key: &'a [u8],
        value: &'a [u8],
        expiry: Option<i64>,
        publisher: EntityId,
    },
    PutUnique {
        key: &'a [u8],
        value: &'a [u8],
        expiry: Option<i64>,
        who: EntityId,
        request: u64,
        publisher: EntityId,
    },
    PutUniqueResult {
        inserted: bool,
        who: EntityId,
        request: u64,
        publisher: EntityId,
    },
    Erase {
        key: &'a [u8],
        publisher: EntityId,
    },
    Expire {
        key: &'a [u8],
        publisher: EntityId,
    },
    Add {
        key: &'a [u8],
        value: &'a [u8],
        init_type: u8,
        expiry: Option<i64>,
        publisher: EntityId,
    },
    Subtract {
        key: &'a [u8],
        value: &'a [u8],
        expiry: Option<i64>,
        publisher: EntityId,
    },
    Clear {
        publisher: EntityId,
    },
    AttachWriter {
        offset: u64,
        heartbeat_interval: u16,
    },
    Keepalive {
        sequence: u64,
    },
    CumulativeAck {
        sequence: u64,
    },
    /// The bytes of the missing sequence numbers, eight for each.
    Nack {
        sequences: &'a [u8],
    },
    /// The bytes of alternating keys and values.
    AckClone {
        offset: u64,
        heartbeat_interval: u16,
        state: &'a [u8],
    },
    RetransmitFailed {
        sequence: u64,
    },
}

impl Command<'_> {
    /// The name in diagnostics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Put { .. } => "put",
            Self::PutUnique { .. } => "put_unique",
            Self::PutUniqueResult { .. } => "put_unique_result",
            Self::Erase { .. } => "erase",
            Self::Expire { .. } => "expire",
            Self::Add { .. } => "add",
            Self::Subtract { .. } => "subtract",
            Self::Clear { .. } => "clear",
            Self::AttachWriter { .. } => "attach_writer",
            Self::Keepalive { .. } => "keepalive",
            Self::CumulativeAck { .. } => "cumulative_ack",
            Self::Nack { .. } => "nack",
            Self::AckClone { .. } => "ack_clone",
            Self::RetransmitFailed { .. } => "retransmit_failed",
        }
    }
}

/// Why a payload is no command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCommand {
    /// Bytes are missing.
    #[error("the command is cut off at byte {0}")]
    Truncated(usize),
    /// No command has this number.
    #[error("unknown command {0}")]
    Unknown(u8),
    /// A value inside the command is malformed.
    #[error("value at byte {offset}: {error}")]
    Value {
        /// Where the value starts.
        offset: usize,
        /// What is wrong with it.
        error: DecodeError,
    },
}

/// Checks a payload like [`decode`] does.
///
/// # Errors
///
/// See [`decode`].
pub fn validate(payload: &[u8], limits: DecodeLimits) -> Result<(), InvalidCommand> {
    decode(payload, limits).map(drop)
}

/// Reads a payload. Bytes behind the command are ignored, as in the C++ Broker.
///
/// # Errors
///
/// The payload is cut off, its command is unknown, or a value in it is malformed.
pub fn decode(payload: &[u8], limits: DecodeLimits) -> Result<InternalCommand<'_>, InvalidCommand> {
    let mut fields = Fields { reader: Reader::new(payload), length: payload.len(), limits };
    let sequence = fields.u64()?;
    let sender = fields.entity()?;
    let receiver = fields.entity()?;
    let content = fields.content()?;
    Ok(InternalCommand { sequence, sender, receiver, content })
}

struct Fields<'a> {
    reader: Reader<'a>,
    length: usize,
    limits: DecodeLimits,
}

impl<'a> Fields<'a> {
    fn content(&mut self) -> Result<Command<'a>, InvalidCommand> {
        Ok(match self.u8()? {
            0 => Command::Put {
                key: self.value()?,
                value: self.value()?,
                expiry: self.expiry()?,
                publisher: self.entity()?,
            },
            1 => Command::PutUnique {
                key: self.value()?,
                value: self.value()?,
                expiry: self.expiry()?,
                who: self.entity()?,
                request: self.u64()?,
                publisher: self.entity()?,
            },
            2 => Command::PutUniqueResult {
                inserted: self.u8()? != 0,
                who: self.entity()?,
                request: self.u64()?,
                publisher: self.entity()?,
            },
            3 => Command::Erase { key: self.value()?, publisher: self.entity()? },
            4 => Command::Expire { key: self.value()?, publisher: self.entity()? },
            5 => Command::Add {
                key: self.value()?,
                value: self.value()?,
                init_type: self.u8()?,
                expiry: self.expiry()?,
                publisher: self.entity()?,
            },
            6 => Command::Subtract {
                key: self.value()?,
                value: self.value()?,
                expiry: self.expiry()?,
                publisher: self.entity()?,
            },
            7 => Command::Clear { publisher: self.entity()? },
            8 => Command::AttachWriter { offset: self.u64()?, heartbeat_interval: self.u16()? },
            9 => Command::Keepalive { sequence: self.u64()? },
            10 => Command::CumulativeAck { sequence: self.u64()? },
            11 => Command::Nack { sequences: self.sequences()? },
            12 => Command::AckClone {
                offset: self.u64()?,
                heartbeat_interval: self.u16()?,
                state: self.state()?,
            },
            13 => Command::RetransmitFailed { sequence: self.u64()? },
            number => return Err(InvalidCommand::Unknown(number)),
        })
    }

    fn offset(&self) -> usize {
        self.length - self.reader.rest().len()
    }

    fn need<T>(&self, value: Option<T>) -> Result<T, InvalidCommand> {
        value.ok_or(InvalidCommand::Truncated(self.offset()))
    }

    fn u8(&mut self) -> Result<u8, InvalidCommand> {
        let value = self.reader.u8();
        self.need(value)
    }

    fn u16(&mut self) -> Result<u16, InvalidCommand> {
        let value = self.reader.u16();
        self.need(value)
    }

    fn u64(&mut self) -> Result<u64, InvalidCommand> {
        let value = self.reader.u64();
        self.need(value)
    }

    fn entity(&mut self) -> Result<EntityId, InvalidCommand> {
        let endpoint = self.reader.id();
        let endpoint = self.need(endpoint)?;
        Ok(EntityId { endpoint, object: self.u64()? })
    }

    fn expiry(&mut self) -> Result<Option<i64>, InvalidCommand> {
        if self.u8()? == 0 {
            return Ok(None);
        }
        self.u64().map(|nanoseconds| Some(nanoseconds as i64))
    }

    fn value(&mut self) -> Result<&'a [u8], InvalidCommand> {
        let offset = self.offset();
        let length = value_length(self.reader.rest());
        let bytes = length.and_then(|length| self.reader.bytes(length));
        let bytes = self.need(bytes)?;
        data::validate(bytes, self.limits)
            .map_err(|error| InvalidCommand::Value { offset, error })?;
        Ok(bytes)
    }

    fn sequences(&mut self) -> Result<&'a [u8], InvalidCommand> {
        let count = self.reader.varbyte();
        let count = self.need(count)? as usize;
        let bytes = count.checked_mul(8).and_then(|length| self.reader.bytes(length));
        self.need(bytes)
    }

    fn state(&mut self) -> Result<&'a [u8], InvalidCommand> {
        let count = self.reader.varbyte();
        let count = self.need(count)?;
        let rest = self.reader.rest();
        for _ in 0..count {
            self.value()?;
            self.value()?;
        }
        Ok(rest.get(..rest.len() - self.reader.rest().len()).unwrap_or_default())
    }
}

/// How many bytes the value at the start of `bytes` takes, by its structure alone.
fn value_length(bytes: &[u8]) -> Option<usize> {
    let mut reader = Reader::new(bytes);
    let mut open = 1_u64;
    while open > 0 {
        open -= 1;
        let fixed = match reader.u8()? {
            0 => 0,
            1 => 1,
            2..=4 | 9 | 10 => 8,
            5 | 11 => reader.varbyte()? as usize,
            6 => 16,
            7 => 17,
            8 => 3,
            12 | 14 => {
                open += u64::from(reader.varbyte()?);
                0
            }
            13 => {
                open += 2 * u64::from(reader.varbyte()?);
                0
            }
            _ => return None,
        };
        reader.bytes(fixed)?;
    }
    Some(bytes.len() - reader.rest().len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(content: &[u8]) -> Vec<u8> {
        let mut payload = vec![0; 8 + 24 + 24];
        payload.extend_from_slice(content);
        payload
    }

    #[test]
    fn a_put_is_read_with_its_values_still_encoded() {
        let mut content = vec![0, 5, 1, b'k', 14, 2, 1, 1, 0, 1];
        content.extend_from_slice(&7_u64.to_be_bytes());
        content.extend_from_slice(&[0xaa; 24]);
        let payload = command(&content);
        let decoded = decode(&payload, DecodeLimits::default()).unwrap();
        let Command::Put { key, value, expiry, publisher } = decoded.content else {
            panic!("not a put: {decoded:?}")
        };
        assert_eq!((key, value), (&[5, 1, b'k'][..], &[14, 2, 1, 1, 0][..]));
        assert_eq!((expiry, publisher.object), (Some(7), 0xaaaa_aaaa_aaaa_aaaa));
    }

    #[test]
    fn every_cut_of_a_command_is_refused() {
        let mut content = vec![12];
        content.extend_from_slice(&[0; 10]);
        content.extend_from_slice(&[1, 1, 1, 5, 1, b'x']);
        let whole = command(&content);
        assert!(validate(&whole, DecodeLimits::default()).is_ok());
        for length in 0..whole.len() {
            let cut = validate(&whole[..length], DecodeLimits::default());
            assert!(matches!(cut, Err(InvalidCommand::Truncated(_))), "{length}: {cut:?}");
        }
    }

    #[test]
    fn unknown_commands_and_malformed_values_are_refused() {
        let unknown = validate(&command(&[14]), DecodeLimits::default());
        assert_eq!(unknown, Err(InvalidCommand::Unknown(14)));
        let port = validate(&command(&[3, 8, 0, 80, 9]), DecodeLimits::default());
        assert!(matches!(port, Err(InvalidCommand::Value { offset: 57, .. })), "{port:?}");
    }
}
