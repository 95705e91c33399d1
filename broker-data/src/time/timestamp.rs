use std::fmt;
use std::str::FromStr;

use super::NANOS_PER_SECOND;
use super::calendar::{date_of, day_of, days_in_month};
use crate::text::excerpt;

/// Nanoseconds since 1970-01-01T00:00:00Z, negative before.
///
/// The text form is `YYYY-MM-DDThh:mm:ss.fff` in UTC without a suffix, with three, six or nine
/// fraction digits, the fewest that are exact. On input the fraction may be missing or have any
/// number of digits up to nine, and an offset (`Z`, `+hh:mm`, `+hhmm`, `+hh`) may follow; without
/// one the text is UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Calls `use_text` with the text form.
    pub(crate) fn with_text<T>(self, use_text: impl FnOnce(&[u8]) -> T) -> T {
        let seconds = self.0.div_euclid(NANOS_PER_SECOND);
        let nanos = self.0.rem_euclid(NANOS_PER_SECOND);
        let (year, month, day) = date_of(seconds.div_euclid(SECONDS_PER_DAY));
        let second = seconds.rem_euclid(SECONDS_PER_DAY);

        let mut text = *b"0000-00-00T00:00:00.000000000";
        put(&mut text[0..4], year);
        put(&mut text[5..7], month);
        put(&mut text[8..10], day);
        put(&mut text[11..13], second / 3600);
        put(&mut text[14..16], second / 60 % 60);
        put(&mut text[17..19], second % 60);
        let (end, fraction) = match nanos {
            n if n % 1_000_000 == 0 => (23, n / 1_000_000),
            n if n % 1_000 == 0 => (26, n / 1_000),
            n => (29, n),
        };
        put(&mut text[20..end], fraction);
        use_text(&text[..end])
    }
}

/// Fills `digits` with the last decimal digits of `number`.
fn put(digits: &mut [u8], mut number: i64) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

const SECONDS_PER_DAY: i64 = 86_400;

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with_text(|text| f.pad(std::str::from_utf8(text).map_err(|_| fmt::Error)?))
    }
}

/// The text is not a timestamp.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTimestamp {
    /// The text does not follow the grammar.
    #[error(
        "{0:?} is not a timestamp (expected YYYY-MM-DDThh:mm:ss, then maybe a fraction of at most \
         nine digits and Z or an offset such as +02:00)"
    )]
    Syntax(String),
    /// There is no such date, time of day or offset.
    #[error("there is no such date or time of day: {0:?}")]
    NoSuchTime(String),
    /// The value does not fit 64 bits of nanoseconds.
    #[error(
        "the timestamp {0:?} is out of range (1677-09-21T00:12:43.145224192 to \
         2262-04-11T23:47:16.854775807)"
    )]
    OutOfRange(String),
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        let fields = Fields::read(&mut Scanner(text.as_bytes()))
            .ok_or_else(|| InvalidTimestamp::Syntax(excerpt(text)))?;
        if !fields.exist() {
            return Err(InvalidTimestamp::NoSuchTime(excerpt(text)));
        }
        let nanos =
            i128::from(fields.seconds()) * i128::from(NANOS_PER_SECOND) + i128::from(fields.nanos);
        i64::try_from(nanos).map(Self).map_err(|_| InvalidTimestamp::OutOfRange(excerpt(text)))
    }
}

/// The numbers in the text, as they stand there.
struct Fields {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    nanos: i64,
    /// Sign, hours and minutes east of UTC.
    offset: (i64, i64, i64),
}

impl Fields {
    fn read(text: &mut Scanner<'_>) -> Option<Self> {
        // Only years of four digits are in range.
        let year = text.digits(4)?;
        let month = text.after(b'-')?.digits(2)?;
        let day = text.after(b'-')?.digits(2)?;
        let hour = text.after(b'T')?.digits(2)?;
        let minute = text.after(b':')?.digits(2)?;
        let second = text.after(b':')?.digits(2)?;
        let nanos = text.fraction()?;
        let offset = text.offset()?;
        text.0.is_empty().then_some(Self { year, month, day, hour, minute, second, nanos, offset })
    }

    fn exist(&self) -> bool {
        (1..=12).contains(&self.month)
            && (1..=days_in_month(self.year, self.month)).contains(&self.day)
            && self.hour < 24
            && self.minute < 60
            && self.second < 60
            && self.offset.1 < 24
            && self.offset.2 < 60
    }

    /// Seconds since 1970 in UTC.
    fn seconds(&self) -> i64 {
        let local = day_of(self.year, self.month, self.day) * SECONDS_PER_DAY
            + self.hour * 3600
            + self.minute * 60
            + self.second;
        let (sign, hours, minutes) = self.offset;
        local - sign * (hours * 3600 + minutes * 60)
    }
}

/// The part of the text that is not read yet.
struct Scanner<'a>(&'a [u8]);

impl Scanner<'_> {
    fn skip(&mut self, byte: u8) -> bool {
        let found = self.0.first() == Some(&byte);
        if found {
            self.0 = &self.0[1..];
        }
        found
    }

    fn after(&mut self, byte: u8) -> Option<&mut Self> {
        self.skip(byte).then_some(self)
    }

    fn digits(&mut self, count: usize) -> Option<i64> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        digits
            .iter()
            .try_fold(0, |number, b| b.is_ascii_digit().then(|| number * 10 + i64::from(b - b'0')))
    }

    /// The nanoseconds behind the decimal point. Without digits the point must end the text.
    fn fraction(&mut self) -> Option<i64> {
        if !self.skip(b'.') {
            return Some(0);
        }
        let count = self.0.iter().take_while(|b| b.is_ascii_digit()).count();
        if count > 9 || (count == 0 && !self.0.is_empty()) {
            return None;
        }
        Some(self.digits(count)? * 10_i64.pow(9 - count as u32))
    }

    fn offset(&mut self) -> Option<(i64, i64, i64)> {
        if self.0.is_empty() || self.skip(b'Z') {
            return Some((0, 0, 0));
        }
        let sign = if self.skip(b'-') { -1 } else { self.after(b'+').map(|_| 1)? };
        let hours = self.digits(2)?;
        let minutes = if self.0.is_empty() {
            0
        } else {
            self.skip(b':');
            self.digits(2)?
        };
        Some((sign, hours, minutes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn nanos(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().0
    }

    #[test]
    fn the_fewest_exact_fraction_digits_of_three_six_and_nine_are_shown() {
        for (nanos, text) in [
            (0, "1970-01-01T00:00:00.000"),
            (1, "1970-01-01T00:00:00.000000001"),
            (1_000, "1970-01-01T00:00:00.000001"),
            (1_500_000, "1970-01-01T00:00:00.001500"),
            (2_000_000, "1970-01-01T00:00:00.002"),
            (1_404_901_004_000_000_000, "2014-07-09T10:16:44.000"),
            (1_649_574_000_123_456_789, "2022-04-10T07:00:00.123456789"),
            (951_782_400_000_000_000, "2000-02-29T00:00:00.000"),
        ] {
            assert_eq!(Timestamp(nanos).to_string(), text);
        }
    }

    #[test]
    fn times_before_1970_count_forward_within_their_second() {
        assert_eq!(Timestamp(-1).to_string(), "1969-12-31T23:59:59.999999999");
        assert_eq!(Timestamp(-500_000_000).to_string(), "1969-12-31T23:59:59.500");
        assert_eq!(Timestamp(-1_500_000_000).to_string(), "1969-12-31T23:59:58.500");
        assert_eq!(Timestamp(-62_135_596_800_000_000).to_string(), "1968-01-12T20:06:43.200");
    }

    #[test]
    fn both_ends_of_the_range_are_shown_and_read() {
        for (nanos, text) in [
            (i64::MIN, "1677-09-21T00:12:43.145224192"),
            (i64::MAX, "2262-04-11T23:47:16.854775807"),
        ] {
            assert_eq!(Timestamp(nanos).to_string(), text);
            assert_eq!(text.parse(), Ok(Timestamp(nanos)));
        }
    }

    #[test]
    fn beyond_the_range_is_an_error() {
        for text in [
            "1677-09-21T00:12:43.145224191",
            "2262-04-11T23:47:16.854775808",
            "2262-04-11T23:47:16.854775807-00:01",
            "0000-01-01T00:00:00",
            "9999-12-31T23:59:59",
        ] {
            let error = text.parse::<Timestamp>().unwrap_err();
            assert!(matches!(error, InvalidTimestamp::OutOfRange(_)), "{text}: {error}");
        }
        assert_eq!(nanos("2262-04-11T23:48:16.854775807+00:01"), i64::MAX, "in range once in UTC");
    }

    #[test]
    fn fractions_are_scaled_by_their_length() {
        const SECOND: i64 = 1_649_574_000;
        for (fraction, expected) in [
            ("", 0),
            (".", 0),
            (".1", 100_000_000),
            (".12", 120_000_000),
            (".000", 0),
            (".123456", 123_456_000),
            (".123456789", 123_456_789),
        ] {
            let text = format!("2022-04-10T07:00:00{fraction}");
            assert_eq!(nanos(&text), SECOND * NANOS_PER_SECOND + expected, "{text}");
        }
    }

    #[test]
    fn offsets_are_taken_off_and_none_means_utc() {
        let utc = nanos("2022-04-10T07:00:00.5");
        for text in [
            "2022-04-10T07:00:00.5Z",
            "2022-04-10T07:00:00.5-00:00",
            "2022-04-10T09:00:00.5+02",
            "2022-04-10T09:00:00.5+02:00",
            "2022-04-10T12:30:00.5+0530",
            "2022-04-09T22:00:00.5-09:00",
        ] {
            assert_eq!(nanos(text), utc, "{text}");
        }
        assert_eq!(nanos("1969-12-31T23:59:59.500"), -500_000_000);
    }

    #[test]
    fn what_is_not_on_the_calendar_or_the_clock_is_refused() {
        for text in [
            "2022-13-10T07:00:00",
            "2022-00-10T07:00:00",
            "2022-01-00T07:00:00",
            "2022-04-31T07:00:00",
            "2023-02-29T07:00:00",
            "1900-02-29T07:00:00",
            "2022-04-10T24:00:00",
            "2022-04-10T07:60:00",
            "2022-04-10T07:00:60",
            "2022-04-10T07:00:00+24:00",
            "2022-04-10T07:00:00+01:60",
            "2022-04-10T07:00:00+99:99",
        ] {
            let error = text.parse::<Timestamp>().unwrap_err();
            assert!(matches!(error, InvalidTimestamp::NoSuchTime(_)), "{text}: {error}");
        }
    }

    #[test]
    fn anything_else_is_not_a_timestamp() {
        for text in [
            "",
            "1649574000",
            "2022-04-10",
            "2022-04-10 07:00:00",
            "2022-04-10t07:00:00",
            "2022-04-10T07:00:00z",
            "2022-04-10T07:00",
            "2022-4-10T07:00:00",
            "14-04-10T07:00:00",
            "02022-04-10T07:00:00",
            "+2022-04-10T07:00:00",
            "2022-04-10T07:00:00.1234567890",
            "2022-04-10T07:00:00.Z",
            "2022-04-10T07:00:00,5",
            "2022-04-10T07:00:00+2",
            "2022-04-10T07:00:00+02:",
            "2022-04-10T07:00:00+02:0",
            "2022-04-10T07:00:00+02:000",
            "2022-04-10T07:00:00Z ",
            " 2022-04-10T07:00:00",
            "2022-04-10T07:00:00\0",
            "2022-04-10T07:00:0\u{e9}",
        ] {
            let error = text.parse::<Timestamp>().unwrap_err();
            assert!(matches!(error, InvalidTimestamp::Syntax(_)), "{text:?}: {error}");
        }
    }

    proptest! {
        #[test]
        fn timestamps_read_back_as_themselves(nanos: i64, scale in 0_u32..10) {
            let time = Timestamp(nanos / 10_i64.pow(scale) * 10_i64.pow(scale));
            prop_assert_eq!(time.to_string().parse(), Ok(time));
        }

        #[test]
        fn any_text_is_read_or_refused(
            text in "[0-9]{4}-[0-9]{2}-[0-9]{2}T?[0-9]{2}:[0-9]{2}:[0-9]{2}[.]?[0-9]{0,10}[Z+-]?[0-9:]{0,5}",
        ) {
            let _ = text.parse::<Timestamp>();
        }
    }
}
