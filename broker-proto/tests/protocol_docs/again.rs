//! Decodes what is in a dump and encodes it again.

use broker_proto::data::json::{self, JsonReader};
use broker_proto::data::zeek::ZeekMessage;
use broker_proto::data::{DecodeLimits, Encode, Value};
use broker_proto::overlay::preference;
use broker_proto::wire::announcement::Announcement;
use broker_proto::wire::command::{self, Command, EntityId, InternalCommand};
use broker_proto::wire::drops;
use broker_proto::wire::envelope::{self, Envelope, EnvelopeType};
use broker_proto::wire::frame::{PREFIX, split_frame};
use broker_proto::wire::handshake::HandshakeMessage;
use broker_proto::wire::{Reader, put_varbyte, routing_update};
use broker_proto::{Limits, data};

/// What a dump can be.
pub(crate) const KINDS: &[&str] = &[
    "sizes",
    "hello",
    "probe",
    "version-select",
    "drop-conn",
    "originator-syn",
    "responder-syn-ack",
    "originator-ack",
    "data-message",
    "command-message",
    "routing-update",
    "ping",
    "drops",
    "pong",
    "value",
    "accepted-value",
    "refused-value",
    "zeek-message",
    "announcement",
    "preference",
];

type Outcome = Result<(), String>;

/// Checks a dump. The note of a value is its text form, or the beginning of it and three dots.
pub(crate) fn check(kind: &str, note: &str, bytes: &[u8]) -> Outcome {
    match kind {
        "sizes" => sizes_again(bytes, note),
        "hello" | "probe" | "version-select" | "drop-conn" | "originator-syn"
        | "responder-syn-ack" | "originator-ack" => handshake(kind, bytes),
        "data-message" => check_envelope(EnvelopeType::Data, bytes, value_again),
        "command-message" => check_envelope(EnvelopeType::Command, bytes, command_again),
        "routing-update" => check_envelope(EnvelopeType::RoutingUpdate, bytes, filter_again),
        "ping" => check_envelope(EnvelopeType::Ping, bytes, |payload| Ok(payload.to_vec())),
        "drops" => check_envelope(EnvelopeType::Ping, bytes, drops_again),
        "pong" => check_envelope(EnvelopeType::Pong, bytes, |payload| Ok(payload.to_vec())),
        "announcement" => check_envelope(EnvelopeType::Announcement, bytes, announcement_again),
        "preference" => preference_again(bytes),
        "value" => {
            same(bytes, &value_again(bytes)?)?;
            let text = Value::decode(bytes).map_err(|error| error.to_string())?.to_string();
            let is_right = match note.strip_suffix("...") {
                Some(beginning) => text.starts_with(beginning),
                None => text == note,
            };
            is_right.then_some(()).ok_or(format!("is {text:?}, not {note:?}"))
        }
        "accepted-value" => {
            let canonical = value_again(bytes)?;
            let is_odd = canonical != bytes;
            is_odd.then_some(()).ok_or_else(|| "is in its canonical form".to_owned())
        }
        "refused-value" => {
            let decoded = Value::decode(bytes);
            decoded.err().map(drop).ok_or_else(|| "is not refused".to_owned())
        }
        "zeek-message" => {
            let value = Value::decode(bytes).map_err(|error| error.to_string())?;
            let message = ZeekMessage::try_from(value).map_err(|error| error.to_string())?;
            same(bytes, &encoded(&message))
        }
        _ => Err("is not a kind of dump that this test knows".to_owned()),
    }
}

/// Checks a text of JSON: a value, a data message, or some other JSON.
pub(crate) fn check_json(kind: &str, text: &str) -> Outcome {
    let mut again = Vec::new();
    match kind {
        "" => {
            let json: Result<serde_json::Value, _> = serde_json::from_str(text);
            return json.map(drop).map_err(|error| error.to_string());
        }
        "value" => {
            let value = json::from_str(text).map_err(|error| error.to_string())?;
            json::write_value(&value, &mut again);
        }
        "data-message" => {
            let message = JsonReader::default().message(text.as_bytes());
            let message = message.map_err(|error| error.to_string())?;
            json::encode_data_message(&message.topic, &message.value, &mut again);
        }
        _ => return Err(format!("{kind} is not a kind of JSON that this test knows")),
    }
    let again = String::from_utf8_lossy(&again);
    (again == text).then_some(()).ok_or(format!("comes out as {again}"))
}

fn same(bytes: &[u8], again: &[u8]) -> Outcome {
    (bytes == again).then_some(()).ok_or_else(|| format!("comes out as\n  {}", super::hex(again)))
}

fn encoded(value: &impl Encode) -> Vec<u8> {
    let mut out = Vec::new();
    value.encode_into(&mut out);
    out
}

fn sizes_again(bytes: &[u8], note: &str) -> Outcome {
    let mut reader = Reader::new(bytes);
    let (mut again, mut sizes) = (Vec::new(), Vec::new());
    while !reader.rest().is_empty() {
        let size = reader.varbyte().ok_or("has something that is no size")?;
        put_varbyte(&mut again, size);
        sizes.push(size.to_string());
    }
    let sizes = sizes.join(" ");
    (sizes == note).then_some(()).ok_or_else(|| format!("is {sizes}, not {note}"))?;
    same(bytes, &again)
}

/// The payload of the one frame.
fn payload(bytes: &[u8]) -> Result<&[u8], String> {
    match split_frame(bytes) {
        Some((frame, [])) => Ok(frame.get(PREFIX..).unwrap_or_default()),
        Some((_, rest)) => Err(format!("has {} bytes behind the frame", rest.len())),
        None => Err("is not a whole frame".to_owned()),
    }
}

fn handshake(kind: &str, bytes: &[u8]) -> Outcome {
    let message = HandshakeMessage::decode(payload(bytes)?, Limits::default().filter());
    let message = message.map_err(|error| error.to_string())?;
    if message.name().replace('_', "-") != kind {
        return Err(format!("is a {}", message.name()));
    }
    same(bytes, &message.to_frame())
}

fn check_envelope(
    kind: EnvelopeType,
    bytes: &[u8],
    payload_again: impl Fn(&[u8]) -> Result<Vec<u8>, String>,
) -> Outcome {
    let envelope = Envelope::decode(payload(bytes)?).map_err(|error| error.to_string())?;
    if envelope.kind != kind {
        return Err(format!("is a {}", envelope.kind.name()));
    }
    let payload = payload_again(envelope.payload)?;
    let mut again = Vec::new();
    let written = Envelope { payload: &payload, ..envelope }.put_frame(&mut again);
    written.map_err(|error| error.to_string())?;
    if let Some(passage) = envelope::passage(bytes.get(PREFIX..).unwrap_or_default()) {
        let plain = std::mem::take(&mut again);
        envelope::put_with_passage(&mut again, &plain, passage, envelope.ttl);
    }
    same(bytes, &again)
}

fn value_again(bytes: &[u8]) -> Result<Vec<u8>, String> {
    data::validate(bytes, DecodeLimits::default()).map_err(|error| error.to_string())?;
    let value = Value::decode(bytes).map_err(|error| error.to_string())?;
    Ok(encoded(&value))
}

fn filter_again(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let filter = routing_update::decode(bytes, Limits::default().filter());
    let mut out = Vec::new();
    routing_update::encode(&mut out, &filter.map_err(|error| error.to_string())?);
    Ok(out)
}

fn drops_again(payload: &[u8]) -> Result<Vec<u8>, String> {
    let total = drops::total(payload).ok_or("no total of drops")?;
    Ok(drops::payload(total).to_vec())
}

fn announcement_again(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let announcement = Announcement::decode(bytes).map_err(|error| error.to_string())?;
    let mut out = Vec::new();
    announcement.put(&mut out);
    Ok(out)
}

/// Three ids and what comes of them.
fn preference_again(bytes: &[u8]) -> Outcome {
    let mut reader = Reader::new(bytes);
    let ids = [reader.id(), reader.id(), reader.id()];
    let [Some(from), Some(to), Some(candidate)] = ids else {
        return Err("is too short".to_owned());
    };
    let preference = preference(from, to, candidate);
    let all = [from, to, candidate].map(|id| *id.as_bytes()).concat();
    same(bytes, &[&all[..], &preference.to_be_bytes()].concat())
}

/// This project passes commands on and makes none, so what writes them is here: field by field, as
/// the table in the document has it.
fn command_again(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let command = command::decode(bytes, DecodeLimits::default());
    let InternalCommand { sequence, sender, receiver, content } =
        command.map_err(|error| error.to_string())?;
    let mut out = Vec::new();
    put(&mut out, sequence);
    put_entity(&mut out, sender);
    put_entity(&mut out, receiver);
    put_content(&mut out, content);
    Ok(out)
}

fn put_content(out: &mut Vec<u8>, content: Command<'_>) {
    match content {
        Command::Put { key, value, expiry, publisher } => {
            out.push(0);
            out.extend_from_slice(&[key, value].concat());
            put_expiry(out, expiry);
            put_entity(out, publisher);
        }
        Command::PutUnique { key, value, expiry, who, request, publisher } => {
            out.push(1);
            out.extend_from_slice(&[key, value].concat());
            put_expiry(out, expiry);
            put_entity(out, who);
            put(out, request);
            put_entity(out, publisher);
        }
        Command::PutUniqueResult { inserted, who, request, publisher } => {
            out.extend_from_slice(&[2, u8::from(inserted)]);
            put_entity(out, who);
            put(out, request);
            put_entity(out, publisher);
        }
        Command::Erase { key, publisher } => put_key(out, 3, key, publisher),
        Command::Expire { key, publisher } => put_key(out, 4, key, publisher),
        Command::Add { key, value, init_type, expiry, publisher } => {
            out.push(5);
            out.extend_from_slice(&[key, value, &[init_type]].concat());
            put_expiry(out, expiry);
            put_entity(out, publisher);
        }
        Command::Subtract { key, value, expiry, publisher } => {
            out.push(6);
            out.extend_from_slice(&[key, value].concat());
            put_expiry(out, expiry);
            put_entity(out, publisher);
        }
        Command::Clear { publisher } => put_key(out, 7, &[], publisher),
        Command::AttachWriter { offset, heartbeat_interval } => {
            out.push(8);
            put(out, offset);
            out.extend_from_slice(&heartbeat_interval.to_be_bytes());
        }
        Command::Keepalive { sequence } => put_sequence(out, 9, sequence),
        Command::CumulativeAck { sequence } => put_sequence(out, 10, sequence),
        Command::Nack { sequences } => {
            out.push(11);
            put_varbyte(out, (sequences.len() / 8) as u32);
            out.extend_from_slice(sequences);
        }
        Command::AckClone { offset, heartbeat_interval, state } => {
            out.push(12);
            put(out, offset);
            out.extend_from_slice(&heartbeat_interval.to_be_bytes());
            // An empty state is all that a document shows.
            assert!(state.is_empty());
            put_varbyte(out, 0);
        }
        Command::RetransmitFailed { sequence } => put_sequence(out, 13, sequence),
    }
}

fn put(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_be_bytes());
}

fn put_entity(out: &mut Vec<u8>, entity: EntityId) {
    out.extend_from_slice(entity.endpoint.as_bytes());
    put(out, entity.object);
}

fn put_expiry(out: &mut Vec<u8>, expiry: Option<i64>) {
    out.push(u8::from(expiry.is_some()));
    expiry.inspect(|expiry| put(out, expiry.cast_unsigned()));
}

fn put_key(out: &mut Vec<u8>, number: u8, key: &[u8], publisher: EntityId) {
    out.push(number);
    out.extend_from_slice(key);
    put_entity(out, publisher);
}

fn put_sequence(out: &mut Vec<u8>, number: u8, sequence: u64) {
    out.push(number);
    put(out, sequence);
}
