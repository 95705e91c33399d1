//! Values as people write them on a command line or programs on standard output.

use broker::data::json::{self, DataMessage, Form, JsonError, JsonErrorClass};
use broker::data::{BString, Value};

/// A value, and a topic if it came with one.
#[derive(Debug, PartialEq)]
pub(crate) struct Item {
    pub(crate) topic: Option<BString>,
    pub(crate) value: Value,
}

impl Item {
    /// Reads a data message, a value with `@data-type`, or plain JSON.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, JsonError> {
        match Form::of(text) {
            Form::Plain => json::from_plain(text).map(Self::untitled),
            Form::Value => json::from_slice(text).map(Self::untitled),
            Form::DataMessage => {
                let reader = json::JsonReader { require_type: false, ..Default::default() };
                let DataMessage { topic, value } = reader.message(text)?;
                Ok(Self { topic: Some(topic), value })
            }
        }
    }

    /// Reads the VALUE of a command line; the error says what to do.
    pub(crate) fn from_argument(text: &str) -> Result<Self, String> {
        Self::parse(text.as_bytes()).map_err(|error| match error.class() {
            JsonErrorClass::InvalidJson => {
                format!(
                    "{text:?} is not JSON: {error}; a string needs its quotes, as in '\"text\"'"
                )
            }
            _ => format!("{text:?} is not a value: {error}"),
        })
    }

    fn untitled(value: Value) -> Self {
        Self { topic: None, value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use broker::data::{IpAddress, Port, Protocol};

    #[test]
    fn values_are_understood_in_every_form() {
        let ssh = Value::Port(Port::new(22, Protocol::Tcp));
        for (text, topic, value) in [
            ("5", None, Value::Count(5)),
            ("-5", None, Value::Integer(-5)),
            ("\"x\"", None, Value::from("x")),
            (r#"{"@data-type":"port","data":"22/tcp"}"#, None, ssh.clone()),
            (
                r#"{"type":"data-message","topic":"/a","@data-type":"port","data":"22/tcp"}"#,
                Some("/a"),
                ssh,
            ),
            (
                r#"{"topic":"/a","@data-type":"address","data":"::1"}"#,
                Some("/a"),
                Value::Address(IpAddress::from_bytes([
                    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
                ])),
            ),
        ] {
            let item = Item::parse(text.as_bytes()).unwrap();
            assert_eq!(item, Item { topic: topic.map(Into::into), value }, "{text}");
        }
    }

    #[test]
    fn an_argument_that_is_not_json_gets_a_hint_and_one_of_the_wrong_type_does_not() {
        let error = Item::from_argument("hello").unwrap_err();
        assert!(error.starts_with("\"hello\" is not JSON: "), "{error}");
        assert!(error.ends_with("a string needs its quotes, as in '\"text\"'"), "{error}");
        let error = Item::from_argument(r#"{"@data-type":"count","data":-1}"#).unwrap_err();
        assert!(error.contains("$.data") && !error.contains("quotes"), "{error}");
    }
}
