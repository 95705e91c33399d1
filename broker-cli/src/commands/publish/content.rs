//! What the command line says is to be published.

use crate::values::Item;
use crate::zeek::{Words, argument, instant};
use broker::data::zeek::ZeekEvent;
use broker::data::{BString, Timestamp, Value};
use std::time::SystemTime;

/// A value, or an event with its arguments, as they stand on the command line.
#[derive(Debug, Clone)]
pub(super) struct Content {
    pub(super) topic: BString,
    pub(super) event: Option<String>,
    pub(super) texts: Vec<String>,
    pub(super) words: Words,
}

impl Content {
    /// The item for this repetition, counted from 1: `{{count}}` and `{{time}}` in the texts are
    /// replaced before they are read.
    ///
    /// # Errors
    ///
    /// A text is not what it should be.
    pub(super) fn item(&self, count: u64) -> Result<Item, String> {
        let mut texts = self.texts.iter().map(|text| filled_in(text, count));
        let (topic, value) = match &self.event {
            Some(name) => {
                let args: Result<Vec<_>, String> =
                    texts.map(|text| argument(&text, self.words)).collect();
                (None, Value::from(ZeekEvent { args: args?, ..ZeekEvent::new(name.as_str()) }))
            }
            None => match texts.next() {
                None => (None, Value::None),
                Some(text) if self.words == Words::Strings => (None, Value::string(text)),
                Some(text) => {
                    let item = Item::from_argument(&text)?;
                    (item.topic, item.value)
                }
            },
        };
        Ok(Item { topic: Some(topic.unwrap_or_else(|| self.topic.clone())), value })
    }

    /// Whether each repetition is another one.
    pub(super) fn is_template(&self) -> bool {
        self.texts.iter().any(|text| PLACES.iter().any(|place| text.contains(place)))
            || self.event.is_some() && self.texts.iter().any(|text| text.contains("time:now"))
    }
}

/// What is replaced in texts.
const PLACES: [&str; 2] = ["{{count}}", "{{time}}"];

fn filled_in(text: &str, count: u64) -> String {
    let [number, time] = PLACES;
    let mut text = text.to_owned();
    if text.contains(number) {
        text = text.replace(number, &count.to_string());
    }
    if text.contains(time) {
        text = text.replace(time, &instant(Timestamp::from(SystemTime::now())));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(event: Option<&str>, texts: &[&str], words: Words) -> Content {
        let texts = texts.iter().map(|text| (*text).to_owned()).collect();
        Content { topic: "/t".into(), event: event.map(str::to_owned), texts, words }
    }

    #[test]
    fn repetitions_are_numbered_and_timed() {
        let numbered = content(None, &["{\"n\":{{count}}}"], Words::Refused);
        assert!(numbered.is_template());
        assert_eq!(numbered.item(7).unwrap().value.to_string(), "{n -> 7}");
        let event = content(Some("e"), &["host-{{count}}", "{{time}}"], Words::Strings);
        let Value::Vector(parts) = event.item(3).unwrap().value else { panic!("no event") };
        let text = parts[2].to_string();
        assert!(text.starts_with("(e, (host-3, ") && text.ends_with("ns))"), "{text}");
        assert!(!content(None, &["5"], Words::Refused).is_template());
    }

    #[test]
    fn a_string_is_any_text() {
        let item = content(None, &["{not json"], Words::Strings).item(1).unwrap();
        assert_eq!((item.topic, item.value), (Some("/t".into()), Value::from("{not json")));
        assert!(content(None, &["{not json"], Words::Refused).item(1).is_err());
    }
}
