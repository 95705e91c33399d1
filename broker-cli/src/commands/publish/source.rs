use crate::failure::Failure;
use crate::lines::{Line, StandardInput};
use crate::values::Item;
use broker::data::{BString, Value};

/// Where the values come from.
pub(super) struct Source {
    /// The topic of values that come without one.
    topic: Option<BString>,
    values: Values,
    left: u64,
}

enum Values {
    Argument(Value),
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
    /// A value from the command line, several times.
    pub(super) fn argument(topic: &str, value: Option<&str>, times: u64) -> Result<Self, Failure> {
        let item = match value {
            Some(text) => Item::from_argument(text).map_err(Failure::usage)?,
            None => Item { topic: None, value: Value::None },
        };
        let topic = item.topic.unwrap_or_else(|| topic.into());
        Ok(Self { topic: Some(topic), values: Values::Argument(item.value), left: times })
    }

    /// The lines of standard input, which a thread of its own starts to read.
    pub(super) fn standard_input(
        topic: Option<&str>,
        at_most: Option<u64>,
    ) -> Result<Self, Failure> {
        let topic = topic.map(Into::into);
        Ok(Self {
            topic,
            values: Values::Lines(StandardInput::start()?),
            left: at_most.unwrap_or(u64::MAX),
        })
    }

    /// The topic of the first value, as far as it is known before it is read.
    pub(super) fn topic(&self) -> Option<&BString> {
        self.topic.as_ref()
    }

    /// The next value; `None` after the last one. Cancel safe.
    ///
    /// # Errors
    ///
    /// Standard input cannot be read, or what came is not a value.
    pub(super) async fn next(&mut self) -> Option<Result<Entry, Failure>> {
        self.left = self.left.checked_sub(1)?;
        match &mut self.values {
            Values::Argument(value) => {
                let topic = self.topic.clone().unwrap_or_default();
                Some(Ok(Entry { line: None, topic, value: value.clone() }))
            }
            Values::Lines(lines) => {
                let line = lines.next().await?;
                Some(line.and_then(|line| entry(&line, self.topic.as_ref())))
            }
        }
    }
}

fn entry(line: &Line, topic: Option<&BString>) -> Result<Entry, Failure> {
    let number = line.number;
    let item = Item::parse(&line.text)
        .map_err(|error| Failure::other(format!("line {number}: {error}")))?;
    let topic = item.topic.or_else(|| topic.cloned()).ok_or_else(|| {
        let what = "this value has no topic; name one on the command line, or give data messages, \
            {\"type\":\"data-message\",\"topic\":...,\"@data-type\":...,\"data\":...}";
        Failure::other(format!("line {number}: {what}"))
    })?;
    Ok(Entry { line: Some(number), topic, value: item.value })
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
        let own = entry(&line(message), Some(&topic)).unwrap();
        assert_eq!((own.topic, own.value), ("/own".into(), Value::Count(1)));
        let other = entry(&line("1"), Some(&topic)).unwrap();
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
