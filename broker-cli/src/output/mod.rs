//! What goes to standard output and standard error.

mod reader;
mod records;
#[cfg(feature = "http")]
mod table;
pub(crate) mod text;

pub(crate) use reader::Reader;
pub(crate) use records::{EventRecord, Listening};
#[cfg(feature = "http")]
pub(crate) use table::{Align, Table, age, short};
pub(crate) use text::printable;

use crate::failure::Failure;
use broker::Message;
use broker::data::json;
use clap::ValueEnum;
use serde::Serialize;
use std::fmt::Display;
use std::io::{IsTerminal, Write};
use tokio::io::{AsyncWriteExt, Stdout};

/// The forms of standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// JSON Lines, for programs.
    Json,
    /// Text, for people.
    Text,
}

impl Format {
    /// The form for whoever reads standard output.
    pub(crate) fn detect() -> Self {
        if std::io::stdout().is_terminal() { Self::Text } else { Self::Json }
    }
}

/// As much as is collected before it has to be written, in bytes.
const CHUNK: usize = 64 * 1024;

/// Standard output: lines are collected, and written whenever the command has a moment.
pub(crate) struct Output {
    format: Format,
    lines: Vec<u8>,
    /// How much of `lines` has been written.
    written: usize,
    /// Whether something that has been written may still be on its way.
    in_flight: bool,
    /// Whether the rest is thrown away, because nobody reads it.
    closed: bool,
    stdout: Stdout,
}

impl Output {
    pub(crate) fn new(format: Format) -> Self {
        let lines = Vec::new();
        let stdout = tokio::io::stdout();
        Self { format, lines, written: 0, in_flight: false, closed: false, stdout }
    }

    /// Adds a line that is not a data message.
    pub(crate) fn record(&mut self, record: &(impl Serialize + Display)) {
        match self.format {
            Format::Json => {
                // Records are plain structures; writing them to memory does not fail.
                let _ = serde_json::to_writer(&mut self.lines, record);
            }
            Format::Text => text::push(record.to_string().as_bytes(), &mut self.lines),
        }
        self.lines.push(b'\n');
    }

    /// Adds a line of JSON, whatever the form.
    #[cfg(feature = "http")]
    pub(crate) fn json(&mut self, record: &impl Serialize) {
        let _ = serde_json::to_writer(&mut self.lines, record);
        self.lines.push(b'\n');
    }

    /// Adds text as it is; whoever made it has seen to it that a terminal may have it.
    #[cfg(feature = "http")]
    pub(crate) fn text(&mut self, text: &str) {
        self.lines.extend_from_slice(text.as_bytes());
    }

    /// Adds a data message.
    pub(crate) fn message(&mut self, message: &Message) {
        match self.format {
            Format::Json => {
                json::encode_data_message(message.topic(), &message.view(), &mut self.lines);
            }
            Format::Text => {
                text::message(message.topic(), &message.view().to_value(), &mut self.lines);
            }
        }
        self.lines.push(b'\n');
    }

    /// Whether lines have to be written before more are added.
    pub(crate) fn is_full(&self) -> bool {
        self.lines.len() - self.written >= CHUNK
    }

    /// Whether there is something to flush.
    pub(crate) fn is_pending(&self) -> bool {
        self.in_flight || !self.lines.is_empty()
    }

    /// Throws away what has not been written and what is still to come.
    pub(crate) fn close(&mut self) {
        self.closed = true;
    }

    /// Writes everything. Cancel safe: the next call goes on where this one stopped.
    pub(crate) async fn flush(&mut self) -> Result<(), Failure> {
        if self.closed {
            self.lines.clear();
            (self.written, self.in_flight) = (0, false);
            return Ok(());
        }
        let result = self.write().await;
        result.map_err(|error| Failure::output(&error)).inspect_err(|_| self.close())
    }

    async fn write(&mut self) -> std::io::Result<()> {
        while let Some(rest) = self.lines.get(self.written..).filter(|rest| !rest.is_empty()) {
            self.written += self.stdout.write(rest).await?;
            self.in_flight = true;
        }
        self.lines.clear();
        self.written = 0;
        self.stdout.flush().await?;
        self.in_flight = false;
        Ok(())
    }
}

/// Tells the person who started the command something.
pub(crate) fn diagnose(message: impl Display) {
    let message = printable(&message.to_string());
    // If nobody can be told, nobody can be told that either.
    let _ = writeln!(std::io::stderr().lock(), "broker-cli: {message}");
}
