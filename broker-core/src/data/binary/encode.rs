//! From values to octets.

use super::{real, varbyte};
use crate::data::Value;
use bytes::Bytes;

impl Value {
    /// Appends the binary form. Sets and tables are written in ascending order, sizes in their
    /// shortest form, so equal values have equal encodings (apart from the sign of zero).
    ///
    /// Never fails, and writes two things that receivers refuse: strings and containers of 2^32
    /// octets or elements and more, which the format cannot express, and sets (or table keys) in
    /// which NaN stands beside another real, which count as duplicates of each other.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        out.push(self.kind() as u8);
        match self {
            Self::None => {}
            Self::Boolean(value) => out.push(u8::from(*value)),
            Self::Count(value) => out.extend_from_slice(&value.to_be_bytes()),
            Self::Integer(value) => out.extend_from_slice(&value.to_be_bytes()),
            Self::Real(value) => out.extend_from_slice(&real::to_wire(*value).to_be_bytes()),
            Self::String(value) => octets(value, out),
            Self::Address(value) => out.extend_from_slice(value.octets()),
            Self::Subnet(value) => {
                out.extend_from_slice(value.address().octets());
                out.push(value.raw_length());
            }
            Self::Port(value) => {
                out.extend_from_slice(&value.number.to_be_bytes());
                out.push(value.protocol as u8);
            }
            Self::Timestamp(value) => out.extend_from_slice(&value.0.to_be_bytes()),
            Self::Timespan(value) => out.extend_from_slice(&value.0.to_be_bytes()),
            Self::Enum(value) => octets(&value.0, out),
            Self::Set(elements) => {
                varbyte::write(elements.len(), out);
                elements.iter().for_each(|element| element.encode_into(out));
            }
            Self::Table(entries) => {
                varbyte::write(entries.len(), out);
                for (key, value) in entries {
                    key.encode_into(out);
                    value.encode_into(out);
                }
            }
            Self::Vector(elements) => {
                varbyte::write(elements.len(), out);
                elements.iter().for_each(|element| element.encode_into(out));
            }
        }
    }

    /// The number of octets that [`Value::encode_into`] appends.
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

/// Appends a string or label with its size.
pub(crate) fn octets(octets: &[u8], out: &mut Vec<u8>) {
    varbyte::write(octets.len(), out);
    out.extend_from_slice(octets);
}
