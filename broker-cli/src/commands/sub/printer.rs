//! What `sub` prints of the messages that it receives.

use crate::output::{self, Format, Output};
use crate::zeek::{Pattern, Rows};
use broker::Message;
use broker::data::zeek::{ZeekEventView, ZeekMessageView};
use broker::data::{BStr, Value, View};

/// Prints messages, or what is wanted of them.
pub(super) struct Printer {
    /// The form of each line; `None` is for rows of logs, which have one of their own.
    format: Format,
    /// The names of the events that are wanted; without any, all messages are.
    events: Vec<Pattern>,
    rows: Option<Rows>,
    timestamps: bool,
    line: Vec<u8>,
}

impl Printer {
    pub(super) fn new(
        format: Format,
        events: Vec<Pattern>,
        rows: Option<Rows>,
        timestamps: bool,
    ) -> Self {
        Self { format, events, rows, timestamps, line: Vec::new() }
    }

    /// Prints a message, and returns how many of those that are wanted it was: more than one for a
    /// batch of events.
    pub(super) fn print(&mut self, message: &Message, out: &mut Output) -> u64 {
        self.line.clear();
        let count = if let Some(rows) = &mut self.rows {
            rows.write_payload(message.view(), &mut self.line)
        } else if self.events.is_empty() {
            self.line(message.topic(), message.view());
            1
        } else {
            match ZeekMessageView::parse(message.view()) {
                Ok(found) => self.select(message.topic(), &found, message.view()),
                Err(_) => 0,
            }
        };
        out.text(&self.line);
        count
    }

    /// Appends the wanted events in a message.
    fn select(&mut self, topic: &BStr, message: &ZeekMessageView<'_>, view: View<'_>) -> u64 {
        match message {
            ZeekMessageView::Event(event) if self.wants(event) => {
                self.line(topic, view);
                1
            }
            ZeekMessageView::Batch(batch) => {
                let items = batch.messages().map(|item| {
                    let payload = Value::from(item.to_message()).encode();
                    match View::parse(&payload) {
                        Ok(view) => self.select(topic, &item, view),
                        Err(_) => 0,
                    }
                });
                items.sum()
            }
            _ => 0,
        }
    }

    fn wants(&self, event: &ZeekEventView<'_>) -> bool {
        self.events.iter().any(|pattern| pattern.matches(event.name()))
    }

    fn line(&mut self, topic: &BStr, view: View<'_>) {
        output::message(self.format, topic, view, self.timestamps, &mut self.line);
    }
}
