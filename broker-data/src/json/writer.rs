use std::io::Write;

use super::message::DATA_MESSAGE;
use crate::binary::{self, Cursor};
use crate::{DecodeLimits, IpAddress, Kind, Port, Subnet, Timespan, Timestamp, Value, View};

/// What has a JSON form: values, and views of encoded values.
pub trait ToJson {
    /// Appends the JSON form, `{"@data-type":...,"data":...}`, without white space. It is always
    /// valid JSON in valid UTF-8.
    fn write_json(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        self.write_members(out);
        out.push(b'}');
    }

    /// Appends what is between the braces, to go into an object with other members.
    fn write_members(&self, out: &mut Vec<u8>);
}

impl ToJson for Value {
    fn write_members(&self, out: &mut Vec<u8>) {
        head(out, self.kind());
        match self {
            Self::None => out.extend_from_slice(b"{}"),
            Self::Boolean(value) => boolean(out, *value),
            Self::Count(value) => integer(out, *value),
            Self::Integer(value) => integer(out, *value),
            Self::Real(value) => real(out, *value),
            Self::String(bytes) => text(out, bytes, "data-hex"),
            Self::Address(value) => address(out, *value),
            Self::Subnet(value) => subnet(out, value),
            Self::Port(value) => port(out, *value),
            Self::Timestamp(value) => timestamp(out, *value),
            Self::Timespan(value) => timespan(out, *value),
            Self::Enum(label) => text(out, &label.0, "data-hex"),
            Self::Set(elements) => array(out, elements, |out, element| element.write_json(out)),
            Self::Table(entries) => array(out, entries, |out, (key, value)| {
                out.extend_from_slice(b"{\"key\":");
                key.write_json(out);
                out.extend_from_slice(b",\"value\":");
                value.write_json(out);
                out.push(b'}');
            }),
            Self::Vector(elements) => array(out, elements, |out, element| element.write_json(out)),
        }
    }
}

impl ToJson for View<'_> {
    /// The elements of sets and tables are written in the order in which they arrived.
    fn write_members(&self, out: &mut Vec<u8>) {
        let start = out.len();
        let payload = &mut Cursor::new(self.raw());
        if encoded(out, payload, DecodeLimits::HIGHEST_DEPTH).is_none() {
            // Not a valid payload after all.
            out.truncate(start);
            Value::None.write_members(out);
        }
    }
}

/// Writes the value at the position; nothing if the payload is not valid there.
fn encoded(out: &mut Vec<u8>, input: &mut Cursor<'_>, depth: usize) -> Option<()> {
    let kind = Kind::from_tag(input.u8().ok()?)?;
    head(out, kind);
    match kind {
        Kind::None => out.extend_from_slice(b"{}"),
        Kind::Boolean => boolean(out, input.u8().ok()? != 0),
        Kind::Count => integer(out, input.u64().ok()?),
        Kind::Integer => integer(out, input.u64().ok()?.cast_signed()),
        Kind::Real => real(out, binary::real_from_wire(input.u64().ok()?)),
        Kind::String | Kind::Enum => {
            let size = input.size().ok()?;
            text(out, input.take(size).ok()?, "data-hex");
        }
        Kind::Address => address(out, IpAddress::from_bytes(input.array().ok()?)),
        Kind::Subnet => subnet(out, &binary::subnet(input).ok()?),
        Kind::Port => port(out, binary::port(input).ok()?),
        Kind::Timestamp => timestamp(out, Timestamp(input.u64().ok()?.cast_signed())),
        Kind::Timespan => timespan(out, Timespan(input.u64().ok()?.cast_signed())),
        Kind::Set | Kind::Table | Kind::Vector => {
            let depth = depth.checked_sub(1)?;
            out.push(b'[');
            for i in 0..input.size().ok()? {
                out.extend_from_slice(match (kind, i) {
                    (Kind::Table, 0) => b"{\"key\":{",
                    (Kind::Table, _) => b",{\"key\":{",
                    (_, 0) => b"{",
                    _ => b",{",
                });
                encoded(out, input, depth)?;
                if kind == Kind::Table {
                    out.extend_from_slice(b"},\"value\":{");
                    encoded(out, input, depth)?;
                    out.push(b'}');
                }
                out.push(b'}');
            }
            out.push(b']');
        }
    }
    Some(())
}

/// Appends a data message, `{"type":"data-message","topic":...,"@data-type":...,"data":...}`.
///
/// A topic that is not UTF-8 is written with U+FFFD in place of what is not, and a member
/// `topic-hex` with its exact bytes follows.
pub fn encode_data_message(
    topic: impl AsRef<[u8]>,
    value: &(impl ToJson + ?Sized),
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(b"{\"type\":\"");
    out.extend_from_slice(DATA_MESSAGE.as_bytes());
    out.extend_from_slice(b"\",\"topic\":");
    text(out, topic.as_ref(), "topic-hex");
    out.push(b',');
    value.write_members(out);
    out.push(b'}');
}

/// Everything up to the payload.
#[inline]
fn head(out: &mut Vec<u8>, kind: Kind) {
    out.extend_from_slice(match kind {
        Kind::None => b"\"@data-type\":\"none\",\"data\":",
        Kind::Boolean => b"\"@data-type\":\"boolean\",\"data\":",
        Kind::Count => b"\"@data-type\":\"count\",\"data\":",
        Kind::Integer => b"\"@data-type\":\"integer\",\"data\":",
        Kind::Real => b"\"@data-type\":\"real\",\"data\":",
        Kind::String => b"\"@data-type\":\"string\",\"data\":",
        Kind::Address => b"\"@data-type\":\"address\",\"data\":",
        Kind::Subnet => b"\"@data-type\":\"subnet\",\"data\":",
        Kind::Port => b"\"@data-type\":\"port\",\"data\":",
        Kind::Timestamp => b"\"@data-type\":\"timestamp\",\"data\":",
        Kind::Timespan => b"\"@data-type\":\"timespan\",\"data\":",
        Kind::Enum => b"\"@data-type\":\"enum-value\",\"data\":",
        Kind::Set => b"\"@data-type\":\"set\",\"data\":",
        Kind::Table => b"\"@data-type\":\"table\",\"data\":",
        Kind::Vector => b"\"@data-type\":\"vector\",\"data\":",
    });
}

#[inline]
fn integer(out: &mut Vec<u8>, value: impl itoa::Integer) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

fn address(out: &mut Vec<u8>, value: IpAddress) {
    if !value.is_v4() {
        return quoted(out, value);
    }
    let [.., a, b, c, d] = *value.bytes();
    out.push(b'"');
    for (separator, byte) in [(&b""[..], a), (b".", b), (b".", c), (b".", d)] {
        out.extend_from_slice(separator);
        integer(out, byte);
    }
    out.push(b'"');
}

fn port(out: &mut Vec<u8>, value: Port) {
    out.push(b'"');
    integer(out, value.number);
    out.push(b'/');
    out.extend_from_slice(value.protocol.name().as_bytes());
    out.push(b'"');
}

/// A text that needs no escapes.
fn quoted(out: &mut Vec<u8>, value: impl std::fmt::Display) {
    // Writing to a vector does not fail.
    let _ = write!(out, "\"{value}\"");
}

fn boolean(out: &mut Vec<u8>, value: bool) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

/// The shortest digits that read back as the same number, always with a fraction or an exponent:
/// other implementations refuse a real that looks like an integer. JSON has no numbers for what is
/// not finite, so a string stands for it.
fn real(out: &mut Vec<u8>, value: f64) {
    if value.is_finite() {
        let _ = write!(out, "{value:?}");
    } else if value.is_nan() {
        out.extend_from_slice(b"\"nan\"");
    } else {
        quoted(out, value);
    }
}

fn subnet(out: &mut Vec<u8>, value: &Subnet) {
    quoted(out, value);
    if !value.is_normal() {
        let length = value.raw_length();
        hex_member(out, "data-hex", value.address().bytes().iter().chain([&length]));
    }
}

fn timestamp(out: &mut Vec<u8>, value: Timestamp) {
    out.push(b'"');
    value.with_text(|text| out.extend_from_slice(text));
    out.push(b'"');
}

fn timespan(out: &mut Vec<u8>, value: Timespan) {
    let (number, unit) = value.number_and_unit();
    out.push(b'"');
    integer(out, number);
    out.extend_from_slice(unit.as_bytes());
    out.push(b'"');
}

fn array<T>(
    out: &mut Vec<u8>,
    items: impl IntoIterator<Item = T>,
    write: impl Fn(&mut Vec<u8>, T),
) {
    out.push(b'[');
    for (i, item) in items.into_iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b']');
}

/// A JSON string, and if it cannot hold the bytes because they are not UTF-8, a member of this
/// name behind it with the exact bytes.
fn text(out: &mut Vec<u8>, bytes: &[u8], hex_name: &str) {
    match std::str::from_utf8(bytes) {
        Ok(text) => write_string(text, out),
        Err(_) => {
            write_string(&String::from_utf8_lossy(bytes), out);
            hex_member(out, hex_name, bytes);
        }
    }
}

/// Appends a text as a JSON string, quotes included.
pub fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = first_escape(rest) {
        let (plain, special) = rest.split_at(at);
        out.extend_from_slice(plain);
        match special[0] {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            control => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&hex(control));
            }
        }
        rest = &special[1..];
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// Where the first byte is that cannot stand for itself.
#[inline]
fn first_escape(bytes: &[u8]) -> Option<usize> {
    let (words, rest) = bytes.as_chunks::<8>();
    let plain = words.iter().take_while(|word| !any_escape(u64::from_ne_bytes(**word))).count();
    let from = plain * 8;
    let rest = if plain == words.len() { rest } else { bytes.get(from..).unwrap_or_default() };
    Some(from + rest.iter().position(|&byte| needs_escape(byte))?)
}

/// Whether one of eight bytes may have to be escaped: in its place the highest bit is set if it is
/// less than a space, or equal to one of the two others, and was not set before.
#[inline]
fn any_escape(word: u64) -> bool {
    const ONES: u64 = u64::MAX / 0xff;
    let below = |word: u64, bound: u8| word.wrapping_sub(ONES * u64::from(bound)) & !word;
    let equal = |byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    (below(word, b' ') | equal(b'"') | equal(b'\\')) & (ONES << 7) != 0
}

#[inline]
fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

fn hex_member<'a>(out: &mut Vec<u8>, name: &str, bytes: impl IntoIterator<Item = &'a u8>) {
    let _ = write!(out, ",\"{name}\":\"");
    out.extend(bytes.into_iter().flat_map(|&byte| hex(byte)));
    out.push(b'"');
}

fn hex(byte: u8) -> [u8; 2] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]
}
