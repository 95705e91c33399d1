//! Names in certificates, as people and access rules see them.
//!
//! Whoever presents a certificate chose what is in it, and a CA may have looked at only a part of
//! that. So no two different names are shown alike, and nothing in them can pass for something
//! else.

use data_encoding::HEXUPPER;
use std::fmt::Write;
use x509_parser::asn1_rs::{Any, BmpString, Tag};
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// How much of a name is shown.
const LENGTH: usize = 256;

/// The attributes in their order, as in `C=NZ, O=Example, CN=node`, escaped as RFC 4514 has it.
/// Empty if there are none.
pub(crate) fn distinguished(name: &X509Name<'_>) -> String {
    let relative = |attributes: Vec<String>| attributes.join(" + ");
    let parts = name.iter().map(|rdn| relative(rdn.iter().map(attribute).collect()));
    parts.collect::<Vec<_>>().join(", ")
}

fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let kind = attribute.attr_type();
    let kind = oid2abbrev(kind, oid_registry()).map_or_else(|_| kind.to_id_string(), str::to_owned);
    let value = attribute.attr_value();
    let text = match text(value) {
        Some(text) => escaped(&text),
        None => format!("#{}", HEXUPPER.encode_display(value.data)),
    };
    format!("{kind}={text}")
}

/// The text in a value, if it is one.
fn text(value: &Any<'_>) -> Option<String> {
    match value.tag() {
        Tag::BmpString => BmpString::try_from(value.clone()).ok().map(|text| text.string()),
        Tag::NumericString
        | Tag::VisibleString
        | Tag::PrintableString
        | Tag::GeneralString
        | Tag::T61String
        | Tag::Utf8String
        | Tag::Ia5String => std::str::from_utf8(value.data).ok().map(str::to_owned),
        _ => None,
    }
}

/// The text with everything escaped that separates names, or that terminals and browsers do not
/// show as what it is.
pub(crate) fn escaped(text: &str) -> String {
    let last = text.chars().count().saturating_sub(1);
    let mut escaped = String::with_capacity(text.len());
    for (at, c) in text.chars().enumerate() {
        match c {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' => escaped.extend(['\\', c]),
            '#' if at == 0 => escaped.extend(['\\', c]),
            ' ' if at == 0 || at == last => escaped.extend(['\\', c]),
            c if is_invisible(c) => {
                for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                    // Writing to a string does not fail.
                    let _ = write!(escaped, "\\{byte:02X}");
                }
            }
            c => escaped.push(c),
        }
    }
    escaped
}

/// Control characters, and those that change how others are shown: their direction above all.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || c.is_whitespace() && c != ' '
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// The name if it is not too long, or else its start and what tells it from others.
pub(crate) fn shortened(name: String, distinction: impl FnOnce() -> String) -> String {
    if name.chars().count() <= LENGTH {
        return name;
    }
    let start: String = name.chars().take(LENGTH).collect();
    format!("{start}... ({})", distinction())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_separates_names_and_what_does_not_show_is_escaped() {
        for (text, shown) in [
            ("node.example", "node.example"),
            ("Zürich 3", "Zürich 3"),
            ("x, CN=root", "x\\, CN=root"),
            ("a + b\\", "a \\+ b\\\\"),
            (" #a# ", "\\ #a#\\ "),
            ("#", "\\#"),
            ("a\nb\u{1b}[31m", "a\\0Ab\\1B[31m"),
            ("\u{202e}toor", "\\E2\\80\\AEtoor"),
        ] {
            assert_eq!(escaped(text), shown);
        }
    }

    #[test]
    fn a_name_that_is_cut_says_what_tells_it_from_others() {
        let long = |end: &str| "a".repeat(LENGTH) + end;
        assert_eq!(shortened(long(""), || "key 1".to_owned()), long(""));
        assert_eq!(shortened(long("b"), || "key 1".to_owned()), long("... (key 1)"));
    }
}
