//! The messages that Zeek puts inside values, against how the C++ Broker judges and
//! reads them.

mod fixtures;

use broker_data::zeek::{
    MessageType, NETWORK_TIMESTAMP, ZeekEvent, ZeekEventView, ZeekMessage, ZeekMessageView,
};
use broker_data::{BStr, Encode, Timestamp, Value, View, vector};
use fixtures::{cases, hex, payload, text};
use serde_json::{Value as Json, json};

fn classified(view: View<'_>) -> String {
    format!("{:?}", MessageType::of(view))
}

#[test]
fn messages_are_classified_by_their_type_field() {
    for case in cases("zeek-messages.json", "messages") {
        let bytes = payload(&case);
        let view = View::parse(&bytes).unwrap();
        assert_eq!(classified(view), text(&case, "message_type"), "{}", text(&case, "name"));
    }
}

#[test]
fn messages_are_valid_as_the_cpp_broker_says() {
    for case in cases("zeek-messages.json", "messages") {
        let name = text(&case, "name");
        let bytes = payload(&case);
        let view = View::parse(&bytes).unwrap();
        let valid = text(&case, "reference") == "valid";
        let viewed = ZeekMessageView::parse(view);
        assert_eq!(viewed.is_ok(), valid, "{name}: {viewed:?}");
        let owned = ZeekMessage::try_from(view.to_value());
        assert_eq!(owned.as_ref().err(), viewed.as_ref().err(), "{name}");
        if let (Ok(owned), Ok(viewed)) = (owned, viewed) {
            assert_eq!(owned, viewed.to_message(), "{name}");
        }
    }
}

fn bytes(bytes: &BStr) -> Json {
    std::str::from_utf8(bytes).expect("UTF-8").into()
}

fn event_fields(event: ZeekEventView<'_>) -> Json {
    let ids: Vec<u64> = event.metadata().map(|(id, _)| id).collect();
    json!({
        "event_name": bytes(event.name()),
        "arguments": event.args().len(),
        "metadata_ids": event.has_metadata().then_some(ids),
        "network_timestamp_ns": event.network_timestamp().map(|timestamp| timestamp.0),
    })
}

fn fields(message: ZeekMessageView<'_>) -> Json {
    match message {
        ZeekMessageView::Event(event) => event_fields(event),
        ZeekMessageView::LogCreate(log) => {
            json!({ "stream": bytes(log.stream), "writer": bytes(log.writer) })
        }
        ZeekMessageView::LogWrite(log) => json!({
            "stream": bytes(log.stream),
            "writer": bytes(log.writer),
            "path": bytes(log.path),
            "record_hex": hex(log.record),
        }),
        ZeekMessageView::IdentifierUpdate(update) => {
            json!({ "identifier": bytes(update.identifier) })
        }
        ZeekMessageView::Batch(batch) => {
            let types: Vec<_> =
                batch.messages().map(|message| format!("{:?}", message.message_type())).collect();
            assert_eq!(types.len(), batch.len());
            json!({ "items": types })
        }
    }
}

#[test]
fn fields_are_read_as_the_cpp_broker_reads_them() {
    for case in cases("zeek-messages.json", "messages") {
        let bytes = payload(&case);
        let Ok(message) = ZeekMessageView::parse(View::parse(&bytes).unwrap()) else { continue };
        let mut expected = case["fields"].clone();
        if let Some(expected) = expected.as_object_mut() {
            expected.remove("value_text");
        }
        assert_eq!(fields(message), expected, "{}", text(&case, "name"));
    }
}

#[test]
fn messages_are_written_as_they_were_apart_from_ignored_elements() {
    for case in cases("zeek-messages.json", "messages") {
        let bytes = payload(&case);
        let Ok(message) = ZeekMessageView::parse(View::parse(&bytes).unwrap()) else { continue };
        let message = message.to_message();
        let mut written = Vec::new();
        message.encode_into(&mut written);
        assert_eq!(Value::decode(&written), Ok(Value::from(message)), "{}", text(&case, "name"));
        if !text(&case, "name").contains("extra") {
            assert_eq!(hex(&written), hex(&bytes), "{}", text(&case, "name"));
        }
    }
}

#[test]
fn an_event_is_written_with_the_metadata_it_was_built_with() {
    let written = |event: ZeekEvent| hex(&Value::from(event).encode());
    let head = "0e03020000000000000001020000000000000001";
    let bare = ZeekEvent::new("p");
    assert_eq!(written(bare.clone()), format!("{head}0e020501700e00"));
    let empty = ZeekEvent { metadata: Some(vec![]), ..bare.clone() };
    assert_eq!(written(empty), format!("{head}0e030501700e000e00"));
    let stamped = bare.network_timestamp(Timestamp(5));
    assert_eq!(stamped.metadata_value(NETWORK_TIMESTAMP), Some(&Timestamp(5).into()));
    assert_eq!(
        written(stamped),
        format!("{head}0e030501700e000e010e02020000000000000001090000000000000005")
    );
}

#[test]
fn arguments_read_as_rust_types() {
    let bytes = Value::from(ZeekEvent::new("ping").arg("hi").arg(5_u64)).encode();
    let Ok(ZeekMessageView::Event(event)) = ZeekMessageView::parse(View::parse(&bytes).unwrap())
    else {
        panic!("not an event")
    };
    assert_eq!(event.read_args(), Ok(("hi".to_owned(), 5_u16)));
    let error = event.read_args::<(String, bool)>().unwrap_err();
    assert_eq!(error.to_string(), "expected boolean, found count at [1]");
}

#[track_caller]
fn refused(value: Value, message: &str) {
    let error = ZeekMessage::try_from(&value).expect_err("invalid");
    assert_eq!(error.to_string(), message);
    let bytes = value.encode();
    let view = View::parse(&bytes).expect("a value");
    assert_eq!(ZeekMessageView::parse(view).err(), Some(error));
}

#[test]
fn errors_say_what_is_wrong_and_where() {
    let event = |content: Value| vector![1_u64, 1_u64, content];
    refused(Value::None, "a message must be of type vector, not none");
    refused(vector![1_u64], "a message must have at least 3 elements, not 1");
    refused(vector![2_u64, 1_u64, vector![]], "unknown format version 2, only 1 is known at [0]");
    refused(
        vector![1_u64, 6_u64, vector![]],
        "unknown message type 6, only 1 to 5 are known at [1]",
    );
    refused(
        event(vector![Value::enum_value("x"), vector![]]),
        "the name of an event must be of type string, not enum-value at [2][0]",
    );
    refused(
        event(vector!["x", vector![], vector![(200_u64, 1_u64), (1_u64, 1_u64)]]),
        "the network timestamp must be of type timestamp, not count at [2][2][1][1]",
    );
    refused(
        vector![1_u64, 5_u64, vector![event(vector!["x", vector![]]), event(vector!["x"])]],
        "the content of an event must have at least 2 elements, not 1 at [2][1][2]",
    );
}

#[test]
fn deeply_nested_batches_are_refused() {
    let mut value = vector![1_u64, 5_u64, vector![]];
    for _ in 0..127 {
        value = vector![1_u64, 5_u64, vector![value]];
    }
    assert!(ZeekMessage::try_from(&value).is_ok());
    value = vector![1_u64, 5_u64, vector![value]];
    let error = ZeekMessage::try_from(&value).unwrap_err().to_string();
    assert!(error.starts_with("more than 128 batches inside each other at [2]"), "{error}");
}
