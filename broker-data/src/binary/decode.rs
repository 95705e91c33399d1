//! From bytes to values.

use super::cursor::Cursor;
use super::error::{DecodeError, DecodeErrorKind};
use super::validate::validate;
use super::{real, tag};
use crate::{EnumValue, IpAddress, Port, Protocol, Subnet, Table, Timespan, Timestamp, Value};

/// What decoding accepts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DecodeLimits {
    /// The most containers inside each other, the outermost included; a value that is not a
    /// container is always accepted. Limits above [`DecodeLimits::HIGHEST_DEPTH`] count as that.
    pub max_depth: usize,
}

impl DecodeLimits {
    /// The highest depth that can be allowed: what the stack of any thread has room for.
    pub const HIGHEST_DEPTH: usize = 256;

    pub(crate) const HIGHEST: Self = Self { max_depth: Self::HIGHEST_DEPTH };

    pub(crate) fn depth(self) -> usize {
        self.max_depth.min(Self::HIGHEST_DEPTH)
    }
}

impl Default for DecodeLimits {
    /// 64 containers inside each other, enough for everything the JSON form can carry.
    fn default() -> Self {
        Self { max_depth: 64 }
    }
}

impl Value {
    /// Decodes a payload that is exactly one value, with the default limits.
    ///
    /// Accepts what peers may send: sets and tables in any order, any non-zero byte for true,
    /// sizes in up to five bytes even if fewer would do, and subnets with host bits.
    ///
    /// Duplicates in sets and among the keys of tables are refused, and by the C++ Broker's rule:
    /// NaN is a duplicate of every real, also inside equal surroundings, so that of `(NaN, 1)` and
    /// `(2.0, 1)` only one may be in a set while `(NaN, 1)` and `(NaN, 2)` both may. As this
    /// relation is not transitive, it is applied to neighbours in the order of [`Value`].
    ///
    /// # Errors
    ///
    /// The first thing found wrong; see [`DecodeErrorKind`] for the rules.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::decode_with(bytes, DecodeLimits::default())
    }

    /// As [`Value::decode`], with these limits.
    ///
    /// # Errors
    ///
    /// As [`Value::decode`].
    pub fn decode_with(bytes: &[u8], limits: DecodeLimits) -> Result<Self, DecodeError> {
        validate(bytes, limits)?;
        build(bytes)
    }
}

/// Builds the value of a payload that was validated; the rest of the bytes is ignored.
///
/// # Errors
///
/// On bytes that nobody validated.
pub(crate) fn build(bytes: &[u8]) -> Result<Value, DecodeError> {
    value(&mut Cursor::new(bytes), DecodeLimits::HIGHEST_DEPTH)
}

fn value(input: &mut Cursor<'_>, depth: usize) -> Result<Value, DecodeError> {
    let start = input.pos();
    Ok(match input.u8()? {
        tag::NONE => Value::None,
        tag::BOOLEAN => Value::Boolean(input.u8()? != 0),
        tag::COUNT => Value::Count(input.u64()?),
        tag::INTEGER => Value::Integer(input.u64()?.cast_signed()),
        tag::REAL => Value::Real(real::from_wire(input.u64()?)),
        tag::STRING => Value::String(bytes(input)?.into()),
        tag::ADDRESS => Value::Address(IpAddress::from_bytes(input.array()?)),
        tag::SUBNET => Value::Subnet(subnet(input)?),
        tag::PORT => Value::Port(port(input)?),
        tag::TIMESTAMP => Value::Timestamp(Timestamp(input.u64()?.cast_signed())),
        tag::TIMESPAN => Value::Timespan(Timespan(input.u64()?.cast_signed())),
        tag::ENUM => Value::Enum(EnumValue(bytes(input)?.into())),
        tag @ (tag::SET | tag::TABLE | tag::VECTOR) => {
            let Some(depth) = depth.checked_sub(1) else {
                let limit = DecodeLimits::HIGHEST_DEPTH;
                return Err(DecodeError::new(DecodeErrorKind::TooDeep { limit }, start));
            };
            match tag {
                tag::SET => Value::Set(elements(input, depth)?.into_iter().collect()),
                tag::TABLE => Value::Table(table(input, depth)?),
                _ => Value::Vector(elements(input, depth)?),
            }
        }
        tag => return Err(DecodeError::new(DecodeErrorKind::UnknownTag(tag), start)),
    })
}

fn bytes<'a>(input: &mut Cursor<'a>) -> Result<&'a [u8], DecodeError> {
    let size = input.size()?;
    input.take(size)
}

pub(crate) fn subnet(input: &mut Cursor<'_>) -> Result<Subnet, DecodeError> {
    Ok(Subnet::from_raw(IpAddress::from_bytes(input.array()?), input.u8()?))
}

pub(crate) fn port(input: &mut Cursor<'_>) -> Result<Port, DecodeError> {
    let start = input.pos();
    let [high, low, protocol] = input.array()?;
    let protocol = match protocol {
        0 => Protocol::Unknown,
        1 => Protocol::Tcp,
        2 => Protocol::Udp,
        3 => Protocol::Icmp,
        _ => return Err(DecodeError::new(DecodeErrorKind::UnknownProtocol(protocol), start + 2)),
    };
    Ok(Port::new(u16::from_be_bytes([high, low]), protocol))
}

/// How many elements to make room for before any is there: a declared count is only a claim, and
/// an element takes many times the byte that it needs at least.
const FIRST_ROOM: usize = 64;

fn elements(input: &mut Cursor<'_>, depth: usize) -> Result<Vec<Value>, DecodeError> {
    let count = input.element_count(1)?;
    let mut elements = Vec::with_capacity(count.min(FIRST_ROOM));
    for _ in 0..count {
        elements.push(value(input, depth)?);
    }
    Ok(elements)
}

fn table(input: &mut Cursor<'_>, depth: usize) -> Result<Table, DecodeError> {
    let count = input.element_count(2)?;
    let mut entries = Vec::with_capacity(count.min(FIRST_ROOM));
    for _ in 0..count {
        entries.push((value(input, depth)?, value(input, depth)?));
    }
    Ok(entries.into_iter().collect())
}
