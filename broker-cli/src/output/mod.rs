//! What goes to standard output and standard error.

mod message;
mod reader;
mod records;
mod stream;
#[cfg(feature = "http")]
mod table;
pub(crate) mod text;

pub(crate) use message::message;
pub(crate) use reader::Reader;
pub(crate) use records::{EventRecord, Listening};
#[cfg(feature = "http")]
pub(crate) use table::{Align, Table, age, short};
pub(crate) use text::printable;

use crate::failure::Failure;
use broker::Message;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use std::fmt::Display;
use std::io::IsTerminal;
use std::sync::LazyLock;
use std::time::Duration;
use stream::{Notice, OnFailure, Stream};
use tokio::time::timeout;

/// The forms of standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// JSON Lines, for programs.
    Json,
    /// Text, for people.
    Text,
    /// JSON Lines in which events of Zeek are `{"ts","topic","event","args"}`.
    Zeek,
}

impl Format {
    /// Text for a terminal, else JSON.
    pub(crate) fn detect() -> Self {
        if std::io::stdout().is_terminal() { Self::Text } else { Self::Json }
    }
}

/// From so many waiting bytes on, no more lines should be added.
const CHUNK: usize = 64 * 1024;

/// So many bytes are collected before the thread that writes gets them.
const HANDFUL: usize = 16 * 1024;

/// How long the end of the program waits for standard error.
const LAST_DIAGNOSES: Duration = Duration::from_secs(1);

/// Whether a command can do without its output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Output is the purpose of the command: an error ends it.
    Output,
    /// The command continues without output. Lost lines are counted, and reported where they are
    /// missing.
    Service,
}

/// Standard output: collects lines, and hands them to the thread that writes them when the command
/// has nothing more urgent to do. Nothing here blocks. Commands with many lines wait while
/// [`Self::is_full`]; if they do not, lines are lost and counted once 1 MiB is waiting.
pub(crate) struct Output {
    format: Format,
    lines: Vec<u8>,
    /// Whether everything is discarded, because writing has failed or takes too long.
    closed: bool,
    stream: Stream,
}

impl Output {
    /// # Errors
    ///
    /// There is no room for a thread.
    pub(crate) fn new(format: Format, need: Need) -> Result<Self, Failure> {
        let on_failure = match need {
            Need::Output => OnFailure::Stop,
            Need::Service => OnFailure::GoOn(|error| {
                diagnose(format_args!(
                    "{}; this goes on without, and counts the lines that are lost",
                    Failure::describe_output(error)
                ));
            }),
        };
        let notice: Notice = Box::new(move |lost| {
            let mut line = Vec::new();
            append(format, &EventRecord::new(&records::lost(lost)), &mut line);
            String::from_utf8_lossy(line.trim_ascii_end()).into_owned()
        });
        let stream = raw::stdout()
            .and_then(|stdout| Stream::start("stdout", stdout, on_failure, notice))
            .map_err(|error| Failure::other(format!("cannot write standard output: {error}")))?;
        Ok(Self { format, lines: Vec::new(), closed: false, stream })
    }

    /// Adds a line that is not a data message.
    pub(crate) fn record(&mut self, record: &(impl Serialize + Display)) {
        append(self.format, record, &mut self.lines);
        self.added();
    }

    /// Adds a line of JSON, whatever the form.
    #[cfg(feature = "http")]
    pub(crate) fn json(&mut self, record: &impl Serialize) {
        let _ = serde_json::to_writer(&mut self.lines, record);
        self.lines.push(b'\n');
        self.added();
    }

    /// Adds whole lines as they are. They must not contain control characters of others.
    pub(crate) fn text(&mut self, text: &[u8]) {
        self.lines.extend_from_slice(text);
        self.added();
    }

    /// Adds a received message.
    pub(crate) fn message(&mut self, received: &Message) {
        message(self.format, received.topic(), received.view(), false, &mut self.lines);
        self.added();
    }

    fn added(&mut self) {
        if self.lines.len() >= HANDFUL {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        if !self.closed {
            self.stream.push(&self.lines);
        }
        self.lines.clear();
    }

    /// Whether lines have to be written before more are added.
    pub(crate) fn is_full(&self) -> bool {
        !self.closed && self.lines.len() + self.stream.waiting() >= CHUNK
    }

    /// Whether there is something to flush.
    pub(crate) fn is_pending(&self) -> bool {
        !self.closed && (!self.lines.is_empty() || !self.stream.is_idle())
    }

    /// Waits until everything is written. Cancel safe: the next call goes on where this one
    /// stopped.
    ///
    /// # Errors
    ///
    /// Writing failed, which is said once; what was not written and is still to come is thrown
    /// away. Never if the command goes on without output.
    pub(crate) async fn flush(&mut self) -> Result<(), Failure> {
        self.hand_over();
        if self.closed {
            return Ok(());
        }
        self.stream.written().await.map_err(|error| {
            self.closed = true;
            Failure::output(&error)
        })
    }

    /// Like [`Self::flush`], for at most this long. Then the rest is discarded, and what is still
    /// to come, and the number of lines is reported. Returns whether everything was written.
    pub(crate) async fn flush_within(&mut self, limit: Duration) -> Result<bool, Failure> {
        if let Ok(flushed) = timeout(limit, self.flush()).await {
            return flushed.map(|()| true);
        }
        self.closed = true;
        let lost = self.stream.give_up();
        diagnose(format_args!(
            "standard output took nothing for too long: {lost} lines and what was being written \
             are lost"
        ));
        Ok(false)
    }
}

/// Appends a line that is not a data message.
fn append(format: Format, record: &(impl Serialize + Display), lines: &mut Vec<u8>) {
    match format {
        Format::Json | Format::Zeek => {
            // Records are plain structures; writing them to memory does not fail.
            let _ = serde_json::to_writer(&mut *lines, record);
        }
        Format::Text => text::push(record.to_string().as_bytes(), lines),
    }
    lines.push(b'\n');
}

/// Standard error, from the first time that something is said there. `None` if that cannot be.
static DIAGNOSES: LazyLock<Option<Stream>> = LazyLock::new(|| {
    let notice: Notice = Box::new(|lost| format!("broker-cli: {lost} lines are missing here"));
    // There is no place left to report that standard error cannot be written.
    let stream = |stderr| Stream::start("stderr", stderr, OnFailure::GoOn(|_| {}), notice);
    raw::stderr().and_then(stream).ok()
});

/// Writes a line for the user to standard error. Never waits.
pub(crate) fn diagnose(message: impl Display) {
    if let Some(stream) = &*DIAGNOSES {
        stream.push(format!("broker-cli: {}\n", printable(&message.to_string())).as_bytes());
    }
}

/// Writes a line of the log, with what a collector of logs looks for in front of it. Never waits.
pub(crate) fn complain(priority: &str, line: &str) {
    if let Some(stream) = &*DIAGNOSES {
        stream.push(format!("{priority}{}\n", printable(line)).as_bytes());
    }
}

/// Waits at the end of the program until standard error is written, for a second at most.
pub(crate) fn finish_diagnoses() {
    if let Some(stream) = &*DIAGNOSES {
        stream.finish(LAST_DIAGNOSES);
    }
}

/// The streams without the buffers and locks of the standard library: a line is either written or
/// it is not.
#[cfg(unix)]
mod raw {
    use std::fs::File;
    use std::io::{self, Write};
    use std::os::fd::AsFd;

    pub(super) fn stdout() -> io::Result<impl Write + Send> {
        Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?))
    }

    pub(super) fn stderr() -> io::Result<impl Write + Send> {
        Ok(File::from(io::stderr().as_fd().try_clone_to_owned()?))
    }
}

#[cfg(not(unix))]
mod raw {
    use std::io::{self, Write};

    pub(super) fn stdout() -> io::Result<impl Write + Send> {
        Ok(io::stdout())
    }

    pub(super) fn stderr() -> io::Result<impl Write + Send> {
        Ok(io::stderr())
    }
}
