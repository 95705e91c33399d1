use std::fmt;
use std::str::FromStr;

use super::NANOS_PER_SECOND;
use crate::text::excerpt;

/// A length of time in nanoseconds; `i64::MAX` means "infinite" by convention.
///
/// The text form is an integer with a unit, the largest of `s`, `ms` and `ns` that is exact. (Known
/// programs cannot read `us`.) On input the number may have a sign, a fraction and an exponent, and
/// the units are `ns`, `us`, `ms`, `s`, `min`, `h` and `d`; what is left below a nanosecond is cut
/// off.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Timespan(pub i64);

impl Timespan {
    /// The value that stands for "infinite".
    pub const INFINITE: Self = Self(i64::MAX);

    /// The number and the unit of the text form.
    pub(crate) const fn number_and_unit(self) -> (i64, &'static str) {
        if self.0 % NANOS_PER_SECOND == 0 {
            (self.0 / NANOS_PER_SECOND, "s")
        } else if self.0 % 1_000_000 == 0 {
            (self.0 / 1_000_000, "ms")
        } else {
            (self.0, "ns")
        }
    }
}

impl fmt::Display for Timespan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, unit) = self.number_and_unit();
        write!(f, "{number}{unit}")
    }
}

/// The text is not a timespan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTimespan {
    /// The text does not follow the grammar.
    #[error(
        "{0:?} is not a timespan (expected a number with one of ns, us, ms, s, min, h, d behind it)"
    )]
    Syntax(String),
    /// The value does not fit 64 bits of nanoseconds.
    #[error("the timespan {0:?} is out of range (at most 9223372036854775807ns, about 292 years)")]
    OutOfRange(String),
}

impl FromStr for Timespan {
    type Err = InvalidTimespan;

    fn from_str(text: &str) -> Result<Self, InvalidTimespan> {
        let syntax = || InvalidTimespan::Syntax(excerpt(text));
        let unsigned = text.trim_start_matches([' ', '\t']);
        let (negative, unsigned) = match unsigned.as_bytes().first() {
            Some(b'-') => (true, &unsigned[1..]),
            Some(b'+') => (false, &unsigned[1..]),
            _ => (false, unsigned),
        };
        let (number, unit) = Decimal::split_off(unsigned).ok_or_else(syntax)?;
        let unit = nanos_per_unit(unit).ok_or_else(syntax)?;
        let magnitude = number.times(unit).map(i128::from);
        magnitude
            .and_then(|nanos| i64::try_from(if negative { -nanos } else { nanos }).ok())
            .map(Self)
            .ok_or_else(|| InvalidTimespan::OutOfRange(excerpt(text)))
    }
}

fn nanos_per_unit(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        "us" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "min" => 60 * 1_000_000_000,
        "h" => 3_600 * 1_000_000_000,
        "d" => 86_400 * 1_000_000_000,
        _ => return None,
    })
}

/// A number in decimal notation of any length, as it stands in the text.
struct Decimal<'a> {
    whole: &'a [u8],
    fraction: &'a [u8],
    exponent: i64,
}

impl<'a> Decimal<'a> {
    /// Takes an unsigned number from the front of the text; returns it and the rest.
    fn split_off(text: &'a str) -> Option<(Self, &'a str)> {
        let (whole, rest) = split_digits(text);
        let (fraction, rest) = rest.strip_prefix('.').map_or(("", rest), split_digits);
        let leading_zero = whole.len() > 1 && whole.starts_with('0');
        if leading_zero || (whole.is_empty() && fraction.is_empty()) {
            return None;
        }
        let (exponent, rest) = match rest.strip_prefix(['e', 'E']) {
            Some(rest) => split_exponent(rest)?,
            None => (0, rest),
        };
        Some((Self { whole: whole.as_bytes(), fraction: fraction.as_bytes(), exponent }, rest))
    }

    /// The product with `unit`, cut off behind the decimal point; nothing if it exceeds 64 bits.
    fn times(&self, unit: u64) -> Option<u64> {
        let len = i64::try_from(self.whole.len() + self.fraction.len()).ok()?;
        let point = i64::try_from(self.whole.len()).ok()?.saturating_add(self.exponent);

        let mut whole = 0_u64;
        for i in 0..point {
            if i >= len && whole == 0 {
                break;
            }
            whole = whole.checked_mul(10)?.checked_add(self.digit(i))?;
        }
        // Horner's rule from the last digit on: cutting off at each step gives the same as cutting
        // off once at the end, however long the fraction is.
        let mut part = 0_u128;
        for i in (point.max(0)..len).rev() {
            part = (u128::from(self.digit(i)) * u128::from(unit) + part) / 10;
        }
        for _ in point..0 {
            if part == 0 {
                break;
            }
            part /= 10;
        }
        whole.checked_mul(unit)?.checked_add(u64::try_from(part).ok()?)
    }

    /// The digit at this place, counted from the first one; zero behind the last one.
    fn digit(&self, i: i64) -> u64 {
        let Ok(i) = usize::try_from(i) else { return 0 };
        let digit = match i.checked_sub(self.whole.len()) {
            Some(i) => self.fraction.get(i),
            None => self.whole.get(i),
        };
        digit.map_or(0, |b| u64::from(b - b'0'))
    }
}

fn split_digits(text: &str) -> (&str, &str) {
    let end = text.bytes().take_while(u8::is_ascii_digit).count();
    text.split_at(end)
}

fn split_exponent(text: &str) -> Option<(i64, &str)> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let (digits, rest) = split_digits(digits);
    if digits.is_empty() {
        return None;
    }
    // Far beyond every exponent that makes a difference to a text that fits into memory.
    const HUGE: i64 = i64::MAX / 4;
    let exponent = digits.parse().unwrap_or(HUGE).min(HUGE);
    Some((if negative { -exponent } else { exponent }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn nanos(text: &str) -> i64 {
        text.parse::<Timespan>().unwrap().0
    }

    #[test]
    fn the_largest_exact_unit_is_shown() {
        for (nanos, text) in [
            (0, "0s"),
            (1, "1ns"),
            (-1, "-1ns"),
            (1_000, "1000ns"),
            (1_500_000, "1500000ns"),
            (2_000_000, "2ms"),
            (1_500_000_000, "1500ms"),
            (-60_000_000_000, "-60s"),
            (86_400_000_000_000, "86400s"),
            (i64::MAX, "9223372036854775807ns"),
            (i64::MIN, "-9223372036854775808ns"),
        ] {
            assert_eq!(Timespan(nanos).to_string(), text);
        }
    }

    #[test]
    fn every_unit_is_read() {
        for (text, expected) in [
            ("7ns", 7),
            ("7us", 7_000),
            ("7ms", 7_000_000),
            ("7s", 7_000_000_000),
            ("7min", 420_000_000_000),
            ("7h", 25_200_000_000_000),
            ("7d", 604_800_000_000_000),
            ("0d", 0),
        ] {
            assert_eq!(nanos(text), expected, "{text}");
        }
    }

    #[test]
    fn signs_fractions_exponents_and_leading_blanks_are_read() {
        for (text, expected) in [
            ("1.5s", 1_500_000_000),
            ("1.s", 1_000_000_000),
            (".5s", 500_000_000),
            ("-.5s", -500_000_000),
            ("+3s", 3_000_000_000),
            (" \t-3s", -3_000_000_000),
            ("1e3ms", 1_000_000_000),
            ("1.25E+1s", 12_500_000_000),
            ("25e-1s", 2_500_000_000),
            ("1e-99999999999999999999s", 0),
            ("0e99999999999999999999s", 0),
            ("0.0000000000000000001e19s", 1_000_000_000),
        ] {
            assert_eq!(nanos(text), expected, "{text}");
        }
    }

    #[test]
    fn nothing_is_lost_to_binary_fractions() {
        assert_eq!(nanos("1.000000001s"), 1_000_000_001);
        assert_eq!(nanos("9007199254740993ns"), 9_007_199_254_740_993);
        assert_eq!(nanos("0.3333333333333333333333333333333333333334h"), 1_200_000_000_000);
        assert_eq!(nanos("0.3333333333333333333333333333333333333333h"), 1_199_999_999_999);
    }

    #[test]
    fn what_is_below_a_nanosecond_is_cut_off_toward_zero() {
        assert_eq!(nanos("1.9ns"), 1);
        assert_eq!(nanos("-1.9ns"), -1);
    }

    #[test]
    fn both_ends_of_the_range_are_read_and_what_is_beyond_is_an_error() {
        assert_eq!(nanos("9223372036854775807ns"), i64::MAX);
        assert_eq!(nanos("9223372036.854775807s"), i64::MAX);
        assert_eq!(nanos("-9223372036854775808ns"), i64::MIN);
        assert_eq!(nanos("106751d"), 106_751 * 86_400_000_000_000);
        for text in [
            "9223372036854775808ns",
            "-9223372036854775809ns",
            "106752d",
            "2562048h",
            "1e30s",
            "-1e30s",
            "1e99999999999999999999ns",
            "99999999999999999999999999999999999999999ns",
        ] {
            let error = text.parse::<Timespan>().unwrap_err();
            assert!(matches!(error, InvalidTimespan::OutOfRange(_)), "{text}: {error}");
        }
    }

    #[test]
    fn anything_else_is_not_a_timespan() {
        for text in [
            "", "s", "5", "1 s", "1m", "1S", "1s ", "\n1s", "01s", "00s", ".s", "-s", "--1s",
            "- 1s", "1es", "1e+s", "1h30min", "1_000s", "0x1s", "infs", "nans", "1s\0", "1\u{b5}s",
        ] {
            let error = text.parse::<Timespan>().unwrap_err();
            assert!(matches!(error, InvalidTimespan::Syntax(_)), "{text:?}: {error}");
        }
    }

    proptest! {
        #[test]
        fn timespans_read_back_as_themselves(nanos: i64, scale in 0_u32..10) {
            let span = Timespan(nanos / 10_i64.pow(scale) * 10_i64.pow(scale));
            prop_assert_eq!(span.to_string().parse(), Ok(span));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[ +-]?[0-9.e+-]{0,30}(ns|us|ms|s|min|h|d)?") {
            let _ = text.parse::<Timespan>();
        }
    }
}
