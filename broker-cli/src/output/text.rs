//! The form for people: one line each, and nothing in it that a terminal would act on.

use broker::data::{BStr, Value};
use std::io::Write;

/// The text with control characters in the form of escapes.
pub(crate) fn printable(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    push(text.as_bytes(), &mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// Appends bytes with control characters in the form of escapes; what is not UTF-8 stays as it is.
pub(crate) fn push(bytes: &[u8], out: &mut Vec<u8>) {
    for chunk in bytes.utf8_chunks() {
        for part in chunk.valid().split_inclusive(is_acted_on) {
            let last = part.chars().next_back().filter(|c| is_acted_on(*c));
            let plain = part.len() - last.map_or(0, char::len_utf8);
            out.extend_from_slice(&part.as_bytes()[..plain]);
            if let Some(control) = last {
                // Writing to a vector does not fail.
                let _ = write!(out, "{}", control.escape_default());
            }
        }
        out.extend_from_slice(chunk.invalid());
    }
}

/// Control characters, and those that change the direction of the text around them.
fn is_acted_on(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Appends a data message: the topic, then the value as the C++ Broker renders it.
pub(crate) fn message(topic: &BStr, value: &Value, out: &mut Vec<u8>) {
    push(topic, out);
    out.extend_from_slice(b": ");
    self::value(value, out);
}

/// Appends a value as the C++ Broker renders it, but for control characters.
pub(crate) fn value(value: &Value, out: &mut Vec<u8>) {
    let mut text = Vec::new();
    value.text_into(&mut text);
    push(&text, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_acts_on_gets_through() {
        for (text, shown) in [
            ("plain \u{1f980} text", "plain \u{1f980} text"),
            ("a\nb\tc\r", "a\\nb\\tc\\r"),
            ("\u{1b}[2J", "\\u{1b}[2J"),
            ("\u{9b}1m\u{7f}", "\\u{9b}1m\\u{7f}"),
            ("\u{202e}txt", "\\u{202e}txt"),
        ] {
            assert_eq!(printable(text), shown);
        }
        let mut out = Vec::new();
        push(b"a\xff\n", &mut out);
        assert_eq!(out, b"a\xff\\n");
    }

    #[test]
    fn a_message_is_its_topic_and_its_value() {
        let mut out = Vec::new();
        message(BStr::new("/a"), &Value::Vector(vec![Value::from("x\n"), true.into()]), &mut out);
        assert_eq!(out, b"/a: (x\\n, T)");
    }
}
