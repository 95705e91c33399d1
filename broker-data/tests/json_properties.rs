//! Properties of the JSON form that hold for all values and all texts.

mod fixtures;

use broker_data::json::{self, JsonReader};
use broker_data::{Value, View};
use fixtures::values;
use proptest::prelude::*;

fn bytes(value: &Value) -> Vec<u8> {
    value.encode().to_vec()
}

/// JSON texts that are almost right, and everything else.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let mutated = (
        values::value(),
        proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 0..4),
    )
        .prop_map(|(value, mutations)| {
            let mut text = json::to_string(&value).into_bytes();
            for (place, byte, how) in mutations {
                let at = place.index(text.len());
                match how {
                    0 => text[at] = byte,
                    1 => text.insert(at, byte),
                    2 => text.truncate(at + 1),
                    _ => drop(text.drain(at..text.len().min(at + 5))),
                }
                if text.is_empty() {
                    text.push(byte);
                }
            }
            text
        });
    let fragments = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\",
        "\\u",
        "d800",
        "\"@data-type\"",
        "\"data\"",
        "\"vector\"",
        "\"set\"",
        "\"table\"",
        "\"key\"",
        "\"value\"",
        "\"count\"",
        "\"string\"",
        "\"data-hex\"",
        "null",
        "nan",
        "-inf",
        "1",
        "-",
        ".5",
        "e9",
        " ",
        "\r\n",
        "{\"@data-type\":",
    ]);
    let assembled =
        proptest::collection::vec(fragments, 0..40).prop_map(|parts| parts.concat().into_bytes());
    prop_oneof![3 => mutated, 1 => assembled, 1 => proptest::collection::vec(any::<u8>(), 0..40)]
}

proptest! {
    #[test]
    fn what_is_written_is_valid_json(value in values::value()) {
        let text = json::to_string(&value);
        let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(parsed["@data-type"].as_str(), Some(value.kind().name()));
        prop_assert!(!has_white_space_between_tokens(&text), "{}", text);
    }

    #[test]
    fn values_come_back_from_json(value in values::value()) {
        let text = json::to_string(&value);
        let read = json::from_str(&text).unwrap();
        prop_assert_eq!(bytes(&read), bytes(&value));
        prop_assert_eq!(read, value);
    }

    #[test]
    fn payloads_of_any_sender_come_back_from_json_in_the_same_order(value in values::value()) {
        let mut payload = Vec::new();
        values::encode_differently(&value, &mut payload);
        let mut text = Vec::new();
        View::parse(&payload).unwrap().write_json_into(&mut text);
        let mut read = Vec::new();
        JsonReader::default().value_into(&text, &mut read).unwrap();
        prop_assert_eq!(View::parse(&read).unwrap().to_value(), value);
        let mut again = Vec::new();
        View::parse(&read).unwrap().write_json_into(&mut again);
        prop_assert_eq!(again, text);
    }

    #[test]
    fn data_messages_come_back_from_json(
        topic in proptest::collection::vec(any::<u8>(), 1..12),
        value in values::value(),
    ) {
        let mut text = Vec::new();
        json::encode_data_message(&topic, &value, &mut text);
        serde_json::from_slice::<serde_json::Value>(&text).unwrap();
        let read = json::decode_data_message(&text).unwrap();
        prop_assert_eq!(read.topic, topic);
        prop_assert_eq!(read.value, value);
    }

    #[test]
    fn the_order_of_members_does_not_matter(value in values::value(), seed: u64) {
        prop_assert_eq!(json::from_str(&shuffled(&value, &mut { seed })).unwrap(), value);
    }

    #[test]
    fn any_real_reads_back_as_the_same_bits(bits: u64) {
        let real = f64::from_bits(bits);
        prop_assume!(real.is_normal());
        let text = json::to_string(&Value::Real(real));
        prop_assert_eq!(bytes(&json::from_str(&text).unwrap()), bytes(&Value::Real(real)));
    }

    #[test]
    fn any_text_is_read_or_refused(text in text()) {
        for result in [json::from_slice(&text), json::from_typed_or_plain(&text)] {
            match result {
                Ok(value) => prop_assert!(json::from_str(&json::to_string(&value)).is_ok()),
                Err(error) => prop_assert!(error.offset() <= text.len(), "{}", error),
            }
        }
        let _ = json::decode_data_message(&text);
    }

    #[test]
    fn typed_values_are_plain_json_too(value in values::value()) {
        let text = json::to_string(&value);
        let plain = json::from_plain(text.as_bytes()).unwrap();
        prop_assert_eq!(bytes(&plain), bytes(&value));
    }
}

trait WriteInto {
    fn write_json_into(&self, out: &mut Vec<u8>);
}

impl WriteInto for View<'_> {
    fn write_json_into(&self, out: &mut Vec<u8>) {
        json::write_value(self, out);
    }
}

/// The JSON form with the members of each object in one or the other order, by the bits of the
/// seed.
fn shuffled(value: &Value, seed: &mut u64) -> String {
    *seed = seed.rotate_left(1);
    let swapped = *seed & 1 == 0;
    let data = match value {
        Value::Vector(vector) => elements(vector.iter().map(|element| shuffled(element, seed))),
        Value::Set(set) => elements(set.iter().map(|element| shuffled(element, seed))),
        Value::Table(table) => elements(table.iter().map(|(key, value)| {
            let key = format!(r#""key":{}"#, shuffled(key, seed));
            let value = format!(r#""value":{}"#, shuffled(value, seed));
            object(key, value, swapped)
        })),
        scalar => {
            let text = json::to_string(scalar);
            let data = text.split_once(r#""data":"#).expect("data").1;
            data.strip_suffix('}').expect("an end").to_owned()
        }
    };
    let kind = format!(r#""@data-type":"{}""#, value.kind().name());
    object(kind, format!(r#""data":{data}"#), swapped)
}

fn elements(texts: impl Iterator<Item = String>) -> String {
    format!("[{}]", texts.collect::<Vec<_>>().join(","))
}

fn object(first: String, second: String, swapped: bool) -> String {
    if swapped { format!("{{{second},{first}}}") } else { format!("{{{first},{second}}}") }
}

fn has_white_space_between_tokens(text: &str) -> bool {
    // Every second piece between quotes is a string.
    let outside = text.replace(r"\\", "").replace(r#"\""#, "");
    outside.split('"').step_by(2).any(|piece| piece.contains(char::is_whitespace))
}
