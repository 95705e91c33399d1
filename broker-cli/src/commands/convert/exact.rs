//! JSON that says exactly which bytes a value came from, where its type and data do not.

use super::{read_hex, read_json, write_hex};
use broker::data::{BStr, View, json};
use serde::Deserialize;

/// The member with the exact bytes, as hexadecimal digits.
const MEMBER: &str = "@binary";

#[derive(Deserialize)]
struct Beside {
    #[serde(rename = "@binary")]
    bytes: Option<String>,
}

/// Appends a value or data message as JSON. If reading it would give other bytes, the right ones
/// are in a member `@binary`.
pub(super) fn write(topic: Option<&BStr>, view: View<'_>, out: &mut Vec<u8>) {
    let start = out.len();
    match topic {
        Some(topic) => json::encode_data_message(topic, &view, out),
        None => json::write_value(&view, out),
    }
    let written = out.get(start..).unwrap_or_default();
    if read_json(written).is_ok_and(|read| read.bytes == view.raw()) {
        return;
    }
    // In front of the brace that closes the object.
    out.pop();
    out.extend_from_slice(format!(",\"{MEMBER}\":\"").as_bytes());
    write_hex(view.raw(), out);
    out.extend_from_slice(b"\"}");
}

/// The bytes that the line has in a member `@binary`, if it has one. They have to stand for the
/// value that the rest of the line says, for which `bytes` were read.
pub(super) fn bytes_beside(line: &[u8], bytes: &[u8]) -> Result<Option<Vec<u8>>, String> {
    let quoted = format!("\"{MEMBER}\"");
    if !line.windows(quoted.len()).any(|window| window == quoted.as_bytes()) {
        return Ok(None);
    }
    let beside: Beside = serde_json::from_slice(line)
        .map_err(|error| format!("{MEMBER} cannot be looked at: {error}"))?;
    let Some(digits) = beside.bytes else { return Ok(None) };
    let exact = read_hex(digits.as_bytes()).map_err(|reason| format!("{reason} at $.{MEMBER}"))?;
    let view = View::parse(&exact).map_err(|error| format!("{error} at $.{MEMBER}"))?;
    // What JSON and back does not keep is no difference.
    let mut text = Vec::new();
    json::write_value(&view, &mut text);
    let same = match (read_json(&text), View::parse(bytes)) {
        (Ok(reread), Ok(said)) => View::parse(&reread.bytes).is_ok_and(|read| read == said),
        _ => false,
    };
    if !same {
        return Err(format!("{MEMBER} stands for another value than @data-type and data"));
    }
    Ok(Some(exact))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json_of(digits: &str) -> String {
        let bytes = read_hex(digits.as_bytes()).unwrap();
        let mut out = Vec::new();
        write(None, View::parse(&bytes).unwrap(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn bytes_are_beside_a_value_only_where_the_value_does_not_tell_them() {
        assert_eq!(json_of("0101"), r#"{"@data-type":"boolean","data":true}"#);
        assert_eq!(json_of("0107"), r#"{"@data-type":"boolean","data":true,"@binary":"0107"}"#);
        let unsorted = json_of("0c02 0101 0100");
        assert!(!unsorted.contains("@binary"), "the order of the elements is in the text");
        let mut message = Vec::new();
        write(Some(BStr::new("t")), View::parse(&[1, 7]).unwrap(), &mut message);
        let expected =
            br#"{"type":"data-message","topic":"t","@data-type":"boolean","data":true,"@binary":"0107"}"#;
        assert_eq!(message, expected);
    }

    #[test]
    fn bytes_beside_a_value_count_if_they_stand_for_it() {
        let beside = |line: &str| {
            let bytes = read_json(line.as_bytes()).unwrap().bytes;
            bytes_beside(line.as_bytes(), &bytes)
        };
        for digits in ["0107", "058000", "047ff8000000000000", "040000000000000001"] {
            let bytes = read_hex(digits.as_bytes()).unwrap();
            assert_eq!(beside(&json_of(digits)), Ok(Some(bytes)), "{digits}");
        }
        assert_eq!(beside(r#"{"@data-type":"string","data":"\"@binary\""}"#), Ok(None));
        assert_eq!(beside(r#"{"@data-type":"string","data":"@binary"}"#), Ok(None));
        for (line, reason) in [
            (r#"{"@data-type":"boolean","data":true,"@binary":"0100"}"#, "another value"),
            (r#"{"@data-type":"boolean","data":true,"@binary":"01"}"#, "at $.@binary"),
            (r#"{"@data-type":"boolean","data":true,"@binary":"x"}"#, "at $.@binary"),
            (r#"{"@data-type":"boolean","data":true,"@binary":7}"#, "cannot be looked at"),
        ] {
            let error = beside(line).unwrap_err();
            assert!(error.contains(reason), "{line} gave {error:?}");
        }
    }
}
