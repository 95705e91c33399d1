//! The JSON form of values and data messages, version 1.
//!
//! A value is an object with the members `@data-type` and `data`; a data message is the same object
//! with `type` and `topic` in front.
//!
//! What is written is always valid JSON and says everything about the value: reals have the
//! shortest digits that read back as the same number, times are exact, and what JSON cannot express
//! has a form of its own that other readers can live with: `"inf"`, `"-inf"` and `"nan"` for reals
//! that are not finite, and next to strings that are not UTF-8 (and subnets that are not in normal
//! form) a member `data-hex` with the exact bytes, next to such topics `topic-hex`. (What cannot
//! travel in binary either comes back changed: real numbers of at most 2^-1023 read as zero.)
//!
//! What is read: members in any order, unknown ones ignored, the first of several with the same
//! name; integers for reals; every white space of JSON; and what other implementations write
//! although it is not JSON, namely the bare words `nan`, `inf`, `-nan` and `-inf` for reals, `\v`
//! in strings, and bytes in strings that should have been escaped or are not UTF-8. Everything
//! else is refused with a [`JsonError`] that says why and where.
//!
//! Reading takes memory in proportion to the text, and time too, apart from comparing the elements
//! of sets and the keys of tables.

mod decoder;
mod error;
mod form;
mod message;
mod number;
mod plain;
mod quick;
mod scanner;
mod string;
mod typed;
mod writer;

pub use error::{JsonError, JsonErrorClass};
pub use form::Form;
pub use writer::{ToJson, encode_data_message, write_string};

use std::borrow::Cow;

use super::{BString, DecodeLimits, Value, binary};

/// A value and the topic it is published under.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DataMessage {
    /// The topic: any bytes, but not empty (unless [`JsonReader::require_topic`] is off).
    pub topic: BString,
    /// The value.
    pub value: Value,
}

/// What reading JSON accepts; the functions of this module use the defaults.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct JsonReader {
    /// How deep values may be nested.
    pub limits: DecodeLimits,
    /// Whether a data message must say with `type` that it is one; some clients leave it out. A
    /// type that is there has to be the right one in any case.
    pub require_type: bool,
    /// Whether the topic of a data message must not be empty. Servers of the WebSocket API publish
    /// on the empty topic. One that is missing or no string is an error in any case.
    pub require_topic: bool,
}

/// How many times shorter than its text the binary form of most values is, at least.
const SHORTER: usize = 3;

impl Default for JsonReader {
    fn default() -> Self {
        Self { limits: DecodeLimits::default(), require_type: true, require_topic: true }
    }
}

impl JsonReader {
    /// Reads a value; see [`from_slice`].
    ///
    /// # Errors
    ///
    /// As [`from_slice`].
    pub fn value(&self, text: &[u8]) -> Result<Value, JsonError> {
        let mut payload = Vec::with_capacity(text.len() / SHORTER);
        self.value_into(text, &mut payload)?;
        build(&payload)
    }

    /// Reads a value and appends its binary form. The elements of sets and tables stay in the order
    /// of the text, as in other implementations. In case of an error nothing is appended.
    ///
    /// # Errors
    ///
    /// As [`from_slice`].
    pub fn value_into(&self, text: &[u8], payload: &mut Vec<u8>) -> Result<(), JsonError> {
        decoder::run(text, self.limits, payload, |decoder| decoder.value(0))
    }

    /// Reads a data message; see [`decode_data_message`].
    ///
    /// # Errors
    ///
    /// As [`decode_data_message`].
    pub fn message(&self, text: &[u8]) -> Result<DataMessage, JsonError> {
        let mut payload = Vec::with_capacity(text.len() / SHORTER);
        let topic = self.message_into(text, &mut payload)?;
        Ok(DataMessage { topic: topic.into_owned().into(), value: build(&payload)? })
    }

    /// Reads a data message, appends the binary form of its value as [`JsonReader::value_into`]
    /// does, and returns the topic.
    ///
    /// # Errors
    ///
    /// As [`decode_data_message`].
    pub fn message_into<'a>(
        &self,
        text: &'a [u8],
        payload: &mut Vec<u8>,
    ) -> Result<Cow<'a, [u8]>, JsonError> {
        decoder::run(text, self.limits, payload, |decoder| decoder.message(self))
    }

    /// Reads plain JSON; see [`from_plain`].
    ///
    /// # Errors
    ///
    /// As [`from_plain`].
    pub fn plain(&self, text: &[u8]) -> Result<Value, JsonError> {
        let mut payload = Vec::new();
        decoder::run(text, self.limits, &mut payload, |decoder| decoder.plain(0))?;
        build(&payload)
    }
}

fn build(payload: &[u8]) -> Result<Value, JsonError> {
    binary::build(payload).map_err(|error| JsonError::failed(0, error.to_string()))
}

/// The JSON form of a value.
#[must_use]
pub fn to_string(value: &(impl ToJson + ?Sized)) -> String {
    let mut out = Vec::new();
    value.write_json(&mut out);
    String::from_utf8(out)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// Appends the JSON form of a value.
pub fn write_value(value: &(impl ToJson + ?Sized), out: &mut Vec<u8>) {
    value.write_json(out);
}

/// Reads a value from its JSON form.
///
/// # Errors
///
/// The first thing found wrong: the text is not JSON, `@data-type` is missing or unknown, `data`
/// does not fit it, or a set element or table key is there twice.
pub fn from_slice(text: &[u8]) -> Result<Value, JsonError> {
    JsonReader::default().value(text)
}

/// As [`from_slice`].
///
/// # Errors
///
/// As [`from_slice`].
pub fn from_str(text: &str) -> Result<Value, JsonError> {
    from_slice(text.as_bytes())
}

/// Reads a data message: a value with the members `type`, which must be `data-message`, and
/// `topic`, which must not be empty.
///
/// # Errors
///
/// As [`from_slice`], and if `type` or `topic` is missing or not as it should be.
pub fn decode_data_message(text: &[u8]) -> Result<DataMessage, JsonError> {
    JsonReader::default().message(text)
}

/// Reads JSON without type names: null stands for none, an integer without a minus sign for a
/// count, with one for an integer, a number with a fraction or an exponent for a real, an array for
/// a vector, an object for a table with its member names as keys, the rest for itself.
///
/// # Errors
///
/// The text is not JSON, a number does not fit its type, or a member name is there twice.
pub fn from_plain(text: &[u8]) -> Result<Value, JsonError> {
    JsonReader::default().plain(text)
}

/// Reads a value in either form: by [`from_plain`] if its [`Form`] is plain, else by [`from_slice`]
/// (of a data message that is the value).
///
/// # Errors
///
/// As these two.
pub fn from_typed_or_plain(text: &[u8]) -> Result<Value, JsonError> {
    if Form::of(text) == Form::Plain { from_plain(text) } else { from_slice(text) }
}
