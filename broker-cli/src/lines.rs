//! Lines of text with a bound on their length.

use std::io::{self, BufRead, Read};

/// The longest line that is read, in bytes: the JSON form of the largest value that fits a frame
/// is a few times as long as the frame.
pub(crate) const LONGEST: u64 = 512 * 1024 * 1024;

/// Reads lines, and counts them.
pub(crate) struct Lines<R> {
    reader: R,
    longest: u64,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    pub(crate) fn new(reader: R) -> Self {
        Self { reader, longest: LONGEST, number: 0 }
    }

    /// Reads the next line that is not blank into `line`, without its end, and returns its number,
    /// counted from 1; `None` at the end of the input.
    ///
    /// # Errors
    ///
    /// Reading failed, or the line is too long.
    pub(crate) fn next(&mut self, line: &mut Vec<u8>) -> io::Result<Option<u64>> {
        loop {
            line.clear();
            let read = self.reader.by_ref().take(self.longest + 1).read_until(b'\n', line)?;
            if read == 0 {
                return Ok(None);
            }
            self.number += 1;
            if line.last() == Some(&b'\n') {
                line.pop();
            } else if line.len() as u64 > self.longest {
                let text = format!("line {} is longer than {} bytes", self.number, self.longest);
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
            if !line.trim_ascii().is_empty() {
                return Ok(Some(self.number));
            }
        }
    }
}

impl<R: io::Read> Lines<io::BufReader<R>> {
    /// Whether reading on means to ask the system for more.
    pub(crate) fn is_drained(&self) -> bool {
        self.reader.buffer().is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str, longest: u64) -> Vec<(u64, String)> {
        let mut lines = Lines { reader: text.as_bytes(), longest, number: 0 };
        let (mut line, mut all) = (Vec::new(), Vec::new());
        while let Some(number) = lines.next(&mut line).unwrap() {
            all.push((number, String::from_utf8(line.clone()).unwrap()));
        }
        all
    }

    #[test]
    fn blank_lines_count_and_are_left_out_and_the_last_one_needs_no_end() {
        let expected = [(1, "a".to_owned()), (4, " b\r".to_owned()), (5, "c".to_owned())];
        assert_eq!(all("a\n\n \t\r\n b\r\nc", 9), expected);
        assert_eq!(all("", 9), []);
    }

    #[test]
    fn a_line_above_the_bound_is_refused_before_it_is_read() {
        assert_eq!(all("12345\n", 5).len(), 1);
        assert_eq!(all("12345", 5).len(), 1);
        let mut lines = Lines { reader: &b"1\n123456\n"[..], longest: 5, number: 0 };
        let mut line = Vec::new();
        assert_eq!(lines.next(&mut line).unwrap(), Some(1));
        let error = lines.next(&mut line).unwrap_err();
        assert_eq!(error.to_string(), "line 2 is longer than 5 bytes");
        assert_eq!(line.len(), 6);
    }
}
