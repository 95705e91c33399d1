/// A number as it stands in the text.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Number<'a> {
    text: &'a str,
    /// Without fraction and exponent.
    is_integer: bool,
    /// The number without its sign, if it is an integer of at most 64 bits.
    magnitude: Option<u64>,
}

impl<'a> Number<'a> {
    /// Takes a number by the grammar of RFC 8259 from the front of the text.
    ///
    /// On failure returns the offset of the byte that does not belong there.
    #[inline]
    pub(super) fn split_off(text: &'a [u8]) -> Result<Self, usize> {
        let start = usize::from(text.first() == Some(&b'-'));
        let mut end = digits(text, start)?;
        if text[start] == b'0' && end > start + 1 {
            return Err(start + 1);
        }
        let whole = end;
        if text.get(end) == Some(&b'.') {
            end = digits(text, end + 1)?;
        }
        if let Some(b'e' | b'E') = text.get(end) {
            let signed = matches!(text.get(end + 1), Some(b'+' | b'-'));
            end = digits(text, end + 1 + usize::from(signed))?;
        }
        if text.get(end).is_some_and(|b| b.is_ascii_alphanumeric() || b"+-.".contains(b)) {
            return Err(end);
        }
        let is_integer = end == whole;
        Ok(Self {
            text: std::str::from_utf8(&text[..end]).unwrap_or_default(),
            is_integer,
            magnitude: if is_integer { magnitude(&text[start..end]) } else { None },
        })
    }

    /// The number as it was written.
    pub(super) fn text(&self) -> &'a str {
        self.text
    }

    pub(super) fn is_integer(&self) -> bool {
        self.is_integer
    }

    pub(super) fn is_negative(&self) -> bool {
        self.text.starts_with('-')
    }

    /// The number if it is written as an integer (`1.0` is not) and fits.
    pub(super) fn to_count(self) -> Option<u64> {
        self.magnitude.filter(|&n| n == 0 || !self.is_negative())
    }

    /// The number if it is written as an integer (`1.0` is not) and fits.
    pub(super) fn to_integer(self) -> Option<i64> {
        let magnitude = self.magnitude?;
        if self.is_negative() {
            0_i64.checked_sub_unsigned(magnitude)
        } else {
            i64::try_from(magnitude).ok()
        }
    }

    /// The real next to the number; nothing if it is beyond the largest one.
    pub(super) fn to_real(self) -> Option<f64> {
        self.text.parse().ok().filter(|real: &f64| real.is_finite())
    }
}

/// The end of the digits from `start` on, of which there must be one.
fn digits(text: &[u8], start: usize) -> Result<usize, usize> {
    let rest = text.get(start..).unwrap_or_default();
    match rest.iter().take_while(|b| b.is_ascii_digit()).count() {
        0 => Err(start),
        count => Ok(start + count),
    }
}

fn magnitude(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |number, digit| {
        number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number<'_> {
        Number::split_off(text.as_bytes()).unwrap()
    }

    #[test]
    fn integers_are_exact_to_the_ends_of_their_ranges() {
        assert_eq!(number("18446744073709551615").to_count(), Some(u64::MAX));
        assert_eq!(number("18446744073709551616").to_count(), None);
        assert_eq!(number("9223372036854775807").to_integer(), Some(i64::MAX));
        assert_eq!(number("9223372036854775808").to_integer(), None);
        assert_eq!(number("-9223372036854775808").to_integer(), Some(i64::MIN));
        assert_eq!(number("-9223372036854775809").to_integer(), None);
        assert_eq!(number("-1").to_count(), None);
        assert_eq!(number("-0").to_count(), Some(0));
    }

    #[test]
    fn a_fraction_or_an_exponent_makes_no_integer() {
        for text in ["1.0", "1e2", "0.0", "-0.0", "1E+0"] {
            assert!(!number(text).is_integer(), "{text}");
            assert_eq!((number(text).to_count(), number(text).to_integer()), (None, None));
        }
    }

    #[test]
    fn every_number_in_range_is_a_correctly_rounded_real() {
        assert_eq!(number("5").to_real(), Some(5.0));
        assert_eq!(number("-0").to_real().map(f64::to_bits), Some((-0.0_f64).to_bits()));
        assert_eq!(number("0.1").to_real(), Some(0.1));
        assert_eq!(number("100000000000000000000").to_real(), Some(1e20));
        assert_eq!(number("1.7976931348623157e308").to_real(), Some(f64::MAX));
        assert_eq!(number("5e-324").to_real(), Some(5e-324));
        assert_eq!(number("1e-400").to_real(), Some(0.0));
        assert_eq!(number("1e400").to_real(), None);
        assert_eq!(number(&"9".repeat(400)).to_real(), None);
    }

    #[test]
    fn the_number_ends_where_the_text_goes_on() {
        for text in ["1,", "1]", "1}", "1 ", "1\n", "1"] {
            assert_eq!(number(text).text(), "1", "{text:?}");
        }
    }

    #[test]
    fn anything_outside_of_the_json_grammar_is_refused() {
        for text in [
            "", "-", "+1", ".5", "1.", "1.e5", "01", "00", "-01", "08", "0x1F", "0b1", "1e", "1e+",
            "1.2.3", "1..2", "- 1", "1-", "1a", "--1", "00.5",
        ] {
            assert!(Number::split_off(text.as_bytes()).is_err(), "{text:?}");
        }
    }
}
