use super::error::JsonError;
use super::message::DATA_MESSAGE;
use super::scanner::{Scanner, Token};
use crate::DecodeLimits;

/// What a JSON text is meant to be, by the members of its outermost object.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Form {
    /// JSON without type names, for [`from_plain`](super::from_plain).
    Plain,
    /// A value, for [`from_slice`](super::from_slice): an object with a member `@data-type`.
    Value,
    /// A data message, for [`decode_data_message`](super::decode_data_message): an object that says
    /// so with its member `type`, or a value with a topic beside it.
    DataMessage,
}

impl Form {
    /// Looks at the text as far as it takes to tell. Texts that are not JSON may count as any
    /// form; whoever reads them finds out.
    #[must_use]
    pub fn of(text: &[u8]) -> Self {
        let mut seen = Seen::default();
        // What was seen before an error still says how to read the text.
        let _ = seen.look(text);
        match seen {
            Seen { says_message: true, .. } => Self::DataMessage,
            Seen { typed: true, topic: true, .. } => Self::DataMessage,
            Seen { typed: true, .. } => Self::Value,
            Seen { .. } => Self::Plain,
        }
    }
}

#[derive(Default)]
struct Seen {
    says_message: bool,
    typed: bool,
    topic: bool,
}

impl Seen {
    fn look(&mut self, text: &[u8]) -> Result<(), JsonError> {
        /// Deeper texts are refused in every form.
        const LEVELS: usize = 3 * DecodeLimits::HIGHEST_DEPTH;
        let mut input = Scanner::new(text)?;
        if !matches!(input.token()?, Token::Object) {
            return Ok(());
        }
        let mut first = true;
        while let Some(name) = input.member(first)? {
            first = false;
            match &*name {
                b"@data-type" => self.typed = true,
                b"topic" | b"topic-hex" => self.topic = true,
                b"type" => {
                    let mut value = input.clone();
                    self.says_message |= matches!(value.token(),
                        Ok(Token::String(name)) if *name == *DATA_MESSAGE.as_bytes());
                }
                _ => {}
            }
            if self.says_message || self.typed && self.topic {
                return Ok(());
            }
            input.skip_value(LEVELS, None)?;
        }
        Ok(())
    }
}
