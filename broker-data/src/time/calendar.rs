//! The Gregorian calendar, extended to all years: dates as numbers of days and back.

/// Days in 400 years; the calendar repeats after them.
const DAYS_PER_ERA: i64 = 146_097;
/// Days from 0000-03-01, where the computations below start, to 1970-01-01.
const EPOCH: i64 = 719_468;

/// Year, month and day of a day counted from 1970-01-01.
///
/// Years are taken to start in March, so that the leap day is the last one of the year and the
/// lengths of the months before it follow one linear rule.
pub(super) fn date_of(days: i64) -> (i64, i64, i64) {
    let era = (days + EPOCH).div_euclid(DAYS_PER_ERA);
    let day_of_era = (days + EPOCH).rem_euclid(DAYS_PER_ERA);
    let leap_days = day_of_era / 1460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

/// The day, counted from 1970-01-01, of a date that exists.
pub(super) fn day_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    year.div_euclid(400) * DAYS_PER_ERA + day_of_era - EPOCH
}

/// How long a month is; the month must be 1 to 12.
pub(super) fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_eight_centuries_follows_the_day_before() {
        let mut expected = (1600, 1, 1);
        for day in day_of(1600, 1, 1)..day_of(2400, 1, 1) {
            assert_eq!(date_of(day), expected);
            let (year, month, dom) = expected;
            assert_eq!(day_of(year, month, dom), day);
            expected = if dom < days_in_month(year, month) {
                (year, month, dom + 1)
            } else if month < 12 {
                (year, month + 1, 1)
            } else {
                (year + 1, 1, 1)
            };
        }
    }
}
