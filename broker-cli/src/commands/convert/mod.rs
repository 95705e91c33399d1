mod exact;

use crate::failure::Failure;
use crate::lines::{Line, StandardInput};
use crate::output::{Format, Need, Output, diagnose, text};
use crate::signals;
use broker::data::json::{self, Form, JsonReader};
use broker::data::{BStr, BString, View};
use clap::{Args, ValueEnum};
use data_encoding::{DecodeError, DecodeKind, Encoding, HEXLOWER_PERMISSIVE};
use std::sync::LazyLock;

/// Convert values between their forms, one per line
///
/// Reads standard input, a value or data message per line, and writes standard output. Lines of the
/// binary form are hexadecimal digits; data messages have none, so of these only the value is
/// written, with a warning. JSON without type names is understood as by `pub`.
///
/// JSON says all about a value. Binary input that is not as this program would write it (other
/// patterns for true or for NaN, sizes in more bytes than needed) has its bytes in a member
/// @binary beside it, so that converting back gives the same bytes.
///
/// The binary form has no place for real numbers of at most 2^-1023 (1.1e-308) in magnitude: it has
/// zero for them.
///
/// The first line that is wrong ends the command with 1, after the lines before it.
#[derive(Args)]
pub(crate) struct Convert {
    /// The form of standard input
    #[arg(long, value_enum, value_name = "FORM")]
    from: Source,

    /// The form of standard output; text is for people and cannot be converted back
    #[arg(long, value_enum, value_name = "FORM")]
    to: Target,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Source {
    Json,
    Bin,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Target {
    Json,
    Bin,
    Text,
}

/// A value in the binary form, and a topic if it came with one.
#[derive(Debug, PartialEq, Eq)]
struct Payload {
    topic: Option<BString>,
    bytes: Vec<u8>,
}

impl Convert {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let mut input = StandardInput::start()?;
        let mut output = Output::new(Format::Text, Need::Output)?;
        signals::unless_interrupted(async {
            let result = self.convert(&mut input, &mut output).await;
            let flushed = output.flush().await;
            result.and(flushed)
        })
        .await?
    }

    async fn convert(&self, input: &mut StandardInput, output: &mut Output) -> Result<(), Failure> {
        let mut out = Vec::new();
        let mut has_lost_topic = false;
        while let Some(line) = input.next().await {
            let Line { number, text } = line?;
            let wrong = |reason| Failure::other(format!("line {number}: {reason}"));
            let payload = self.read(&text).map_err(wrong)?;
            let loses_topic = self.to == Target::Bin && payload.topic.is_some();
            if loses_topic && !std::mem::replace(&mut has_lost_topic, true) {
                diagnose("the binary form of a data message is that of its value, without topic");
            }
            out.clear();
            self.write(&payload, &mut out).map_err(wrong)?;
            out.push(b'\n');
            output.text(&out);
            if output.is_full() || input.is_drained() {
                output.flush().await?;
            }
        }
        Ok(())
    }

    fn read(&self, line: &[u8]) -> Result<Payload, String> {
        match self.from {
            Source::Bin => Ok(Payload { topic: None, bytes: read_hex(line)? }),
            Source::Json => {
                let payload = read_json(line).map_err(|error| error.to_string())?;
                match exact::bytes_beside(line, &payload.bytes)? {
                    Some(bytes) => Ok(Payload { bytes, ..payload }),
                    None => Ok(payload),
                }
            }
        }
    }

    fn write(&self, payload: &Payload, out: &mut Vec<u8>) -> Result<(), String> {
        let view = View::parse(&payload.bytes).map_err(|error| error.to_string())?;
        let topic = payload.topic.as_deref().map(BStr::new);
        match (self.to, topic) {
            (Target::Json, _) => exact::write(topic, view, out),
            (Target::Bin, _) => write_hex(&payload.bytes, out),
            (Target::Text, Some(topic)) => text::message(topic, &view.to_value(), out),
            (Target::Text, None) => text::value(&view.to_value(), out),
        }
        Ok(())
    }
}

/// Hexadecimal digits of either case, in lower case where they are written; white space between
/// them does not matter.
static HEX: LazyLock<Encoding> = LazyLock::new(|| {
    let mut digits = HEXLOWER_PERMISSIVE.specification();
    digits.ignore.push_str(" \t\r\n\x0c");
    // The specification is a constant, and tests read with it.
    digits.encoding().unwrap_or(HEXLOWER_PERMISSIVE)
});

/// The bytes that digits stand for.
fn read_hex(digits: &[u8]) -> Result<Vec<u8>, String> {
    HEX.decode(digits).map_err(|DecodeError { position, kind }| match kind {
        DecodeKind::Symbol => {
            let found = digits.get(position).map_or(0, |byte| *byte).escape_ascii();
            format!("expected a hexadecimal digit, found '{found}' (byte {position})")
        }
        _ => "the number of hexadecimal digits is odd".to_owned(),
    })
}

/// Appends the digits of bytes.
fn write_hex(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(HEX.encode(bytes).as_bytes());
}

/// Reads JSON in any form. The elements of sets and tables stay in the order of the text.
fn read_json(line: &[u8]) -> Result<Payload, json::JsonError> {
    let reader = JsonReader { require_type: false, ..JsonReader::default() };
    let mut bytes = Vec::new();
    let topic = match Form::of(line) {
        Form::Plain => {
            reader.plain(line)?.encode_into(&mut bytes);
            None
        }
        Form::Value => {
            reader.value_into(line, &mut bytes)?;
            None
        }
        Form::DataMessage => Some(reader.message_into(line, &mut bytes)?.into_owned().into()),
    };
    Ok(Payload { topic, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_of_either_case_are_read_and_written_in_lower_case() {
        let bytes = read_hex(b" 0aFF 1 0\t").unwrap();
        assert_eq!(bytes, [0x0a, 0xff, 0x10]);
        let mut out = Vec::new();
        write_hex(&bytes, &mut out);
        assert_eq!(out, b"0aff10");
    }

    #[test]
    fn what_is_not_hexadecimal_is_refused_with_its_place() {
        let error = read_hex(b"00 0g").unwrap_err();
        assert_eq!(error, "expected a hexadecimal digit, found 'g' (byte 4)");
        assert!(read_hex(b"000").unwrap_err().contains("odd"));
        assert!(read_hex(b"0x00").is_err());
    }
}
