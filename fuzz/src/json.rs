use super::data::survives;
use broker_data::json::{self, JsonReader};
use broker_data::{Value, View, validate};
use broker_proto::fuzzing::Input;

/// What is read from JSON is written as valid JSON that reads as the same; every reader of JSON
/// reads or refuses.
pub(super) fn json(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    match input.below(4) {
        0 => value(input.rest()),
        1 => message(input.rest()),
        2 => plain(input.rest()),
        _ => written(input.rest()),
    }
}

fn value(text: &[u8]) {
    let reader = JsonReader::default();
    let mut payload = b"before".to_vec();
    let read = json::from_slice(text);
    let appended = reader.value_into(text, &mut payload);
    assert_eq!(read.as_ref().err(), appended.as_ref().err());
    let payload = payload.strip_prefix(b"before").unwrap_or_default();
    let Ok(value) = read else {
        assert!(payload.is_empty());
        return;
    };
    assert_eq!(validate(payload, reader.limits), Ok(()));
    assert_eq!(Value::decode(payload).map(|value| value.encode()), Ok(value.encode()));
    comes_back(&value);
}

/// Writes a value as JSON, in both forms that have one, and reads it again.
fn comes_back(value: &Value) {
    let text = json::to_string(value);
    is_json(text.as_bytes());
    let read = json::from_str(&text).map(|value| value.encode());
    assert_eq!(read, Ok(value.encode()), "{text}");
    let payload = value.encode();
    if let Ok(view) = View::parse(&payload) {
        assert_eq!(json::to_string(&view), text);
    }
}

fn message(text: &[u8]) {
    let lenient = JsonReader { require_type: false, require_topic: false, ..JsonReader::default() };
    let Ok(message) = lenient.message(text) else {
        assert!(json::decode_data_message(text).is_err());
        return;
    };
    if message.topic.is_empty() {
        return;
    }
    let mut written = Vec::new();
    json::encode_data_message(&message.topic, &message.value, &mut written);
    is_json(&written);
    let read = json::decode_data_message(&written);
    let shape = |message: json::DataMessage| (message.topic, message.value.encode());
    assert_eq!(read.map(shape), Ok(shape(message)));
}

fn plain(text: &[u8]) {
    let plain = json::from_plain(text);
    let either = json::from_typed_or_plain(text);
    for value in [plain, either].into_iter().flatten() {
        assert_eq!(Value::decode(&value.encode()).map(|value| value.encode()), Ok(value.encode()));
        comes_back(&value);
    }
}

/// The same from the other end: a payload of any sender, as JSON and back.
fn written(payload: &[u8]) {
    let Ok(view) = View::parse(payload) else { return };
    if !survives(&view.to_value()) {
        return;
    }
    let text = json::to_string(&view);
    is_json(text.as_bytes());
    let mut back = Vec::new();
    assert_eq!(JsonReader::default().value_into(text.as_bytes(), &mut back), Ok(()), "{text}");
    assert_eq!(
        View::parse(&back).map(|view| view.to_value().encode()),
        Ok(view.to_value().encode())
    );
    comes_back(&view.to_value());
}

fn is_json(text: &[u8]) {
    let parsed = serde_json::from_slice::<serde::de::IgnoredAny>(text);
    assert!(parsed.is_ok(), "{parsed:?}: {}", String::from_utf8_lossy(text));
}
