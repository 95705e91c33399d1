//! What a message is on a subject: its headers and its payload.

use crate::mark::crossed;
use crate::nats::subjects::Subjects;
use async_nats::HeaderMap;
use broker_core::EndpointId;
use broker_core::data::json::{JsonReader, encode_data_message};
use broker_core::data::zeek::ZeekMessageView;
use broker_core::data::{Timestamp, View};
use bytes::Bytes;
use std::time::{SystemTime, UNIX_EPOCH};

/// What a message is: `event`, `log-create`, `log-write`, `identifier-update`, `batch` or `value`.
pub(crate) const TYPE: &str = "Broker-Type";
/// The id of the endpoint whose bridge has put it there.
pub(crate) const ORIGIN: &str = "Broker-Origin";
/// How many bridges have carried it, with the one that has put it there.
pub(crate) const HOPS: &str = "Broker-Hops";
/// When it was put there, as `2026-12-01T06:00:00.000Z`, with as many digits as needed.
pub(crate) const TIME: &str = "Broker-Time";
/// What its payload is: `binary` or `json`.
pub(crate) const FORMAT: &str = "Broker-Format";
/// The header by which JetStream knows a message again.
pub(crate) const MESSAGE_ID: &str = "Nats-Msg-Id";
/// What Zeek's own backend calls the format of an event.
const ZEEK_FORMAT: &str = "X-Zeek-Format";

/// Longer subjects than this are not sent: servers end a connection for a line that is too long.
const LONGEST_SUBJECT: usize = 1024;

/// The form of payloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Format {
    /// Broker's binary form, as in its own messages.
    #[default]
    Binary,
    /// The text of the JSON API.
    Json,
}

impl Format {
    pub(crate) fn of(name: &str) -> Result<Self, String> {
        match name {
            "binary" => Ok(Self::Binary),
            "json" => Ok(Self::Json),
            _ => Err(format!("format={name}: a payload is either binary or json")),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Binary => "binary",
            Self::Json => "json",
        }
    }
}

/// A message on its way to NATS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parcel {
    pub(crate) subject: String,
    pub(crate) kind: String,
    pub(crate) origin: String,
    pub(crate) hops: u64,
    pub(crate) time: i64,
    pub(crate) format: Format,
    pub(crate) payload: Bytes,
}

/// A message that came from NATS, for the overlay.
#[derive(Debug, PartialEq)]
pub(crate) struct Arrival {
    pub(crate) topic: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

/// What was found on a subject instead of a message for the overlay.
#[derive(Debug, PartialEq)]
pub(crate) enum NoArrival {
    /// It is none of the topics of the rule.
    Elsewhere,
    /// It was put there by this endpoint.
    Own,
    /// It has no meaning, and why.
    Unexpected(String),
}

impl Parcel {
    /// `None` if the subject would be too long.
    pub(crate) fn new(
        subjects: &Subjects,
        format: Format,
        origin: Option<EndpointId>,
        topic: &[u8],
        value: View<'_>,
    ) -> Option<Self> {
        let subject = subjects.subject(topic);
        if subject.len() > LONGEST_SUBJECT {
            return None;
        }
        let kind = match ZeekMessageView::parse(value) {
            Ok(ZeekMessageView::Event(_)) => "event",
            Ok(ZeekMessageView::LogCreate(_)) => "log-create",
            Ok(ZeekMessageView::LogWrite(_)) => "log-write",
            Ok(ZeekMessageView::IdentifierUpdate(_)) => "identifier-update",
            Ok(ZeekMessageView::Batch(_)) => "batch",
            Err(_) => "value",
        };
        let payload = match format {
            Format::Binary => value.raw().to_vec(),
            Format::Json => {
                let mut text = Vec::new();
                encode_data_message(topic, &value, &mut text);
                text
            }
        };
        Some(Self {
            subject,
            kind: kind.to_owned(),
            origin: origin.map(|id| id.to_string()).unwrap_or_default(),
            hops: crossed(value).max(1),
            time: now(),
            format,
            payload: payload.into(),
        })
    }

    /// The bytes that a server counts against its largest payload, at most.
    pub(crate) fn length(&self) -> usize {
        self.payload.len() + self.kind.len() + self.origin.len() + 256
    }

    pub(crate) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(TYPE, self.kind.as_str());
        headers.insert(FORMAT, self.format.name());
        headers.insert(HOPS, self.hops.to_string());
        headers.insert(TIME, format!("{}Z", Timestamp(self.time)));
        if !self.origin.is_empty() {
            headers.insert(ORIGIN, self.origin.as_str());
        }
        headers
    }
}

/// Reads what came on a subject. `from` are the prefixes of the topics that are wanted; what has no
/// header for its form has the one of the rule.
pub(crate) fn read(
    subjects: &Subjects,
    format: Format,
    from: &[String],
    own: Option<EndpointId>,
    message: &async_nats::Message,
) -> Result<Arrival, NoArrival> {
    let subject = message.subject.as_str();
    let Some(topic) = subjects.topic(subject) else {
        let is_internal = subject.starts_with('$') || subject.starts_with("_INBOX.");
        return Err(match is_internal {
            true => NoArrival::Elsewhere,
            false => NoArrival::Unexpected(format!("the subject {subject:?} stands for no topic")),
        });
    };
    if !from.iter().any(|prefix| topic.starts_with(prefix.as_bytes())) {
        return Err(NoArrival::Elsewhere);
    }
    let header = |name: &str| {
        message.headers.as_ref().and_then(|headers| headers.get(name)).map(|value| value.as_str())
    };
    if let (Some(own), Some(origin)) = (own, header(ORIGIN))
        && origin.parse() == Ok(own)
    {
        return Err(NoArrival::Own);
    }
    let unexpected =
        |what: String| NoArrival::Unexpected(format!("on the subject {subject:?}: {what}"));
    let format = match (header(FORMAT), header(ZEEK_FORMAT)) {
        (Some(name), _) => Format::of(name).map_err(unexpected)?,
        (None, Some("broker-bin-v1")) => Format::Binary,
        (None, Some("broker-json-v1")) => Format::Json,
        (None, Some(other)) => return Err(unexpected(format!("{ZEEK_FORMAT} {other:?}"))),
        (None, None) => format,
    };
    let payload = match format {
        Format::Binary => {
            View::parse(&message.payload).map_err(|error| unexpected(error.to_string()))?;
            message.payload.to_vec()
        }
        Format::Json => from_json(&message.payload).map_err(unexpected)?,
    };
    Ok(Arrival { topic, payload })
}

/// The time now, in nanoseconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// The value of a text, which is a message of the JSON API or a value alone. The subject says the
/// topic, and one in the text says nothing.
fn from_json(text: &[u8]) -> Result<Vec<u8>, String> {
    let reader = JsonReader { require_type: false, require_topic: false, ..JsonReader::default() };
    let mut payload = Vec::new();
    let read = reader.message_into(text, &mut payload).map(drop);
    match read.or_else(|_| reader.value_into(text, &mut payload)) {
        Ok(()) => Ok(payload),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use broker_core::data::Value;
    use broker_core::data::zeek::ZeekEvent;

    fn sent(format: Format, topic: &str, value: &Value, origin: EndpointId) -> async_nats::Message {
        let payload = value.encode();
        let view = View::parse(&payload).unwrap();
        let parcel =
            Parcel::new(&Subjects::default(), format, Some(origin), topic.as_bytes(), view)
                .unwrap();
        async_nats::Message {
            subject: parcel.subject.clone().into(),
            reply: None,
            headers: Some(parcel.headers()),
            payload: parcel.payload,
            status: None,
            description: None,
            length: 0,
        }
    }

    fn received(
        from: &str,
        own: EndpointId,
        message: &async_nats::Message,
    ) -> Result<Arrival, NoArrival> {
        read(&Subjects::default(), Format::Json, &[from.to_owned()], Some(own), message)
    }

    #[test]
    fn a_message_is_the_same_after_both_forms() {
        let value = Value::from(ZeekEvent::new("ping").arg(1_u64).arg("x"));
        for format in [Format::Binary, Format::Json] {
            let message = sent(format, "/a/b", &value, EndpointId::random());
            let arrival = received("/a", EndpointId::random(), &message).unwrap();
            assert_eq!(arrival.topic, b"/a/b");
            assert_eq!(Value::decode(&arrival.payload).unwrap(), value);
            let headers = message.headers.unwrap();
            let header = |name: &str| headers.get(name).unwrap().as_str().to_owned();
            assert_eq!((header(TYPE), header(HOPS)), ("event".to_owned(), "1".to_owned()));
            assert_eq!(header(FORMAT), format.name());
            assert!(header(TIME).starts_with("20") && header(TIME).ends_with('Z'));
        }
    }

    #[test]
    fn what_is_not_for_the_overlay_is_told_by_its_cause() {
        let (own, value) = (EndpointId::random(), Value::Count(1));
        let message = sent(Format::Binary, "/a/b", &value, own);
        assert_eq!(received("/a", own, &message), Err(NoArrival::Own));
        assert_eq!(received("/b", EndpointId::random(), &message), Err(NoArrival::Elsewhere));
        let broken = async_nats::Message { payload: Bytes::from_static(&[2]), ..message.clone() };
        let outcome = received("/a", EndpointId::random(), &broken);
        assert!(matches!(outcome, Err(NoArrival::Unexpected(_))), "{outcome:?}");
        // Without headers the rule says what it is.
        let text = Bytes::from_static(br#"{"@data-type":"count","data":7}"#);
        let foreign = async_nats::Message { payload: text, headers: None, ..message };
        let arrival = received("/a", own, &foreign).unwrap();
        assert_eq!(Value::decode(&arrival.payload).unwrap(), Value::Count(7));
    }

    #[test]
    fn a_topic_that_makes_too_long_a_subject_is_not_sent() {
        let payload = Value::Count(1).encode();
        let view = View::parse(&payload).unwrap();
        let parcel = |length: usize| {
            let topic = vec![b' '; length];
            Parcel::new(&Subjects::default(), Format::Binary, None, &topic, view)
        };
        assert!(parcel(340).is_some() && parcel(342).is_none());
    }
}
