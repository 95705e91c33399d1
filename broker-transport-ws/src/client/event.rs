use broker_core::data::json::JsonReader;
use broker_core::data::{BString, DecodeError, Value, View};
use broker_core::transport::{Protection, TransportError};
use serde::Deserialize;
use std::time::Duration;

/// What happens to a client.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ClientEvent {
    /// The server has acknowledged the subscriptions, for the first time or again after a loss.
    Connected {
        /// What the server says it, or the client, is called: an endpoint id, possibly with
        /// something behind it.
        endpoint: String,
        /// The version of the server or of the library behind it.
        version: String,
        /// What protects the connection.
        protection: Protection,
    },
    /// A message on one of the topics.
    Message(ReceivedMessage),
    /// The server reports an error; the connection stays.
    Error {
        /// What kind of error, as in `deserialization_failed`.
        code: String,
        /// What is wrong.
        context: String,
    },
    /// The server has answered the ping of [`ClientSender::ask`](super::ClientSender::ask) with
    /// this number. One that answers in order has read everything that was published before, and
    /// what it refused of that has been told.
    Confirmed(u64),
    /// The server sent something that is none of the above.
    Unexpected {
        /// What is wrong with it.
        reason: String,
    },
    /// There is no connection: it could not be made, or has been lost.
    Disconnected {
        /// Why.
        error: TransportError,
        /// When it will be tried again; `None` ends the client.
        retry: Option<Duration>,
    },
}

/// A message from a server.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReceivedMessage {
    /// What it is about.
    pub topic: BString,
    /// The value in binary form.
    payload: Vec<u8>,
}

impl ReceivedMessage {
    /// The encoded value.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// A view of the value.
    ///
    /// # Errors
    ///
    /// Does not happen for what has been received; there the JSON has been checked.
    pub fn view(&self) -> Result<View<'_>, DecodeError> {
        View::parse(&self.payload)
    }

    /// The value, decoded.
    ///
    /// # Errors
    ///
    /// As for [`Self::view`].
    pub fn data(&self) -> Result<Value, DecodeError> {
        Value::decode(&self.payload)
    }
}

/// What a server's text is, apart from data messages.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
enum Other {
    Ack {
        #[serde(default)]
        endpoint: String,
        #[serde(default)]
        version: String,
    },
    Error {
        #[serde(default)]
        code: String,
        /// Zeek 7.2 calls it `message`.
        #[serde(default, alias = "message")]
        context: String,
    },
}

/// Understands a text from a server. What protects the connection is not to be seen in there.
pub(crate) fn understand(text: &[u8]) -> ClientEvent {
    if let Ok(other) = serde_json::from_slice(text) {
        return match other {
            Other::Ack { endpoint, version } => {
                ClientEvent::Connected { endpoint, version, protection: Protection::Plain }
            }
            Other::Error { code, context } => ClientEvent::Error { code, context },
        };
    }
    let reader = JsonReader { require_type: false, require_topic: false, ..JsonReader::default() };
    let mut payload = Vec::new();
    match reader.message_into(text, &mut payload) {
        Ok(topic) => {
            ClientEvent::Message(ReceivedMessage { topic: topic.into_owned().into(), payload })
        }
        Err(error) => ClientEvent::Unexpected { reason: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_texts_of_every_server_are_understood() {
        for text in [
            r#"{"type":"ack","endpoint":"x-websocket-0","version":"8.0.1"}"#,
            r#"{"type": "ack", "endpoint": "x-websocket-0", "version": "8.0.1"}"#,
        ] {
            let ClientEvent::Connected { endpoint, version, .. } = understand(text.as_bytes())
            else {
                panic!("{text}");
            };
            assert_eq!((endpoint.as_str(), version.as_str()), ("x-websocket-0", "8.0.1"));
        }
        for name in ["context", "message"] {
            let text = format!(r#"{{"type":"error","code":"c","{name}":"text"}}"#);
            let ClientEvent::Error { code, context } = understand(text.as_bytes()) else {
                panic!("{text}");
            };
            assert_eq!((code.as_str(), context.as_str()), ("c", "text"));
        }
        let text =
            r#"{"type": "data-message", "topic": "/t", "@data-type": "real", "data": 1.500000}"#;
        let ClientEvent::Message(message) = understand(text.as_bytes()) else { panic!("{text}") };
        assert_eq!(message.topic, "/t");
        assert_eq!(message.view().unwrap().as_real(), Some(1.5));
        assert!(matches!(understand(b"{}"), ClientEvent::Unexpected { .. }));
    }
}
