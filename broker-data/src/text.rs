//! The text rendering of values: for people and logs, and of the same form in every implementation.
//! It has no parser and no quoting.

use std::fmt;
use std::io::Write;

use bstr::ByteSlice;

use super::Value;

impl Value {
    /// Appends the text rendering: nil as `nil`, booleans as `T` and `F`, reals with six decimals,
    /// times in nanoseconds (`1500ns`), sets as `{a, b}`, tables as `{k -> v}`, vectors as
    /// `(a, b)`, strings and enum values as their bytes, whatever these are.
    pub fn text_into(&self, out: &mut Vec<u8>) {
        match self {
            Self::None => out.extend_from_slice(b"nil"),
            Self::Boolean(true) => out.push(b'T'),
            Self::Boolean(false) => out.push(b'F'),
            Self::Count(n) => show(out, n),
            Self::Integer(n) => show(out, n),
            Self::Real(x) => real(out, *x),
            Self::String(bytes) => out.extend_from_slice(bytes),
            Self::Address(address) => show(out, address),
            Self::Subnet(subnet) => show(out, subnet),
            Self::Port(port) => show(out, port),
            Self::Timestamp(time) => show(out, format_args!("{}ns", time.0)),
            Self::Timespan(span) => show(out, format_args!("{}ns", span.0)),
            Self::Enum(label) => out.extend_from_slice(&label.0),
            Self::Set(set) => list(out, *b"{}", set, |out, element| element.text_into(out)),
            Self::Table(table) => list(out, *b"{}", table, |out, (key, value)| {
                key.text_into(out);
                out.extend_from_slice(b" -> ");
                value.text_into(out);
            }),
            Self::Vector(vector) => {
                list(out, *b"()", vector, |out, element| element.text_into(out))
            }
        }
    }
}

impl fmt::Display for Value {
    /// The text rendering of [`Value::text_into`], with U+FFFD in place of what is not UTF-8.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::new();
        self.text_into(&mut text);
        f.pad(&text.to_str_lossy())
    }
}

fn show(out: &mut Vec<u8>, value: impl fmt::Display) {
    // Writing to a vector does not fail.
    let _ = write!(out, "{value}");
}

/// What `printf` makes of `%f`.
fn real(out: &mut Vec<u8>, x: f64) {
    match (x.is_nan(), x.is_sign_negative()) {
        (true, false) => out.extend_from_slice(b"nan"),
        (true, true) => out.extend_from_slice(b"-nan"),
        (false, _) => show(out, format_args!("{x:.6}")),
    }
}

fn list<T>(
    out: &mut Vec<u8>,
    [open, close]: [u8; 2],
    items: impl IntoIterator<Item = T>,
    item_into: impl Fn(&mut Vec<u8>, T),
) {
    out.push(open);
    for (i, item) in items.into_iter().enumerate() {
        if i > 0 {
            out.extend_from_slice(b", ");
        }
        item_into(out, item);
    }
    out.push(close);
}

/// As much of a refused text as belongs into an error message.
pub(crate) fn excerpt(text: &str) -> String {
    const LIMIT: usize = 48;
    match text.char_indices().nth(LIMIT) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{EnumValue, Port, Protocol, Timespan};

    fn text(value: Value) -> String {
        value.to_string()
    }

    #[test]
    fn reals_are_shown_with_six_decimals() {
        for (real, expected) in [
            (1.0, "1.000000"),
            (-0.0, "-0.000000"),
            (1e-7, "0.000000"),
            (0.000_000_5, "0.000000"),
            (0.000_001_5, "0.000002"),
            (1e21, "1000000000000000000000.000000"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN.copysign(1.0), "nan"),
            (f64::NAN.copysign(-1.0), "-nan"),
        ] {
            assert_eq!(text(Value::Real(real)), expected);
        }
    }

    #[test]
    fn containers_are_shown_with_their_brackets() {
        assert_eq!(text(Value::Vector(vec![])), "()");
        assert_eq!(text(Value::Set(Default::default())), "{}");
        assert_eq!(text(Value::Table(Default::default())), "{}");
        let vector = vec![
            Value::None,
            Value::Boolean(true),
            Value::Timespan(Timespan(-5)),
            Value::Port(Port::new(80, Protocol::Tcp)),
            Value::Vector(vec![Value::Enum(EnumValue("A::B".into()))]),
        ];
        assert_eq!(text(Value::Vector(vector)), "(nil, T, -5ns, 80/tcp, (A::B))");
    }

    #[test]
    fn bytes_are_kept_and_shown_lossily_only_by_display() {
        let value = Value::String(vec![b'a', 0xff, 0].into());
        let mut out = Vec::new();
        value.text_into(&mut out);
        assert_eq!(out, b"a\xff\0");
        assert_eq!(value.to_string(), "a\u{fffd}\0");
    }
}
