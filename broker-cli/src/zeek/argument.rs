//! Arguments of events as people write them: `10.0.0.7`, `22/tcp`, `-3`, `"text"`, `time:now`,
//! `{orig_h=10.0.0.7, hits=5}`, and JSON for the rest.

use crate::values::Item;
use broker::data::{EnumValue, IpAddress, Kind, Port, Subnet, Timespan, Timestamp, Value};
use std::str::FromStr;
use std::time::SystemTime;

/// What a bare word is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Words {
    /// An error that says how to be explicit.
    Refused,
    /// A string.
    Strings,
}

/// Reads an argument.
///
/// # Errors
///
/// It has no meaning, or more than one; the text says how to write what was meant.
pub(crate) fn argument(text: &str, words: Words) -> Result<Value, String> {
    let trimmed = text.trim();
    if let Some(rest) = text.strip_prefix("string:").or_else(|| text.strip_prefix("str:"))
        && !rest.starts_with('"')
    {
        return Ok(Value::string(rest));
    }
    if let Some(span) =
        trimmed.strip_prefix("interval:").or_else(|| trimmed.strip_prefix("timespan:"))
    {
        return interval(span).map(Value::Timespan);
    }
    let is_json = trimmed.starts_with(['{', '[', '"'])
        && serde_json::from_str::<serde::de::IgnoredAny>(trimmed).is_ok();
    if is_json && trimmed != "{}" {
        let item = Item::parse(trimmed.as_bytes()).map_err(|error| format!("{text}: {error}"))?;
        return match item.topic {
            None => Ok(item.value),
            Some(_) => Err(format!("{text}: a data message is no argument of an event")),
        };
    }
    if trimmed.contains(' ') && !trimmed.starts_with(['{', '[', '(', '"']) {
        return word(text, words);
    }
    let mut reader = Reader { text: trimmed, at: 0, words };
    let value = reader.value()?;
    reader.space();
    match reader.rest() {
        "" => Ok(value),
        rest => Err(format!("{text}: {rest:?} is behind the end of the value")),
    }
}

fn word(text: &str, words: Words) -> Result<Value, String> {
    match words {
        Words::Strings => Ok(Value::string(text)),
        Words::Refused => Err(format!(
            "{text:?} is a bare word: for a string write '\"{text}\"' or string:{text} (or give \
             --string), for an enum value enum:{text}"
        )),
    }
}

/// The types as they can stand in front of a value, with what they are.
const TYPES: [(&str, Kind); 26] = [
    ("addr", Kind::Address),
    ("address", Kind::Address),
    ("subnet", Kind::Subnet),
    ("port", Kind::Port),
    ("count", Kind::Count),
    ("int", Kind::Integer),
    ("integer", Kind::Integer),
    ("real", Kind::Real),
    ("double", Kind::Real),
    ("string", Kind::String),
    ("str", Kind::String),
    ("bool", Kind::Boolean),
    ("boolean", Kind::Boolean),
    ("time", Kind::Timestamp),
    ("timestamp", Kind::Timestamp),
    ("interval", Kind::Timespan),
    ("timespan", Kind::Timespan),
    ("enum", Kind::Enum),
    ("enum-value", Kind::Enum),
    ("none", Kind::None),
    ("set", Kind::Set),
    ("table", Kind::Table),
    ("vector", Kind::Vector),
    ("record", Kind::Vector),
    ("list", Kind::Vector),
    ("map", Kind::Table),
];

fn named(name: &str) -> Option<Kind> {
    TYPES.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    words: Words,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn accept(&mut self, what: &str) -> bool {
        self.space();
        let found = self.rest().starts_with(what);
        self.at += if found { what.len() } else { 0 };
        found
    }

    fn value(&mut self) -> Result<Value, String> {
        self.space();
        match self.rest().chars().next() {
            Some('{') => self.braces(None),
            Some('[') => self.list(']'),
            Some('(') => self.list(')'),
            Some('"') => self.quoted().map(Value::from),
            Some(_) => self.scalar(),
            None => Err(format!("{:?}: a value is missing at the end", self.text)),
        }
    }

    /// A string in quotes, with the escapes of JSON.
    fn quoted(&mut self) -> Result<String, String> {
        let mut parts = serde_json::Deserializer::from_str(self.rest()).into_iter::<String>();
        match parts.next() {
            Some(Ok(text)) => {
                self.at += parts.byte_offset();
                Ok(text)
            }
            _ => Err(format!("{}: a string that has no end", self.rest())),
        }
    }

    /// What stands up to the next bracket, comma, arrow, quote or space.
    fn token(&mut self) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|c: char| c.is_whitespace() || "{}[](),\"".contains(c));
        let end = end.unwrap_or(rest.len()).min(rest.find("->").unwrap_or(rest.len()));
        self.at += end;
        rest.get(..end).unwrap_or_default()
    }

    fn scalar(&mut self) -> Result<Value, String> {
        let token = self.token();
        let explicit = token.split_once(':').and_then(|(name, rest)| Some((named(name)?, rest)));
        match (explicit, self.rest().chars().next()) {
            (Some((kind @ (Kind::Set | Kind::Table | Kind::Vector), "")), Some('{')) => {
                self.braces(Some(kind))
            }
            (Some((Kind::Vector, "")), Some('[')) => self.list(']'),
            (Some((kind, "")), Some('"')) => {
                let text = self.quoted()?;
                of_kind(kind, &text)
            }
            (Some((kind, rest)), _) => of_kind(kind, rest),
            (None, _) => guess(token, self.words),
        }
    }

    /// The elements of a vector, which a record is too.
    fn list(&mut self, end: char) -> Result<Value, String> {
        self.at += 1;
        let end = end.to_string();
        let mut elements = Vec::new();
        while !self.accept(&end) {
            if !elements.is_empty() && !self.accept(",") {
                return Err(self.expected(&format!("a comma or {end}")));
            }
            elements.push(self.value()?);
        }
        Ok(Value::Vector(elements))
    }

    fn expected(&self, what: &str) -> String {
        format!("{:?}: expected {what} at {:?}", self.text, self.rest())
    }

    /// A set, a table (`{key -> value}`), or a record (`{name=value}`), whose names are for people:
    /// a record is sent as the vector of its fields.
    fn braces(&mut self, kind: Option<Kind>) -> Result<Value, String> {
        self.at += 1;
        let (mut elements, mut keys, mut names) = (Vec::new(), Vec::new(), 0_usize);
        while !self.accept("}") {
            if !elements.is_empty() && !self.accept(",") {
                return Err(self.expected("a comma or }"));
            }
            if self.field_name() {
                names += 1;
                elements.push(self.value()?);
                continue;
            }
            let is_quoted = self.rest().trim_start().starts_with('"');
            let value = self.value()?;
            if self.accept("->") || is_quoted && self.accept(":") {
                keys.push(value);
                elements.push(self.value()?);
            } else {
                elements.push(value);
            }
        }
        let all = elements.len();
        match (kind, all, keys.len(), names) {
            (None, 0, ..) => {
                Err("{} may be an empty set, table or record; write set:{}, table:{} \
                or []"
                    .to_owned())
            }
            (Some(Kind::Table), 0, ..) => Ok(Value::Table(Default::default())),
            (None | Some(Kind::Table), _, keyed, 0) if keyed == all => {
                Ok(Value::Table(keys.into_iter().zip(elements).collect()))
            }
            (None | Some(Kind::Vector), _, 0, names) if names == all => Ok(Value::Vector(elements)),
            (None | Some(Kind::Set), _, 0, 0) => Ok(Value::Set(elements.into_iter().collect())),
            _ => Err(format!(
                "{:?}: the elements between braces are all values (a set), all KEY -> VALUE (a \
                 table) or all NAME=VALUE (a record)",
                self.text
            )),
        }
    }

    /// Takes the name of a field and the sign behind it, if they are next.
    fn field_name(&mut self) -> bool {
        self.space();
        let rest = self.rest();
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let is_name = is_identifier(rest.get(..end).unwrap_or_default());
        let behind = rest.get(end..).unwrap_or_default();
        let sign = behind.trim_start();
        if !is_name || !sign.starts_with('=') {
            return false;
        }
        self.at += end + (behind.len() - sign.len()) + 1;
        true
    }
}

fn is_identifier(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_alphanumeric() || c == '_')
}

/// A value whose type is said.
fn of_kind(kind: Kind, text: &str) -> Result<Value, String> {
    fn read<T: FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, String> {
        text.parse().map_err(|error: T::Err| error.to_string())
    }
    let number = |what: &str| format!("{text:?} is not {what}");
    Ok(match kind {
        Kind::None => Value::None,
        Kind::Boolean => match text {
            "T" | "true" => Value::Boolean(true),
            "F" | "false" => Value::Boolean(false),
            _ => return Err(format!("{text:?} is not a boolean: T or F")),
        },
        Kind::Count => Value::Count(text.parse().map_err(|_| number("a count"))?),
        Kind::Integer => Value::Integer(text.parse().map_err(|_| number("an integer"))?),
        Kind::Real => Value::Real(text.parse().map_err(|_| number("a real number"))?),
        Kind::String => Value::string(text),
        Kind::Address => Value::Address(read(text)?),
        Kind::Subnet => Value::Subnet(read(text)?),
        Kind::Port => Value::Port(read::<Port>(text)?),
        Kind::Timestamp => Value::Timestamp(time(text)?),
        Kind::Timespan => Value::Timespan(interval(text)?),
        Kind::Enum => Value::Enum(EnumValue(text.into())),
        Kind::Set | Kind::Table | Kind::Vector => {
            return Err(format!("a {} needs brackets, as in {}:{{...}}", kind.name(), kind.name()));
        }
    })
}

/// A point in time: `now`, a date with a time, or seconds since 1970 as Zeek writes them.
fn time(text: &str) -> Result<Timestamp, String> {
    if text == "now" {
        return Ok(Timestamp::from(SystemTime::now()));
    }
    if let Ok(seconds) = format!("{text}s").parse::<Timespan>() {
        return Ok(Timestamp(seconds.0));
    }
    text.parse().map_err(|error| format!("{error}, or now, or seconds since 1970"))
}

/// A length of time, with the units of Zeek too, as in `5 sec` or `2mins`; without one, seconds.
fn interval(text: &str) -> Result<Timespan, String> {
    let text = text.trim();
    let unit_at = text.find(|c: char| c.is_alphabetic() && c != 'e' && c != 'E');
    let (number, unit) = text.split_at(unit_at.unwrap_or(text.len()));
    let unit = match unit.strip_suffix('s').filter(|unit| unit.len() > 1).unwrap_or(unit) {
        "" | "sec" | "second" => "s",
        "usec" | "u" => "us",
        "msec" | "m" => "ms",
        "n" => "ns",
        "minute" => "min",
        "hr" | "hour" => "h",
        "day" => "d",
        unit => unit,
    };
    let text = format!("{}{unit}", number.trim());
    text.parse().map_err(|error| format!("{error}"))
}

/// A value whose type its form tells.
fn guess(token: &str, words: Words) -> Result<Value, String> {
    let mut meanings = Vec::new();
    match token {
        "T" | "true" => meanings.push(Value::Boolean(true)),
        "F" | "false" => meanings.push(Value::Boolean(false)),
        "null" => meanings.push(Value::None),
        _ => {}
    }
    if token.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c))
        && let Some(value) = numeric(token)?
    {
        meanings.push(value);
    }
    if token.contains(['.', ':'])
        && let Ok(address) = token.parse::<IpAddress>()
    {
        meanings.push(Value::Address(address));
    }
    if token.contains('/')
        && let Ok(subnet) = token.parse::<Subnet>()
    {
        meanings.push(Value::Subnet(subnet));
    }
    if let Some((_, "tcp" | "udp" | "icmp")) = token.split_once('/')
        && let Ok(port) = token.parse::<Port>()
    {
        meanings.push(Value::Port(port));
    }
    if token.contains('T')
        && let Ok(time) = token.parse::<Timestamp>()
    {
        meanings.push(Value::Timestamp(time));
    }
    if token.contains("::") && token.split("::").all(is_identifier) {
        meanings.push(Value::Enum(EnumValue(token.into())));
    }
    if meanings.len() > 1 {
        let ways = meanings.iter().map(|value| {
            let kind = value.kind();
            let short = TYPES.iter().find(|(_, known)| *known == kind).map_or("", |(name, _)| name);
            format!("{short}:{token}")
        });
        let ways = ways.collect::<Vec<_>>().join(" or ");
        return Err(format!("{token:?} may be more than one thing; write {ways}"));
    }
    if let Some(value) = meanings.pop() {
        return Ok(value);
    }
    if let Some((name, rest)) = token.split_once(':')
        && !rest.starts_with(':')
        && is_identifier(name)
        && words == Words::Refused
    {
        let close = TYPES.iter().find(|(known, _)| {
            let common = known.chars().zip(name.chars()).take_while(|(a, b)| a == b).count();
            common >= 2 && common + 2 >= known.len().max(name.len())
        });
        let meant = close.map_or(String::new(), |(known, _)| format!("; did you mean {known}:?"));
        let all = TYPES.map(|(name, _)| name).join(", ");
        return Err(format!("{token:?}: there is no type {name:?}{meant} (types: {all})"));
    }
    word(token, words)
}

/// A number, or a number with a unit of time.
fn numeric(token: &str) -> Result<Option<Value>, String> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let too_large = || format!("{token:?} does not fit 64 bits; write real:{token}");
    let signed = token.strip_prefix(['-', '+']);
    Ok(if digits(token) {
        Some(Value::Count(token.parse().map_err(|_| too_large())?))
    } else if signed.is_some_and(digits) {
        Some(Value::Integer(token.parse().map_err(|_| too_large())?))
    } else if let Ok(real) = token.parse::<f64>()
        && token.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b))
    {
        if real.is_infinite() {
            return Err(format!("{token:?} is beyond what a real number can be"));
        }
        Some(Value::Real(real))
    } else if token.ends_with(|c: char| c.is_ascii_alphabetic()) && !token.contains(['/', ':']) {
        interval(token).ok().map(Value::Timespan)
    } else {
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use broker::data::{Protocol, table, vector};

    fn tcp(number: u16) -> Value {
        Value::Port(Port::new(number, Protocol::Tcp))
    }

    fn read(text: &str) -> Value {
        argument(text, Words::Refused).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn addr(text: &str) -> Value {
        Value::Address(text.parse().unwrap())
    }

    #[test]
    fn arguments_are_what_they_look_like() {
        for (text, value) in [
            ("10.0.0.7", addr("10.0.0.7")),
            ("::1", addr("::1")),
            ("10.0.0.0/8", Value::Subnet("10.0.0.0/8".parse().unwrap())),
            ("22/tcp", tcp(22)),
            ("5", Value::Count(5)),
            ("-3", Value::Integer(-3)),
            ("+3", Value::Integer(3)),
            ("1.5", Value::Real(1.5)),
            ("1e3", Value::Real(1000.0)),
            ("5s", Value::Timespan(Timespan(5_000_000_000))),
            ("1.5min", Value::Timespan(Timespan(90_000_000_000))),
            ("interval:5 sec", Value::Timespan(Timespan(5_000_000_000))),
            ("interval:2mins", Value::Timespan(Timespan(120_000_000_000))),
            ("250ms", Value::Timespan(Timespan(250_000_000))),
            ("T", Value::Boolean(true)),
            ("false", Value::Boolean(false)),
            ("\"a, \\\"b\\\"\"", Value::from("a, \"b\"")),
            ("string:a b", Value::from("a b")),
            ("enum:x", Value::enum_value("x")),
            ("Notice::LOG", Value::enum_value("Notice::LOG")),
            ("time:1.5", Value::Timestamp(Timestamp(1_500_000_000))),
            ("1970-01-01T00:00:01Z", Value::Timestamp(Timestamp(1_000_000_000))),
            ("count:7", Value::Count(7)),
            ("int:7", Value::Integer(7)),
            ("real:7", Value::Real(7.0)),
            ("addr:10.0.0.7", addr("10.0.0.7")),
            ("none:", Value::None),
            (
                "{id={orig_h=10.0.0.7, p = 22/tcp}, n=-1}",
                vector![vector![addr("10.0.0.7"), tcp(22)], -1_i64],
            ),
            ("{1, 2, 1}", Value::set([1_u64, 2])),
            ("set:{}", Value::Set(Default::default())),
            ("{\"a\" -> 1, \"b\" -> 2}", table! { "a" => 1_u64, "b" => 2_u64 }),
            ("{\"a\": 22/tcp}", table! { "a" => tcp(22) }),
            ("{\"a\":1}", table! { "a" => 1_u64 }),
            ("[10.0.0.7, [], \"x\"]", vector![addr("10.0.0.7"), vector![], "x"]),
            ("(1, T)", vector![1_u64, true]),
            (r#"{"@data-type":"port","data":"22/tcp"}"#, tcp(22)),
            (r#"[1,{"@data-type":"port","data":"22/tcp"}]"#, vector![1_u64, tcp(22)]),
        ] {
            assert_eq!(read(text), value, "{text}");
        }
        assert!(matches!(read("time:now"), Value::Timestamp(_)));
        assert_eq!(argument("hello world", Words::Strings), Ok(Value::from("hello world")));
        assert_eq!(argument("5", Words::Strings), Ok(Value::Count(5)));
    }

    #[test]
    fn what_has_no_meaning_or_two_is_an_error_that_says_how_to_be_explicit() {
        for (text, hint) in [
            ("hello", "string:hello"),
            ("hello world", "'\"hello world\"'"),
            ("dead::beef", "write addr:dead::beef or enum:dead::beef"),
            ("{}", "write set:{}, table:{} or []"),
            ("adr:10.0.0.7", "did you mean addr:?"),
            ("addr:10.0.0", "is not an address"),
            ("18446744073709551616", "write real:18446744073709551616"),
            ("1e400", "is beyond what a real number can be"),
            ("{1, 2 -> 3}", "all KEY -> VALUE"),
            ("{1, 2", "a comma or }"),
            ("\"open", "a string that has no end"),
            ("[1] 2", "behind the end"),
            (r#"[{"@data-type":"addr","data":"::1"}]"#, "did you mean \"address\"?"),
        ] {
            let error = argument(text, Words::Refused).unwrap_err();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }
}
