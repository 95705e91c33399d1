use std::borrow::Cow;
use std::str::FromStr;

use bstr::ByteSlice;

use super::decoder::Decoder;
use super::error::JsonError;
use super::message::Envelope;
use super::scanner::Token;
use crate::{IpAddress, Kind, Port, Subnet, Timespan, Timestamp, Value};

/// A member that may only be read once another one was.
#[derive(Clone, Copy, Default)]
enum Member {
    #[default]
    Missing,
    /// It was passed over; its value starts here in the text.
    Postponed(usize),
    /// It was read; what it says starts here in the output.
    Written(usize),
}

/// The members of an object that stands for a value.
#[derive(Default)]
struct Members {
    kind: Option<Kind>,
    data: Member,
    /// Where the value of `data-hex` starts in the text.
    hex: Option<usize>,
}

impl<'a> Decoder<'a, '_> {
    /// Reads an object with `@data-type` and `data`, in any order and among others.
    pub(super) fn value(&mut self, depth: usize) -> Result<(), JsonError> {
        self.begin()?;
        let start = self.input.pos();
        if let Some(kind) = self.input.frequent_head() {
            let data = self.data(Some(kind), depth).map_err(|error| error.in_member("data"))?;
            if self.input.closes() {
                return Ok(());
            }
            let members = Members { kind: Some(kind), data, hex: None };
            return self.more_members(members, start, depth, None);
        }
        match self.input.token()? {
            Token::Object => self.members(start, depth, None),
            token => Err(clash(start, "an object with @data-type and data", &token)),
        }
    }

    /// Reads the members of such an object, behind its bracket at `start`. Of members with the
    /// same name the first one counts.
    pub(super) fn members(
        &mut self,
        start: usize,
        depth: usize,
        envelope: Option<&mut Envelope>,
    ) -> Result<(), JsonError> {
        self.more_members(Members::default(), start, depth, envelope)
    }

    /// Goes on behind those members that were read already.
    fn more_members(
        &mut self,
        mut members: Members,
        start: usize,
        depth: usize,
        mut envelope: Option<&mut Envelope>,
    ) -> Result<(), JsonError> {
        let mut first = members.kind.is_none();
        while let Some(name) = self.input.member(first)? {
            first = false;
            let result = match &*name {
                b"@data-type" if members.kind.is_none() => {
                    self.kind().map(|kind| members.kind = Some(kind))
                }
                b"data" if matches!(members.data, Member::Missing) => {
                    self.data(members.kind, depth).map(|data| members.data = data)
                }
                b"data-hex" if members.hex.is_none() => {
                    members.hex = Some(self.input.pos());
                    self.skip()
                }
                name => {
                    if let Some(envelope) = &mut envelope {
                        envelope.note(name, self.input.pos());
                    }
                    self.skip()
                }
            };
            result.map_err(|error| error.in_member(name.to_str_lossy().into_owned()))?;
        }
        self.complete(&members, start, depth)
    }

    /// Does what had to wait for all members.
    fn complete(&mut self, members: &Members, start: usize, depth: usize) -> Result<(), JsonError> {
        let Some(kind) = members.kind else {
            return Err(JsonError::type_clash(start, "this object has no member @data-type"));
        };
        let written = match members.data {
            Member::Written(written) => written,
            Member::Postponed(pos) => {
                let written = self.out.len();
                self.back_at(pos, |this| this.payload(kind, depth))
                    .map_err(|error| error.in_member("data"))?;
                written
            }
            Member::Missing if kind == Kind::None => {
                self.out.push(kind as u8);
                return Ok(());
            }
            Member::Missing => {
                let message = format!("this {} has no member data", kind.name());
                return Err(JsonError::type_clash(start, message));
            }
        };
        match (members.hex, kind) {
            (Some(pos), Kind::String | Kind::Enum | Kind::Subnet) => {
                self.out.truncate(written);
                self.back_at(pos, |this| this.exact(kind))
                    .map_err(|error| error.in_member("data-hex"))
            }
            _ => Ok(()),
        }
    }

    /// Reads `data` if it is known by now what it stands for.
    #[inline]
    fn data(&mut self, kind: Option<Kind>, depth: usize) -> Result<Member, JsonError> {
        match kind {
            Some(kind) => {
                let written = self.out.len();
                self.payload(kind, depth)?;
                Ok(Member::Written(written))
            }
            None => self.postpone().map(Member::Postponed),
        }
    }

    fn kind(&mut self) -> Result<Kind, JsonError> {
        let at = self.input.pos();
        let token = self.input.token()?;
        let kind = match &token {
            Token::String(name) => kind_named(name),
            _ => None,
        };
        kind.ok_or_else(|| clash(at, "the name of a type", &token))
    }

    fn payload(&mut self, kind: Kind, depth: usize) -> Result<(), JsonError> {
        let at = self.input.pos();
        if kind == Kind::None {
            self.out.push(kind as u8);
            return self.skip();
        }
        let token = self.input.token()?;
        match (kind, &token) {
            (Kind::Vector | Kind::Set, Token::Array) => {
                self.container(kind, depth, at, |this| this.elements(|this| this.value(depth + 1)))
            }
            (Kind::Table, Token::Array) => {
                self.container(kind, depth, at, |this| this.elements(|this| this.pair(depth + 1)))
            }
            (Kind::String | Kind::Enum, Token::String(bytes)) => {
                self.bytes(kind, bytes);
                Ok(())
            }
            _ => scalar(kind, &token, at).map(|value| value.encode_into(self.out)),
        }
    }

    /// Reads a pair of a table: an object with `key` and `value`, in any order and among others.
    fn pair(&mut self, depth: usize) -> Result<(), JsonError> {
        let start = self.input.pos();
        let token = self.input.token()?;
        if !matches!(token, Token::Object) {
            return Err(clash(start, "an object with key and value", &token));
        }
        let (mut key, mut value) = (Member::Missing, Member::Missing);
        let mut first = true;
        while let Some(name) = self.input.member(first)? {
            first = false;
            let written = self.out.len();
            let result = match (&*name, key, value) {
                (b"key", Member::Missing, _) => {
                    key = Member::Written(written);
                    self.value(depth)
                }
                (b"value", Member::Written(_), Member::Missing) => {
                    value = Member::Written(written);
                    self.value(depth)
                }
                (b"value", Member::Missing, Member::Missing) => {
                    self.postpone().map(|pos| value = Member::Postponed(pos))
                }
                _ => self.skip(),
            };
            result.map_err(|error| error.in_member(name.to_str_lossy().into_owned()))?;
        }
        match (key, value) {
            (Member::Written(_), Member::Written(_)) => Ok(()),
            (Member::Written(_), Member::Postponed(pos)) => self
                .back_at(pos, |this| this.value(depth))
                .map_err(|error| error.in_member("value")),
            (Member::Written(_), Member::Missing) => {
                Err(JsonError::type_clash(start, "this pair of a table has no member value"))
            }
            _ => Err(JsonError::type_clash(start, "this pair of a table has no member key")),
        }
    }

    /// Reads the hexadecimal digits of a value that its `data` does not show exactly.
    fn exact(&mut self, kind: Kind) -> Result<(), JsonError> {
        let at = self.input.pos();
        let token = self.input.token()?;
        let bytes =
            unhex(&token).ok_or_else(|| clash(at, "pairs of hexadecimal digits", &token))?;
        if kind == Kind::Subnet {
            let subnet =
                subnet_of(&bytes).ok_or_else(|| clash(at, "16 bytes and a length", &token))?;
            Value::Subnet(subnet).encode_into(self.out);
        } else {
            self.bytes(kind, &bytes);
        }
        Ok(())
    }
}

/// The bytes that a string of hexadecimal digits stands for.
pub(super) fn unhex(token: &Token<'_>) -> Option<Vec<u8>> {
    let Token::String(digits) = token else { return None };
    let digit = |b: u8| char::from(b).to_digit(16);
    let (pairs, rest) = digits.as_chunks::<2>();
    let bytes = pairs.iter().map(|&[high, low]| Some((digit(high)? << 4 | digit(low)?) as u8));
    rest.is_empty().then(|| bytes.collect())?
}

fn subnet_of(bytes: &[u8]) -> Option<Subnet> {
    let (address, length) = bytes.split_first_chunk()?;
    let address = IpAddress::from_bytes(*address);
    let least = if address.is_v4() { 96 } else { 0 };
    match length {
        [length] if (least..=128).contains(length) => Some(Subnet::from_raw(address, *length)),
        _ => None,
    }
}

fn kind_named(name: &[u8]) -> Option<Kind> {
    Some(match name {
        b"none" => Kind::None,
        b"boolean" => Kind::Boolean,
        b"count" => Kind::Count,
        b"integer" => Kind::Integer,
        b"real" => Kind::Real,
        b"string" => Kind::String,
        b"address" => Kind::Address,
        b"subnet" => Kind::Subnet,
        b"port" => Kind::Port,
        b"timestamp" => Kind::Timestamp,
        b"timespan" => Kind::Timespan,
        b"enum-value" => Kind::Enum,
        b"set" => Kind::Set,
        b"table" => Kind::Table,
        b"vector" => Kind::Vector,
        _ => return None,
    })
}

/// A value that is neither a container nor a string.
fn scalar(kind: Kind, token: &Token<'_>, at: usize) -> Result<Value, JsonError> {
    let value = match (kind, token) {
        (Kind::Boolean, Token::Boolean(value)) => Some(Value::Boolean(*value)),
        (Kind::Count, Token::Number(number)) => number.to_count().map(Value::Count),
        (Kind::Integer, Token::Number(number)) => number.to_integer().map(Value::Integer),
        (Kind::Real, token) => real(token).map(Value::Real),
        (Kind::Address, Token::String(text)) => Some(Value::Address(parse(text, at)?)),
        (Kind::Subnet, Token::String(text)) => Some(Value::Subnet(parse(text, at)?)),
        (Kind::Port, Token::String(text)) => Some(Value::Port(parse::<Port>(text, at)?)),
        (Kind::Timestamp, Token::String(text)) => {
            Some(Value::Timestamp(parse::<Timestamp>(text, at)?))
        }
        (Kind::Timespan, Token::String(text)) => {
            Some(Value::Timespan(parse::<Timespan>(text, at)?))
        }
        _ => None,
    };
    value.ok_or_else(|| clash(at, expected(kind), token))
}

fn real(token: &Token<'_>) -> Option<f64> {
    match token {
        Token::Number(number) => number.to_real(),
        Token::NonFinite(real) => Some(*real),
        Token::String(text) => match &**text {
            b"inf" => Some(f64::INFINITY),
            b"-inf" => Some(f64::NEG_INFINITY),
            b"nan" => Some(f64::NAN),
            _ => None,
        },
        _ => None,
    }
}

fn parse<T>(text: &[u8], at: usize) -> Result<T, JsonError>
where
    T: FromStr<Err: std::fmt::Display>,
{
    let text: Cow<'_, str> = text.to_str_lossy();
    text.parse().map_err(|error: T::Err| JsonError::type_clash(at, error.to_string()))
}

fn expected(kind: Kind) -> &'static str {
    match kind {
        Kind::None => "anything",
        Kind::Boolean => "true or false",
        Kind::Count => "an integer from 0 to 18446744073709551615",
        Kind::Integer => "an integer from -9223372036854775808 to 9223372036854775807",
        Kind::Real => "a number of at most 1.7976931348623157e308, \"inf\", \"-inf\" or \"nan\"",
        Kind::String => "a string",
        Kind::Address => "an address as a string",
        Kind::Subnet => "a subnet as a string",
        Kind::Port => "a port as a string",
        Kind::Timestamp => "a timestamp as a string",
        Kind::Timespan => "a timespan as a string",
        Kind::Enum => "the label of an enum value as a string",
        Kind::Set | Kind::Vector => "an array of values",
        Kind::Table => "an array of objects with key and value",
    }
}

fn clash(at: usize, expected: &str, found: &Token<'_>) -> JsonError {
    JsonError::type_clash(at, format!("expected {expected}, found {}", found.describe()))
}
