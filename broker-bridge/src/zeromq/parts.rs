//! Messages of a cluster: topic, sender, serializer, event.

use super::topics::PROBE;
use broker_core::data::json::JsonReader;
use broker_core::data::zeek::{ZeekEvent, ZeekMessageView};
use broker_core::data::{Encode, Value, View};
use broker_zmtp::Message;
use std::borrow::Cow;

/// The serializer that clusters use unless they are told otherwise; its payload is that of a native
/// message.
pub(super) const BINARY: &[u8] = b"broker-bin-v1";
const JSON: &[u8] = b"broker-json-v1";

/// An event of a cluster.
#[derive(Debug, PartialEq)]
pub(super) struct Received<'a> {
    pub(super) topic: &'a [u8],
    /// The node that sent it, as it says.
    pub(super) sender: &'a [u8],
    pub(super) payload: Cow<'a, [u8]>,
}

/// Reads a message of a cluster, or says what is wrong with it.
pub(super) fn read(message: &Message) -> Result<Received<'_>, String> {
    let Some([topic, sender, serializer, payload]) = message.exactly::<4>() else {
        return Err(format!("a message of {} parts instead of four", message.parts().len()));
    };
    let payload = match serializer {
        BINARY => Cow::Borrowed(payload),
        JSON => Cow::Owned(from_json(payload)?),
        other => {
            let name = other.escape_ascii();
            return Err(format!("a message in the serialization {name}, which is not known here"));
        }
    };
    let view = View::parse(&payload).map_err(|error| error.to_string())?;
    match ZeekMessageView::parse(view).map_err(|error| error.to_string())? {
        ZeekMessageView::Event(_) => Ok(Received { topic, sender, payload }),
        other => {
            Err(format!("a message of the type {:?} instead of an event", other.message_type()))
        }
    }
}

fn from_json(text: &[u8]) -> Result<Vec<u8>, String> {
    let mut payload = Vec::new();
    let decoded = JsonReader::default().value_into(text, &mut payload);
    decoded.map(|()| payload).map_err(|error| error.to_string())
}

/// An event with two texts as arguments, as nodes greet each other.
pub(super) fn greeting(name: &str, [first, second]: [&str; 2]) -> Vec<u8> {
    Value::from(ZeekEvent::new(name).arg(first).arg(second)).encode().to_vec()
}

/// The two texts in such an event.
pub(super) fn greeted(payload: &[u8]) -> Option<(&[u8], [&str; 2])> {
    let ZeekMessageView::Event(event) = ZeekMessageView::parse(View::parse(payload).ok()?).ok()?
    else {
        return None;
    };
    let mut args = event.args().iter();
    let (first, second) = (args.next()?.as_str()?, args.next()?.as_str()?);
    args.next().is_none().then_some((event.name().as_ref(), [first, second]))
}

/// What goes round through the proxy to find out whether everything before it has arrived there. An
/// event that every Zeek declares and none handles, should one subscribe to everything.
pub(super) fn probe() -> Vec<u8> {
    let mut payload = Vec::new();
    ZeekEvent::new("event_queue_flush_point").encode_into(&mut payload);
    payload
}

/// The topic of a probe.
pub(super) fn probe_topic(id: &str, number: u64) -> String {
    format!("{PROBE}{id}.{number}.")
}

/// What to subscribe to for one's own probes.
pub(super) fn probe_topics(id: &str) -> String {
    format!("{PROBE}{id}.")
}

/// The number of an own probe.
pub(super) fn probe_number(id: &str, topic: &[u8]) -> Option<u64> {
    let rest = topic.strip_prefix(probe_topics(id).as_bytes())?.strip_suffix(b".")?;
    std::str::from_utf8(rest).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(parts: &[&[u8]]) -> Message {
        parts.iter().copied().collect()
    }

    #[test]
    fn events_pass_in_either_serialization() {
        let event = Value::from(ZeekEvent::new("ping").arg(7_u64));
        let binary = event.encode();
        let json = broker_core::data::json::to_string(&event);
        for (serializer, payload) in [(BINARY, &binary[..]), (JSON, json.as_bytes())] {
            let message = message(&[b"/t", b"node", serializer, payload]);
            let received = read(&message).unwrap();
            assert_eq!((received.topic, received.sender), (&b"/t"[..], &b"node"[..]));
            assert_eq!(received.payload, &binary[..]);
        }
    }

    #[test]
    fn what_is_no_event_is_refused_with_a_reason() {
        let number = Value::Count(1).encode();
        let event = Value::from(ZeekEvent::new("ping")).encode();
        let trailing = [&event[..], b"\0"].concat();
        for (parts, reason) in [
            (&[&b"/t"[..], b"node", BINARY][..], "3 parts"),
            (&[b"/t", b"node", b"other", &event], "serialization other"),
            (&[b"/t", b"node", BINARY, &number], "vector"),
            (&[b"/t", b"node", BINARY, &trailing], ""),
            (&[b"/t", b"node", BINARY, b""], ""),
            (&[b"/t", b"node", JSON, b"{"], ""),
        ] {
            let error = read(&message(parts)).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn greetings_and_probes_are_read_as_they_were_written() {
        let payload = greeting("Cluster::hello", ["w", "x"]);
        let golden =
            b"\x0e\x03\x02\0\0\0\0\0\0\0\x01\x02\0\0\0\0\0\0\0\x01\x0e\x02\x05\x0eCluster::hello\
              \x0e\x02\x05\x01w\x05\x01x";
        assert_eq!(payload, golden);
        assert_eq!(greeted(&payload), Some((&b"Cluster::hello"[..], ["w", "x"])));
        assert_eq!(greeted(&probe()), None);
        let topic = probe_topic("n", 12);
        assert_eq!(probe_number("n", topic.as_bytes()), Some(12));
        assert_eq!(probe_number("m", topic.as_bytes()), None);
        assert_eq!(probe_number("n", b"zeek.zeromq.internal.n.x."), None);
    }
}
