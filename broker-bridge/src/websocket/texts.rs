use broker_core::data::json::encode_data_message;
use broker_core::data::zeek::ZeekMessageView;
use broker_core::data::{Value, View, zeek};

/// Whether a server takes only Zeek's events. Servers of the C++ library take any value, and have a
/// version below that of any Zeek with a server of its own.
pub(super) fn takes_only_events(version: &str) -> bool {
    let major = version.split('.').next().and_then(|text| text.parse::<u32>().ok());
    major.is_some_and(|major| major >= 5)
}

/// A message of the overlay as the texts to send, and how many messages in it cannot be sent.
pub(super) fn texts(topic: &[u8], value: View<'_>, only_events: bool) -> (Vec<String>, u64) {
    let mut carried = Texts { topic, texts: Vec::new(), left_out: 0 };
    if only_events {
        match ZeekMessageView::parse(value) {
            Ok(ZeekMessageView::Event(_)) => carried.push(&value),
            Ok(ZeekMessageView::Batch(batch)) => {
                for message in batch.messages() {
                    carried.unpack(message);
                }
            }
            _ => carried.left_out += 1,
        }
    } else {
        carried.push(&value);
    }
    (carried.texts, carried.left_out)
}

struct Texts<'a> {
    topic: &'a [u8],
    texts: Vec<String>,
    left_out: u64,
}

impl Texts<'_> {
    fn push(&mut self, value: &impl broker_core::data::json::ToJson) {
        let mut text = Vec::new();
        encode_data_message(self.topic, value, &mut text);
        match String::from_utf8(text) {
            Ok(text) => self.texts.push(text),
            Err(_) => self.left_out += 1,
        }
    }

    /// A batch is unpacked like in Zeek, which sends only its events to clients.
    fn unpack(&mut self, message: ZeekMessageView<'_>) {
        match message {
            ZeekMessageView::Event(event) => self.push(&Value::from(zeek::ZeekEvent::from(event))),
            _ => self.left_out += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use broker_core::data::zeek::{ZeekEvent, ZeekMessage};

    fn carry(value: &Value, only_events: bool) -> (usize, u64) {
        let payload = value.encode();
        let (texts, left_out) = texts(b"/t", View::parse(&payload).unwrap(), only_events);
        (texts.len(), left_out)
    }

    #[test]
    fn zeeks_own_servers_are_told_by_their_version() {
        assert!(takes_only_events("8.0.1"));
        assert!(takes_only_events("9.1.0-dev.5"));
        for other in ["2.7.0", "2.8.0-dev", "0.1.0", "", "x"] {
            assert!(!takes_only_events(other), "{other}");
        }
    }

    #[test]
    fn events_are_carried_batches_unpacked_and_the_rest_counted() {
        let event = || ZeekMessage::Event(ZeekEvent::new("ping").arg(1_u64));
        let batch = ZeekMessage::Batch(vec![event(), event(), ZeekMessage::Batch(vec![])]);
        assert_eq!(carry(&Value::from(event()), true), (1, 0));
        assert_eq!(carry(&Value::from(batch.clone()), true), (2, 1));
        assert_eq!(carry(&Value::Count(1), true), (0, 1));
        assert_eq!(carry(&Value::Count(1), false), (1, 0));
        assert_eq!(carry(&Value::from(batch), false), (1, 0));
    }
}
