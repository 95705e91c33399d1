use bstr::ByteSlice;

pub(super) const UNTERMINATED: &str = "a string without its closing quote";

/// Reads a string whose text begins behind the opening quote and whose first escape is at `escape`.
///
/// Returns the bytes and the length of the text including the closing quote; on failure the
/// offset of the bad part and what is wrong with it.
///
/// A `\u` escape for half of a surrogate pair that stands alone, which has no UTF-8 form, becomes
/// the three bytes that UTF-8 would have for its number, so that nothing is lost or merged.
pub(super) fn unescape(
    text: &[u8],
    escape: usize,
) -> Result<(Vec<u8>, usize), (usize, &'static str)> {
    let mut out = Vec::with_capacity(text.len().min(2 * escape + 32));
    let mut pos = 0;
    let mut next = escape;
    loop {
        out.extend_from_slice(&text[pos..next]);
        if text[next] == b'"' {
            return Ok((out, next + 1));
        }
        pos = one_escape(text, next, &mut out)?;
        next = match text.get(pos..).and_then(|rest| rest.find_byteset(b"\"\\")) {
            Some(len) => pos + len,
            None => return Err((text.len(), UNTERMINATED)),
        };
    }
}

/// Reads the escape at `pos`; returns where the text goes on.
fn one_escape(text: &[u8], pos: usize, out: &mut Vec<u8>) -> Result<usize, (usize, &'static str)> {
    let byte = match text.get(pos + 1) {
        Some(b @ (b'"' | b'\\' | b'/')) => *b,
        Some(b'b') => 0x08,
        Some(b'f') => 0x0c,
        Some(b'n') => b'\n',
        Some(b'r') => b'\r',
        Some(b't') => b'\t',
        // Not JSON, but how other implementations write it.
        Some(b'v') => 0x0b,
        Some(b'u') => return unicode(text, pos, out),
        Some(_) => return Err((pos, "an escape that JSON does not have")),
        None => return Err((text.len(), UNTERMINATED)),
    };
    out.push(byte);
    Ok(pos + 2)
}

fn unicode(text: &[u8], pos: usize, out: &mut Vec<u8>) -> Result<usize, (usize, &'static str)> {
    let unit = unit(text, pos).ok_or((pos, "\\u without four hexadecimal digits"))?;
    if let 0xd800..=0xdbff = unit
        && let Some(low) = second_half(text, pos + 6)
    {
        push(out, 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00));
        return Ok(pos + 12);
    }
    push(out, unit);
    Ok(pos + 6)
}

/// The number in the `\uXXXX` escape at `pos`.
fn unit(text: &[u8], pos: usize) -> Option<u32> {
    let digits = text.get(pos + 2..pos + 6)?;
    digits.iter().try_fold(0, |number, &b| Some(number * 16 + char::from(b).to_digit(16)?))
}

/// The number of the `\uXXXX` escape at `pos` if it is one and the second half of a pair.
fn second_half(text: &[u8], pos: usize) -> Option<u32> {
    text.get(pos..)?.starts_with(b"\\u").then_some(())?;
    unit(text, pos).filter(|unit| (0xdc00..=0xdfff).contains(unit))
}

/// Appends a code point in UTF-8, halves of surrogate pairs like any other number.
fn push(out: &mut Vec<u8>, code: u32) {
    match char::from_u32(code) {
        Some(c) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        None => out.extend_from_slice(&[
            0xe0 | (code >> 12) as u8,
            0x80 | (code >> 6 & 0x3f) as u8,
            0x80 | (code & 0x3f) as u8,
        ]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<u8>, (usize, &'static str)> {
        let text = format!("{text}\" and more");
        let escape = text.find('\\').unwrap();
        let (bytes, len) = unescape(text.as_bytes(), escape)?;
        assert_eq!(&text[len - 1..], "\" and more");
        Ok(bytes)
    }

    #[test]
    fn every_escape_stands_for_its_character() {
        assert_eq!(read(r#"a\"\\\/\b\f\n\r\tz"#), Ok(b"a\"\\/\x08\x0c\n\r\tz".to_vec()));
        assert_eq!(read(r"\u0000\u0041\u20AC\u20ac"), Ok("\0A€€".into()));
        assert_eq!(read(r"\v"), Ok(b"\x0b".to_vec()));
    }

    #[test]
    fn pairs_of_surrogates_are_one_character() {
        assert_eq!(read(r"\ud83e\udd80"), Ok("🦀".into()));
        assert_eq!(read(r"\uD83E\uDD80!"), Ok("🦀!".into()));
    }

    #[test]
    fn halves_of_surrogate_pairs_are_kept_as_bytes() {
        assert_eq!(read(r"\udc00"), Ok(b"\xed\xb0\x80".to_vec()));
        assert_eq!(read(r"\ud800"), Ok(b"\xed\xa0\x80".to_vec()));
        assert_eq!(read(r"\ud800\u0041"), Ok(b"\xed\xa0\x80A".to_vec()));
        assert_eq!(
            read(r"\ud800\ud83e\udd80"),
            Ok([b"\xed\xa0\x80".as_slice(), "🦀".as_bytes()].concat())
        );
        assert_eq!(read(r"\ud800\n"), Ok(b"\xed\xa0\x80\n".to_vec()));
    }

    #[test]
    fn other_escapes_are_errors_and_say_where() {
        for text in [r"ab\x", r"ab\u12", r"ab\u12g4", r"ab\u+123", r"ab\'", r"ab\0"] {
            assert_eq!(read(text).unwrap_err().0, 2, "{text}");
        }
        assert_eq!(unescape(b"ab\\", 2).unwrap_err(), (3, UNTERMINATED));
        assert_eq!(unescape(b"ab\\ncd", 2).unwrap_err(), (6, UNTERMINATED));
    }
}
