//! Asking a node about itself, once or again and again.

use crate::failure::Failure;
use crate::http::{self, DEFAULT, HttpAddress, Status};
use crate::options::{OutputOptions, positive, seconds};
use crate::output::{Format, Need, Output, Reader, Table};
use crate::signals::unless_interrupted;
use clap::Args;
use serde::Serialize;
use std::io::IsTerminal;
use std::time::Duration;
use tokio::time::sleep;

/// The default of `--interval`.
const INTERVAL: Duration = Duration::from_secs(1);

/// Which node is asked, and how often.
#[derive(Args)]
pub(crate) struct Watch {
    /// Where the node tells about itself: what it was given with --http
    #[arg(long, value_name = "ADDR", default_value = DEFAULT)]
    http: HttpAddress,

    /// Ask again after this time [default: 1 on a terminal or with --count, else ask once]
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    interval: Option<Duration>,

    /// Ask this many times [default: no end on a terminal or with --interval, else 1]
    #[arg(long, value_name = "N", value_parser = positive::<u64>)]
    count: Option<u64>,

    #[command(flatten)]
    output: OutputOptions,
}

/// What a command shows of the status of a node.
pub(crate) trait View {
    /// The lines for programs.
    fn records(&mut self, status: &Status) -> Vec<Record>;
    /// The table for people.
    fn table(&mut self, status: &Status) -> Table;
    /// Whether the node has to look at messages for it, and what there was before counts.
    fn is_of_topics(&self) -> bool {
        false
    }
}

/// A line for programs.
#[derive(Serialize)]
pub(crate) struct Record {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(flatten)]
    members: serde_json::Value,
}

impl Record {
    pub(crate) fn new(kind: &'static str, members: &impl Serialize) -> Self {
        // What has been read from JSON can be written as JSON.
        Self { kind, members: serde_json::to_value(members).unwrap_or_default() }
    }
}

impl Watch {
    /// Shows the status as long as it should be shown.
    pub(crate) async fn show(&self, mut view: impl View) -> Result<(), Failure> {
        let format = self.output.format();
        let redraw = format == Format::Text && std::io::stdout().is_terminal();
        let endless = redraw || self.interval.is_some();
        let count = self.count.unwrap_or(if endless { u64::MAX } else { 1 });
        let mut screen = Screen { out: Output::new(format, Need::Output)?, format, redraw };
        let reader = Reader::watch();
        unless_interrupted(async {
            tokio::select! {
                result = self.repeat(count, &mut screen, &mut view) => result,
                () = reader.gone() => Err(Failure::closed_pipe()),
            }
        })
        .await?
    }

    async fn repeat(
        &self,
        count: u64,
        screen: &mut Screen,
        view: &mut impl View,
    ) -> Result<(), Failure> {
        let time = self.interval.unwrap_or(INTERVAL);
        if view.is_of_topics() {
            view.table(&http::status_with_topics(&self.http).await?);
            sleep(time).await;
        }
        for round in 0..count {
            if round > 0 {
                sleep(time).await;
            }
            let status = match view.is_of_topics() {
                true => http::status_with_topics(&self.http).await?,
                false => http::status(&self.http).await?,
            };
            screen.draw(&status, view).await?;
        }
        Ok(())
    }
}

struct Screen {
    out: Output,
    format: Format,
    /// Whether each table takes the place of the one before.
    redraw: bool,
}

/// To the upper left corner, and no new lines for what is too long.
const BEGIN: &str = "\u{1b}[H\u{1b}[?7l";
/// Nothing more in this line.
const END_OF_LINE: &str = "\u{1b}[K\n";
/// Nothing more on the screen, and lines as before.
const END: &str = "\u{1b}[J\u{1b}[?7h";

impl Screen {
    async fn draw(&mut self, status: &Status, view: &mut impl View) -> Result<(), Failure> {
        match self.format {
            Format::Json | Format::Zeek => {
                for record in view.records(status) {
                    self.out.json(&record);
                    if self.out.is_full() {
                        self.out.flush().await?;
                    }
                }
            }
            Format::Text if self.redraw => {
                let lines = fitting(view.table(status).lines(), size()).join(END_OF_LINE);
                self.out.text(format!("{BEGIN}{lines}{END_OF_LINE}{END}").as_bytes());
            }
            Format::Text => self.out.text(view.table(status).to_string().as_bytes()),
        }
        self.out.flush().await
    }
}

/// The columns and rows of the terminal, if it says so.
fn size() -> Option<(usize, usize)> {
    #[cfg(unix)]
    {
        let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
        let size = (usize::from(size.ws_col), usize::from(size.ws_row));
        (size.0 > 0 && size.1 > 0).then_some(size)
    }
    #[cfg(not(unix))]
    None
}

/// As much of the lines as fits on the screen; where something is missing, that is said.
fn fitting(mut lines: Vec<String>, size: Option<(usize, usize)>) -> Vec<String> {
    let Some((columns, rows)) = size else { return lines };
    // The cursor takes up the last row.
    let room = rows.saturating_sub(1).max(2);
    if lines.len() > room {
        let more = lines.len() - (room - 1);
        lines.truncate(room - 1);
        lines.push(format!("({more} more rows)"));
    }
    for line in &mut lines {
        if line.chars().count() > columns {
            *line = line.chars().take(columns.saturating_sub(1)).chain(['>']).collect();
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_on_the_screen_is_said_to_be_missing() {
        let lines = || vec!["0123456789".to_owned(); 6];
        assert_eq!(fitting(lines(), None), lines());
        assert_eq!(fitting(lines(), Some((10, 7))), lines());
        let cut = fitting(lines(), Some((5, 4)));
        assert_eq!(cut, ["0123>", "0123>", "(4 m>"]);
    }
}
