use super::content::Content;
use super::pace::{Pace, Pacer, recorded};
use crate::failure::Failure;
use crate::lines::{Line, StandardInput};
use crate::values::Item;
use broker::data::json::Form;
use broker::data::{BString, Timestamp, Value};

/// Where the values come from.
pub(super) struct Source {
    /// The topic of values that come without one.
    topic: Option<BString>,
    /// Lines are text, whatever is in them.
    are_strings: bool,
    values: Values,
    left: u64,
    pacer: Pacer,
    /// The next message, until it is due.
    due: Option<(Result<Entry, Failure>, Option<Timestamp>)>,
    /// Lines that are no messages.
    skipped: u64,
}

enum Values {
    Argument { item: Item, template: Option<Content>, count: u64 },
    Lines(StandardInput),
}

/// A value to publish.
pub(super) struct Entry {
    /// The line it is from, if it is from standard input.
    pub(super) line: Option<u64>,
    pub(super) topic: BString,
    pub(super) value: Value,
}

impl Source {
    /// What the command line says, several times.
    pub(super) fn argument(content: Content, times: u64, pace: Pace) -> Result<Self, Failure> {
        let item = content.item(1).map_err(Failure::usage)?;
        let topic = item.topic.clone();
        let template = content.is_template().then_some(content);
        let values = Values::Argument { item, template, count: 0 };
        let pacer = Pacer::new(pace);
        Ok(Self { topic, are_strings: false, values, left: times, pacer, due: None, skipped: 0 })
    }

    /// The lines of standard input, which a thread of its own starts to read.
    pub(super) fn standard_input(
        topic: Option<&str>,
        are_strings: bool,
        at_most: Option<u64>,
        pace: Pace,
    ) -> Result<Self, Failure> {
        Ok(Self {
            topic: topic.map(Into::into),
            are_strings,
            values: Values::Lines(StandardInput::start()?),
            left: at_most.unwrap_or(u64::MAX),
            pacer: Pacer::new(pace),
            due: None,
            skipped: 0,
        })
    }

    /// The topic of the first value, as far as it is known before it is read.
    pub(super) fn topic(&self) -> Option<&BString> {
        self.topic.as_ref()
    }

    /// How many lines of other types have been left out.
    pub(super) fn skipped(&self) -> u64 {
        self.skipped
    }

    /// The next value when it is due; `None` after the last one. Cancel safe.
    ///
    /// # Errors
    ///
    /// Standard input cannot be read, or what came is not a value.
    pub(super) async fn next(&mut self) -> Option<Result<Entry, Failure>> {
        if self.due.is_none() {
            self.due = Some(self.read().await?);
        }
        let time = self.due.as_ref().and_then(|(_, time)| *time);
        self.pacer.wait(time).await;
        self.due.take().map(|(entry, _)| entry)
    }

    /// The next value and the time it was recorded at, if that matters. Cancel safe.
    async fn read(&mut self) -> Option<(Result<Entry, Failure>, Option<Timestamp>)> {
        let left = self.left.checked_sub(1)?;
        match &mut self.values {
            Values::Argument { item, template, count } => {
                self.left = left;
                *count += 1;
                let item = match template {
                    Some(content) => content.item(*count).map_err(Failure::usage),
                    None => Ok(item.clone()),
                };
                let entry = item.map(|Item { topic, value }| {
                    let topic = topic.unwrap_or_default();
                    Entry { line: None, topic, value }
                });
                Some((entry, None))
            }
            Values::Lines(lines) => loop {
                let line = match lines.next().await? {
                    Ok(line) => line,
                    Err(failure) => return Some((Err(failure), None)),
                };
                let time = if self.pacer.needs_times() { recorded(&line.text) } else { None };
                let entry = match &self.topic {
                    Some(topic) if self.are_strings => Ok(Some(text(line, topic))),
                    topic => entry(&line, topic.as_ref()),
                };
                if let Some(entry) = entry.transpose() {
                    self.left = left;
                    return Some((entry, time));
                }
                self.skipped += 1;
            },
        }
    }
}

/// A line that is text.
fn text(line: Line, topic: &BString) -> Entry {
    let value = Value::String(line.text.into());
    Entry { line: Some(line.number), topic: topic.clone(), value }
}

/// The message in a line; `None` if it is one of the other lines in a recording, which have a type
/// of their own and no topic.
fn entry(line: &Line, topic: Option<&BString>) -> Result<Option<Entry>, Failure> {
    let number = line.number;
    let item = Item::parse(&line.text)
        .map_err(|error| Failure::other(format!("line {number}: {error}")))?;
    let Some(topic) = item.topic.or_else(|| topic.cloned()) else {
        let is_other = Form::of(&line.text) == Form::Plain
            && matches!(&item.value, Value::Table(members)
                if matches!(members.get(&Value::from("type")), Some(Value::String(_))));
        if is_other {
            return Ok(None);
        }
        let what = "this value has no topic; name one on the command line, or give data messages, \
            {\"type\":\"data-message\",\"topic\":...,\"@data-type\":...,\"data\":...}, or events, \
            {\"topic\":...,\"event\":...,\"args\":[...]}";
        return Err(Failure::other(format!("line {number}: {what}")));
    };
    Ok(Some(Entry { line: Some(number), topic, value: item.value }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line {
        Line { number: 7, text: text.as_bytes().to_vec() }
    }

    #[test]
    fn the_topic_of_a_data_message_goes_before_the_one_of_the_command_line() {
        let topic = BString::from("/line");
        let message = r#"{"type":"data-message","topic":"/own","@data-type":"count","data":1}"#;
        let own = entry(&line(message), Some(&topic)).unwrap().unwrap();
        assert_eq!((own.topic, own.value), ("/own".into(), Value::Count(1)));
        let other = entry(&line("1"), Some(&topic)).unwrap().unwrap();
        assert_eq!((other.topic, other.line), (topic, Some(7)));
    }

    #[test]
    fn a_wrong_line_is_named_with_its_number_and_the_place_in_it() {
        for (text, reason) in [
            ("1", "line 7: this value has no topic"),
            ("{\"a\":[1,x]}", "line 7: expected a value, found 'x' at $.a[1] (byte 8)"),
            (
                r#"{"type":"data-message","topic":"","@data-type":"count","data":1}"#,
                "line 7: the topic is empty at $.topic",
            ),
        ] {
            let error = entry(&line(text), None).err().map(|error| error.to_string());
            let error = error.unwrap_or_default();
            assert!(error.starts_with(reason), "{text} gave {error:?}");
        }
    }
}
