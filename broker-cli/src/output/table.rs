//! Tables for people.

use super::printable;
use std::fmt;
use std::time::Duration;

/// How a column is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// A table with a line above it.
#[derive(Debug)]
pub(crate) struct Table {
    title: String,
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(title: String, columns: &[(&'static str, Align)]) -> Self {
        Self { title, columns: columns.to_vec(), rows: Vec::new() }
    }

    /// Adds a row, with a cell for each column.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells.iter().map(|cell| printable(cell)).collect());
    }

    /// The lines, with columns as wide as they have to be.
    pub(crate) fn lines(&self) -> Vec<String> {
        let header: Vec<String> = self.columns.iter().map(|(name, _)| (*name).to_owned()).collect();
        let mut widths: Vec<usize> = header.iter().map(|name| name.chars().count()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let line = |cells: &Vec<String>| {
            let cells = cells.iter().zip(&widths).zip(&self.columns);
            let cells = cells.map(|((cell, width), (_, align))| match align {
                Align::Left => format!("{cell:<width$}"),
                Align::Right => format!("{cell:>width$}"),
            });
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        let mut lines = vec![printable(&self.title)];
        if !self.rows.is_empty() {
            lines.push(line(&header));
            lines.extend(self.rows.iter().map(line));
        }
        lines
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines().iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// A time as people say it, as in `5s`, `3m 20s`, `2h 10m` or `4d 3h`.
pub(crate) fn age(seconds: f64) -> String {
    let time = Duration::try_from_secs_f64(seconds).unwrap_or_default().as_secs();
    let (minutes, hours, days) = (time / 60, time / 3600, time / 86400);
    match time {
        0..60 => format!("{time}s"),
        60..3600 => format!("{minutes}m {}s", time % 60),
        3600..86400 => format!("{hours}h {}m", minutes % 60),
        _ => format!("{days}d {}h", hours % 24),
    }
}

/// A number with a suffix for thousands, as in `999`, `12.3k` or `4.0M`.
pub(crate) fn short(number: f64) -> String {
    let mut rest = number;
    for suffix in ["", "k", "M", "G", "T"] {
        if rest < 999.5 {
            let decimals = usize::from(!suffix.is_empty() && rest < 99.95);
            return format!("{rest:.decimals$}{suffix}");
        }
        rest /= 1000.0;
    }
    format!("{number:.2e}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_have_to_be_and_cells_cannot_act_on_the_terminal() {
        let mut table =
            Table::new("title".to_owned(), &[("A", Align::Left), ("NUMBER", Align::Right)]);
        assert_eq!(table.lines(), ["title"]);
        table.row(vec!["long one".to_owned(), "1".to_owned()]);
        table.row(vec!["\u{1b}[2J".to_owned(), "12345678".to_owned()]);
        let lines = table.lines();
        assert_eq!(lines[1], format!("{:<9}  {:>8}", "A", "NUMBER"));
        assert_eq!(lines[2], format!("{:<9}  {:>8}", "long one", 1));
        assert!(lines[3].starts_with("\\u{1b}[2J"), "{lines:?}");
    }

    #[test]
    fn times_and_numbers_are_short() {
        for (seconds, text) in [
            (0.2, "0s"),
            (59.9, "59s"),
            (200.0, "3m 20s"),
            (7800.0, "2h 10m"),
            (360_000.0, "4d 4h"),
            (f64::NAN, "0s"),
        ] {
            assert_eq!(age(seconds), text);
        }
        for (number, text) in [
            (0.0, "0"),
            (999.0, "999"),
            (999.7, "1.0k"),
            (12_345.0, "12.3k"),
            (123_456.0, "123k"),
            (4_000_000.0, "4.0M"),
        ] {
            assert_eq!(short(number), text);
        }
    }
}
