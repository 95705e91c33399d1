//! Zeek's messages and values as text for people: `NAME(args)`, with quoted strings and readable
//! times. Arguments can be given to `pub --event` as they are shown.

use crate::output::text::push;
use broker::data::zeek::ZeekMessageView;
use broker::data::zeek::rows::{row_of_write, write_json_row};
use broker::data::{Timespan, Timestamp, Value, View};
use std::io::Write;

/// Appends a message of Zeek.
pub(crate) fn message(message: &ZeekMessageView<'_>, out: &mut Vec<u8>) {
    match message {
        ZeekMessageView::Event(event) => {
            push(event.name(), out);
            match event.args().to_value() {
                // The parentheses of the vector are those of the arguments.
                args @ Value::Vector(_) => value(&args, out),
                _ => out.extend_from_slice(b"()"),
            }
        }
        ZeekMessageView::LogCreate(create) => {
            out.extend_from_slice(b"log create ");
            push(create.stream, out);
            out.push(b' ');
            value(&create.fields.to_value(), out);
        }
        ZeekMessageView::LogWrite(write) => {
            out.extend_from_slice(b"log write ");
            push(write.stream, out);
            out.push(b' ');
            match row_of_write(write.record) {
                Ok(row) => write_json_row(write.path, &[], &row, out),
                Err(_) => value(&Value::string(write.record), out),
            }
        }
        ZeekMessageView::IdentifierUpdate(update) => {
            push(update.identifier, out);
            out.extend_from_slice(b" = ");
            value(&update.value.to_value(), out);
        }
        ZeekMessageView::Batch(batch) => {
            let _ = write!(out, "batch of {}", batch.len());
            for (at, item) in batch.messages().enumerate() {
                out.extend_from_slice(if at == 0 { b": " } else { b"; " });
                self::message(&item, out);
            }
        }
    }
}

/// Appends what was received under a topic.
pub(crate) fn payload(view: View<'_>, out: &mut Vec<u8>) {
    match ZeekMessageView::parse(view) {
        Ok(found) => message(&found, out),
        Err(_) => value(&view.to_value(), out),
    }
}

/// Appends a value.
pub(crate) fn value(shown: &Value, out: &mut Vec<u8>) {
    // Writing to a vector does not fail.
    let _ = match shown {
        Value::None => write!(out, "nil"),
        Value::Boolean(true) => write!(out, "T"),
        Value::Boolean(false) => write!(out, "F"),
        Value::Real(real) => write!(out, "{real:?}"),
        Value::String(text) => {
            quoted(text, out);
            Ok(())
        }
        Value::Timestamp(time) => write!(out, "{}", instant(*time)),
        Value::Timespan(span) => write!(out, "{}", duration(*span)),
        Value::Enum(label) => {
            push(&label.0, out);
            Ok(())
        }
        Value::Set(set) => {
            list(*b"{}", set.iter(), out, value);
            Ok(())
        }
        Value::Table(table) => {
            list(*b"{}", table.iter(), out, |(key, entry), out| {
                value(key, out);
                out.extend_from_slice(b" -> ");
                value(entry, out);
            });
            Ok(())
        }
        Value::Vector(vector) => {
            list(*b"()", vector.iter(), out, value);
            Ok(())
        }
        scalar => write!(out, "{scalar}"),
    };
}

fn list<T>(
    [open, close]: [u8; 2],
    items: impl Iterator<Item = T>,
    out: &mut Vec<u8>,
    item_into: impl Fn(T, &mut Vec<u8>),
) {
    out.push(open);
    for (at, item) in items.enumerate() {
        if at > 0 {
            out.extend_from_slice(b", ");
        }
        item_into(item, out);
    }
    out.push(close);
}

/// A string in quotes; quotes and backslashes in it have a backslash before them.
fn quoted(text: &[u8], out: &mut Vec<u8>) {
    let mut escaped = Vec::with_capacity(text.len());
    for byte in text {
        if matches!(byte, b'"' | b'\\') {
            escaped.push(b'\\');
        }
        escaped.push(*byte);
    }
    out.push(b'"');
    push(&escaped, out);
    out.push(b'"');
}

/// A time in UTC, as in `2026-11-30T22:32:30.98Z`.
pub(crate) fn instant(time: Timestamp) -> String {
    let text = time.to_string();
    match text.split_once('.') {
        Some((seconds, fraction)) => match fraction.trim_end_matches('0') {
            "" => format!("{seconds}Z"),
            fraction => format!("{seconds}.{fraction}Z"),
        },
        None => format!("{text}Z"),
    }
}

/// A length of time in the largest unit up to seconds, as in `1.5s` or `250ms`.
fn duration(span: Timespan) -> String {
    let nanos = span.0.unsigned_abs();
    let sign = if span.0 < 0 { "-" } else { "" };
    let (unit, digits, name) = match nanos {
        0 => return "0s".to_owned(),
        1..1_000 => (1, 0, "ns"),
        1_000..1_000_000 => (1_000, 3, "us"),
        1_000_000..1_000_000_000 => (1_000_000, 6, "ms"),
        _ => (1_000_000_000, 9, "s"),
    };
    let fraction = match nanos % unit {
        0 => String::new(),
        rest => format!(".{rest:0digits$}").trim_end_matches('0').to_owned(),
    };
    format!("{sign}{}{fraction}{name}", nanos / unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use broker::data::{table, vector};

    fn text(shown: Value) -> String {
        let mut out = Vec::new();
        payload(View::parse(&shown.encode()).unwrap(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn one_string_is_told_from_two_and_times_are_readable() {
        assert_eq!(text(vector!["a, b"]), "(\"a, b\")");
        assert_eq!(text(vector!["a", "b"]), "(\"a\", \"b\")");
        assert_eq!(text(vector!["\"\\\n"]), r#"("\"\\\n")"#);
        assert_eq!(text(table! { "k" => 1.5 }), "{\"k\" -> 1.5}");
        let times = vector![
            Timestamp(1_796_077_950_980_000_000),
            Timestamp(0),
            Timespan(1_500_000_000),
            Timespan(-250_000_000),
            Timespan(1_050),
            Timespan(0)
        ];
        let expected = "(2026-11-30T22:32:30.98Z, 1970-01-01T00:00:00Z, 1.5s, -250ms, 1.05us, 0s)";
        assert_eq!(text(times), expected);
    }

    #[test]
    fn events_are_calls_and_what_is_shown_can_be_given_as_an_argument() {
        let event = broker::data::zeek::ZeekEvent::new("Notice::x").arg("a").arg(5_u64);
        assert_eq!(text(event.into()), "Notice::x(\"a\", 5)");
        let args = vector![
            Timestamp(1_796_077_950_980_000_000),
            Timespan(1_500_000_000),
            Value::set(["x", "y"]),
            table! { 1_u64 => "z" },
            -5_i64,
            1e300,
            true,
            Value::enum_value("Notice::LOG")
        ];
        let mut out = Vec::new();
        value(&args, &mut out);
        let shown = String::from_utf8(out).unwrap();
        assert_eq!(
            super::super::argument(&shown, super::super::Words::Refused),
            Ok(args),
            "{shown}"
        );
    }
}
