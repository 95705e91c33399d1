use crate::Carried;
use crate::other_side::Parcels;
use broker_core::data::json::{ToJson, encode_data_message};
use broker_core::data::zeek::ZeekMessageView;
use broker_core::data::{Value, View, zeek};

/// Whether a server takes only Zeek's events. Servers of the C++ library take any value, and have a
/// version below that of any Zeek with a server of its own.
pub(super) fn takes_only_events(version: &str) -> bool {
    let major = version.split('.').next().and_then(|text| text.parse::<u32>().ok());
    major.is_some_and(|major| major >= 5)
}

/// Puts a message of the overlay into the texts to send.
pub(super) fn encode(
    topic: &[u8],
    value: View<'_>,
    only_events: bool,
    parcels: &mut Parcels<String>,
) {
    if !only_events {
        return push(topic, &value, parcels);
    }
    match ZeekMessageView::parse(value) {
        Ok(ZeekMessageView::Event(_)) => push(topic, &value, parcels),
        // A batch is unpacked like in Zeek, which sends only its events to clients.
        Ok(ZeekMessageView::Batch(batch)) => {
            for message in batch.messages() {
                match message {
                    ZeekMessageView::Event(event) => {
                        push(topic, &Value::from(zeek::ZeekEvent::from(event)), parcels);
                    }
                    _ => parcels.leave(Carried::NoEvent),
                }
            }
        }
        _ => parcels.leave(Carried::NoEvent),
    }
}

fn push(topic: &[u8], value: &impl ToJson, parcels: &mut Parcels<String>) {
    let mut text = Vec::new();
    encode_data_message(topic, value, &mut text);
    match String::from_utf8(text) {
        Ok(text) => {
            let length = text.len();
            parcels.push(text, length);
        }
        Err(_) => parcels.leave(Carried::NoEvent),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use broker_core::data::zeek::{ZeekEvent, ZeekMessage};

    fn carry(value: &Value, only_events: bool) -> (usize, usize) {
        let payload = value.encode();
        let mut parcels = Parcels::new();
        encode(b"/t", View::parse(&payload).unwrap(), only_events, &mut parcels);
        assert!(parcels.left.iter().all(|left| *left == Carried::NoEvent));
        (parcels.ready.len(), parcels.left.len())
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
