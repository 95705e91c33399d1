use crate::client::{ClientEvent, understand};
use crate::framing::{Framing, Received, Side, text_frame};
use crate::server::{answers, read_subscriptions};
use broker_core::data::View;
use broker_core::data::json;
use broker_proto::fuzzing::Input;
use bytes::Bytes;
use std::collections::BTreeSet;

/// The first message of a client is a list of texts and nothing else.
pub(super) fn subscriptions(mut input: Input<'_>) {
    let limit = 1 + input.below(8);
    let text = input.rest();
    let plain = serde_json::from_slice::<Vec<String>>(text);
    match (read_subscriptions(text, limit), plain) {
        (Ok(prefixes), Ok(plain)) => {
            assert!(plain.len() <= limit);
            let plain: BTreeSet<Bytes> = plain.into_iter().map(Bytes::from).collect();
            assert_eq!(prefixes, plain.into_iter().collect::<Vec<_>>());
        }
        (Ok(prefixes), Err(error)) => unreachable!("{prefixes:?} of no list: {error}"),
        (Err(_), Err(_)) => {}
        (Err(error), Ok(plain)) => assert!(plain.len() > limit, "{error:?}"),
    }
}

/// A message to a client is a frame of which the client gets the same message.
pub(super) fn messages(mut input: Input<'_>) {
    let topic = input.string();
    let Ok(view) = View::parse(input.rest()) else { return };
    let frame = text_frame(|out| json::encode_data_message(topic, &view, out));
    let text = only_text(&frame);
    let ClientEvent::Message(message) = understand(text.as_bytes()) else {
        // Reading has its limits on depth, and an empty topic may be left out.
        return;
    };
    assert_eq!(message.topic, topic);
    assert_eq!(message.data().map(|value| value.encode()), Ok(view.to_value().encode()));
}

/// Whatever a server sends is understood as something; errors come back as they were meant.
pub(super) fn texts(text: &[u8]) {
    if let ClientEvent::Message(message) = understand(text) {
        assert!(message.view().is_ok());
    }
    let context = String::from_utf8_lossy(text);
    let frame = answers::error_frame("code", &context);
    match understand(only_text(&frame).as_bytes()) {
        ClientEvent::Error { code, context: read } => {
            assert_eq!((code.as_str(), read.as_str()), ("code", &*context));
        }
        other => unreachable!("{other:?}"),
    }
}

/// The one text that a frame is for a client.
fn only_text(frame: &[u8]) -> String {
    let mut framing = Framing::new(Side::Client, 1 << 26);
    framing.push(frame);
    match (framing.next(), framing.next()) {
        (Ok(Some(Received::Text(text))), Ok(None)) => text.to_string(),
        other => unreachable!("{other:?}"),
    }
}
