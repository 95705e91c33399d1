//! Bytes as hexadecimal digits.

/// The bytes that digits stand for; white space between them does not matter.
pub(super) fn read(line: &[u8]) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(line.len() / 2);
    let mut high = None;
    for (at, &byte) in line.iter().enumerate() {
        if byte.is_ascii_whitespace() {
            continue;
        }
        let digit = char::from(byte).to_digit(16).ok_or_else(|| {
            let found = byte.escape_ascii();
            format!("expected a hexadecimal digit, found '{found}' (byte {at})")
        })?;
        high = match high {
            None => Some(digit),
            Some(high) => {
                bytes.push((high << 4 | digit) as u8);
                None
            }
        };
    }
    match high {
        None => Ok(bytes),
        Some(_) => Err("the number of hexadecimal digits is odd".to_owned()),
    }
}

/// Appends the digits of bytes.
pub(super) fn write(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| DIGITS[usize::from(nibble & 15)];
    out.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_of_either_case_are_read_and_written_in_lower_case() {
        let bytes = read(b" 0aFF 1 0\t").unwrap();
        assert_eq!(bytes, [0x0a, 0xff, 0x10]);
        let mut out = Vec::new();
        write(&bytes, &mut out);
        assert_eq!(out, b"0aff10");
    }

    #[test]
    fn what_is_not_hexadecimal_is_refused_with_its_place() {
        let error = read(b"00 0g").unwrap_err();
        assert_eq!(error, "expected a hexadecimal digit, found 'g' (byte 4)");
        assert!(read(b"000").unwrap_err().contains("odd"));
        assert!(read(b"0x00").is_err());
    }
}
