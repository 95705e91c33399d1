//! Lines of standard input, with a bound on their length and on what is read ahead.

use crate::failure::Failure;
use std::io::{self, BufRead, BufReader, Read};
use std::vec;
use tokio::sync::mpsc;

/// The longest line that is read, in bytes: twice the largest frame of an endpoint that is not
/// told otherwise.
const LONGEST: u64 = 128 * 1024 * 1024;

/// So many bytes of lines are handed over together, if they are available.
const HANDFUL: usize = 64 * 1024;

/// A line that is not blank, without its end.
pub(crate) struct Line {
    /// Counted from 1.
    pub(crate) number: u64,
    pub(crate) text: Vec<u8>,
}

type Batch = Vec<Result<Line, Failure>>;

/// Standard input, read by a thread of its own, which is at most two batches of lines ahead.
pub(crate) struct StandardInput {
    batches: mpsc::Receiver<Batch>,
    current: vec::IntoIter<Result<Line, Failure>>,
}

impl StandardInput {
    /// Starts to read.
    ///
    /// # Errors
    ///
    /// There is no room for a thread.
    pub(crate) fn start() -> Result<Self, Failure> {
        let (sender, batches) = mpsc::channel(1);
        std::thread::Builder::new()
            .name("stdin".to_owned())
            .spawn(move || hand_over(Lines::new(BufReader::new(io::stdin())), &sender))
            .map_err(|error| Failure::other(format!("cannot start a thread: {error}")))?;
        Ok(Self { batches, current: Vec::new().into_iter() })
    }

    /// The next line; `None` after the last one. Cancel safe.
    ///
    /// # Errors
    ///
    /// Reading failed, or the line is too long. Nothing comes after that.
    pub(crate) async fn next(&mut self) -> Option<Result<Line, Failure>> {
        loop {
            if let Some(line) = self.current.next() {
                return Some(line);
            }
            self.current = self.batches.recv().await?.into_iter();
        }
    }

    /// Whether all lines that have been read were returned, so that the next one may take its time.
    pub(crate) fn is_drained(&self) -> bool {
        self.current.as_slice().is_empty() && self.batches.is_empty()
    }
}

/// Reads until the end of the input, or until the receiver is dropped.
fn hand_over<R: Read>(mut lines: Lines<BufReader<R>>, to: &mpsc::Sender<Batch>) {
    loop {
        let (mut batch, mut size) = (Vec::new(), 0);
        let has_ended = loop {
            let mut text = Vec::new();
            match lines.next(&mut text) {
                Ok(Some(number)) => {
                    size += text.len();
                    batch.push(Ok(Line { number, text }));
                }
                Ok(None) => break true,
                Err(error) => {
                    let text = format!("reading standard input: {error}");
                    batch.push(Err(Failure::other(text)));
                    break true;
                }
            }
            if size >= HANDFUL || lines.is_drained() {
                break false;
            }
        };
        if to.blocking_send(batch).is_err() || has_ended {
            return;
        }
    }
}

/// Reads lines, and counts them.
struct Lines<R> {
    reader: R,
    longest: u64,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    fn new(reader: R) -> Self {
        Self { reader, longest: LONGEST, number: 0 }
    }

    /// Reads the next line that is not blank into `line`, without its end, and returns its number,
    /// counted from 1; `None` at the end of the input.
    ///
    /// # Errors
    ///
    /// Reading failed, or the line is too long.
    fn next(&mut self, line: &mut Vec<u8>) -> io::Result<Option<u64>> {
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

impl<R: Read> Lines<BufReader<R>> {
    /// Whether reading on means to ask the system for more.
    fn is_drained(&self) -> bool {
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
