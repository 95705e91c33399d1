//! From values to bytes.

use super::{real, varbyte};
use crate::{BStr, BString, EnumValue, IpAddress, Kind, Port, Subnet, Timespan, Timestamp, Value};
use bytes::Bytes;

/// What can be written as one value in binary format v1, without making a [`Value`] first.
///
/// Implemented for the types of the data model, [`View`](crate::View) and those Rust types that
/// have a [`From`] conversion to `Value`, with the same result. An own type, say the record of an
/// event argument, implements it with a [`Slot`](crate::Slot):
///
/// ```
/// use broker_data::{Encode, Slot};
///
/// struct Host { name: String, ports: Vec<u16> }
///
/// impl Encode for Host {
///     fn encode_into(&self, out: &mut Vec<u8>) {
///         Slot::new(out).vector().push(&self.name).push(&self.ports);
///     }
/// }
/// ```
pub trait Encode {
    /// Appends exactly one value, sets and tables in it in ascending order.
    fn encode_into(&self, out: &mut Vec<u8>);
}

impl Value {
    /// Appends the binary form. Sets and tables are written in ascending order, sizes in their
    /// shortest form, so equal values have equal encodings (apart from the sign of zero).
    ///
    /// Reals survive with every bit, apart from the sign and the payload of NaN and from
    /// subnormals: up to 2^-1023 in magnitude the format has no place for them, and they are
    /// written as zero.
    ///
    /// Never fails, but what receivers refuse as duplicates can be written: sets or table keys with
    /// NaN beside another real, or with several reals that are written as zero. Strings and
    /// containers of 2^32 bytes or elements and more are refused as well.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        match self {
            Self::None => out.push(Kind::None as u8),
            Self::Boolean(value) => value.encode_into(out),
            Self::Count(value) => value.encode_into(out),
            Self::Integer(value) => value.encode_into(out),
            Self::Real(value) => value.encode_into(out),
            Self::String(value) => value.encode_into(out),
            Self::Address(value) => value.encode_into(out),
            Self::Subnet(value) => value.encode_into(out),
            Self::Port(value) => value.encode_into(out),
            Self::Timestamp(value) => value.encode_into(out),
            Self::Timespan(value) => value.encode_into(out),
            Self::Enum(value) => value.encode_into(out),
            Self::Set(elements) => {
                head(Kind::Set, elements.len(), out);
                elements.iter().for_each(|element| element.encode_into(out));
            }
            Self::Table(entries) => {
                head(Kind::Table, entries.len(), out);
                for (key, value) in entries {
                    key.encode_into(out);
                    value.encode_into(out);
                }
            }
            Self::Vector(elements) => {
                head(Kind::Vector, elements.len(), out);
                elements.iter().for_each(|element| element.encode_into(out));
            }
        }
    }

    /// The number of bytes that [`Value::encode_into`] appends.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        let with_size = |len: usize| varbyte::len(len) + len;
        1 + match self {
            Self::None => 0,
            Self::Boolean(_) => 1,
            Self::Count(_) | Self::Integer(_) | Self::Real(_) => 8,
            Self::Timestamp(_) | Self::Timespan(_) => 8,
            Self::String(value) => with_size(value.len()),
            Self::Enum(value) => with_size(value.0.len()),
            Self::Address(_) => 16,
            Self::Subnet(_) => 17,
            Self::Port(_) => 3,
            Self::Set(elements) => {
                varbyte::len(elements.len()) + elements.iter().map(Self::encoded_len).sum::<usize>()
            }
            Self::Table(entries) => {
                let pair = |(key, value): (&Self, &Self)| key.encoded_len() + value.encoded_len();
                varbyte::len(entries.len()) + entries.iter().map(pair).sum::<usize>()
            }
            Self::Vector(elements) => {
                varbyte::len(elements.len()) + elements.iter().map(Self::encoded_len).sum::<usize>()
            }
        }
    }

    /// The binary form, as [`Value::encode_into`] writes it, in one allocation.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(self.encoded_len());
        self.encode_into(&mut out);
        out.into()
    }
}

/// Tag and size of a container, string or label.
#[inline]
pub(super) fn head(kind: Kind, size: usize, out: &mut Vec<u8>) {
    out.push(kind as u8);
    varbyte::write(size, out);
}

#[inline]
fn number(kind: Kind, pattern: u64, out: &mut Vec<u8>) {
    let mut bytes = [kind as u8; 9];
    bytes[1..].copy_from_slice(&pattern.to_be_bytes());
    out.extend_from_slice(&bytes);
}

impl Encode for Value {
    fn encode_into(&self, out: &mut Vec<u8>) {
        self.encode_into(out);
    }
}

impl<T: Encode + ?Sized> Encode for &T {
    #[inline]
    fn encode_into(&self, out: &mut Vec<u8>) {
        (**self).encode_into(out);
    }
}

impl Encode for bool {
    #[inline]
    fn encode_into(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[Kind::Boolean as u8, u8::from(*self)]);
    }
}

impl Encode for u64 {
    #[inline]
    fn encode_into(&self, out: &mut Vec<u8>) {
        number(Kind::Count, *self, out);
    }
}

impl Encode for i64 {
    #[inline]
    fn encode_into(&self, out: &mut Vec<u8>) {
        number(Kind::Integer, self.cast_unsigned(), out);
    }
}

impl Encode for f64 {
    #[inline]
    fn encode_into(&self, out: &mut Vec<u8>) {
        number(Kind::Real, real::to_wire(*self), out);
    }
}

/// A string.
impl Encode for [u8] {
    #[inline]
    fn encode_into(&self, out: &mut Vec<u8>) {
        head(Kind::String, self.len(), out);
        out.extend_from_slice(self);
    }
}

impl Encode for str {
    #[inline]
    fn encode_into(&self, out: &mut Vec<u8>) {
        self.as_bytes().encode_into(out);
    }
}

impl Encode for BStr {
    #[inline]
    fn encode_into(&self, out: &mut Vec<u8>) {
        let bytes: &[u8] = self;
        bytes.encode_into(out);
    }
}

impl Encode for BString {
    #[inline]
    fn encode_into(&self, out: &mut Vec<u8>) {
        self.as_slice().encode_into(out);
    }
}

impl Encode for EnumValue {
    #[inline]
    fn encode_into(&self, out: &mut Vec<u8>) {
        head(Kind::Enum, self.0.len(), out);
        out.extend_from_slice(&self.0);
    }
}

impl Encode for IpAddress {
    #[inline]
    fn encode_into(&self, out: &mut Vec<u8>) {
        out.push(Kind::Address as u8);
        out.extend_from_slice(self.bytes());
    }
}

impl Encode for Subnet {
    fn encode_into(&self, out: &mut Vec<u8>) {
        out.push(Kind::Subnet as u8);
        out.extend_from_slice(self.address().bytes());
        out.push(self.raw_length());
    }
}

impl Encode for Port {
    #[inline]
    fn encode_into(&self, out: &mut Vec<u8>) {
        let [high, low] = self.number.to_be_bytes();
        out.extend_from_slice(&[Kind::Port as u8, high, low, self.protocol as u8]);
    }
}

impl Encode for Timestamp {
    #[inline]
    fn encode_into(&self, out: &mut Vec<u8>) {
        number(Kind::Timestamp, self.0.cast_unsigned(), out);
    }
}

impl Encode for Timespan {
    #[inline]
    fn encode_into(&self, out: &mut Vec<u8>) {
        number(Kind::Timespan, self.0.cast_unsigned(), out);
    }
}
