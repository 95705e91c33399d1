use std::borrow::Cow;

use super::JsonReader;
use super::decoder::Decoder;
use super::error::JsonError;
use super::scanner::{Scanner, Token};
use super::typed::unhex;

/// What `type` says of a data message.
pub(super) const DATA_MESSAGE: &str = "data-message";

/// Where the members that make a value a data message are in the text.
#[derive(Default)]
pub(super) struct Envelope {
    kind: Option<usize>,
    topic: Option<usize>,
    topic_hex: Option<usize>,
}

impl Envelope {
    /// Notes where the value of a member is; of members with the same name the first one counts.
    pub(super) fn note(&mut self, name: &[u8], pos: usize) {
        let member = match name {
            b"type" => &mut self.kind,
            b"topic" => &mut self.topic,
            b"topic-hex" => &mut self.topic_hex,
            _ => return,
        };
        member.get_or_insert(pos);
    }

    fn check_type(&self, text: &Scanner<'_>) -> Result<(), JsonError> {
        let Some(pos) = self.kind else {
            return Err(JsonError::failed(
                0,
                "this object has no member type, so is no data message",
            ));
        };
        let token = text.at(pos).token()?;
        match &token {
            Token::String(kind) if **kind == *DATA_MESSAGE.as_bytes() => Ok(()),
            _ => {
                let message =
                    format!("expected the type {DATA_MESSAGE:?}, found {}", token.describe());
                Err(JsonError::failed(pos, message).in_member("type"))
            }
        }
    }

    fn topic<'a>(
        &self,
        text: &Scanner<'a>,
        may_be_empty: bool,
    ) -> Result<Cow<'a, [u8]>, JsonError> {
        if let Some(pos) = self.topic_hex {
            let token = text.at(pos).token()?;
            return match unhex(&token) {
                Some(topic) if !topic.is_empty() => Ok(topic.into()),
                _ => {
                    let found = token.describe();
                    let message = format!("expected pairs of hexadecimal digits, found {found}");
                    Err(JsonError::failed(pos, message).in_member("topic-hex"))
                }
            };
        }
        let Some(pos) = self.topic else {
            return Err(JsonError::failed(0, "this data message has no topic"));
        };
        match text.at(pos).token()? {
            Token::String(topic) if may_be_empty || !topic.is_empty() => Ok(topic),
            Token::String(_) => {
                Err(JsonError::failed(pos, "the topic is empty").in_member("topic"))
            }
            token => {
                let message = format!("expected a topic as a string, found {}", token.describe());
                Err(JsonError::failed(pos, message).in_member("topic"))
            }
        }
    }
}

impl<'a> Decoder<'a, '_> {
    /// Reads a data message: writes its value, returns its topic.
    pub(super) fn message(&mut self, reader: &JsonReader) -> Result<Cow<'a, [u8]>, JsonError> {
        self.begin()?;
        let start = self.input.pos();
        let token = self.input.token()?;
        if !matches!(token, Token::Object) {
            self.back_at(start, Self::skip)?;
            let message =
                format!("expected a data message as an object, found {}", token.describe());
            return Err(JsonError::failed(start, message));
        }
        let mut envelope = Envelope::default();
        self.members(start, 0, Some(&mut envelope))?;
        if reader.require_type || envelope.kind.is_some() {
            envelope.check_type(&self.input)?;
        }
        envelope.topic(&self.input, !reader.require_topic)
    }
}
