use broker_data::json;
use broker_data::zeek::{MessageType, ZeekMessage, ZeekMessageView};
use broker_data::{DecodeLimits, Encode, Kind, Value, View, validate};
use broker_proto::fuzzing::Input;
use std::cmp::Ordering;

/// Everything that reads a payload agrees on whether it is a value, and on which; a value that was
/// read is written in one form, which reads as the same.
pub(super) fn binary(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let limits = match input.u8() {
        0 => DecodeLimits::default(),
        depth => DecodeLimits { max_depth: depth.into() },
    };
    let payload = input.rest();
    let valid = validate(payload, limits);
    let decoded = Value::decode_with(payload, limits);
    let view = View::parse_with(payload, limits);
    assert_eq!(valid.as_ref().err(), decoded.as_ref().err());
    assert_eq!(valid.as_ref().err(), view.as_ref().err());
    let (Ok(value), Ok(view)) = (decoded, view) else { return };
    assert_eq!(view.to_value(), value);
    let deeper = DecodeLimits { max_depth: limits.max_depth + 1 };
    assert_eq!(validate(payload, deeper), Ok(()));
    if !survives(&value) {
        return;
    }
    let written = value.encode();
    assert_eq!(written.len(), value.encoded_len());
    assert_eq!(validate(&written, limits), Ok(()));
    assert_eq!(Value::decode_with(&written, limits).map(|read| read.encode()), Ok(written));
    let mut copied = Vec::new();
    view.encode_into(&mut copied);
    assert_eq!(Value::decode_with(&copied, limits).as_ref(), Ok(&value));
}

/// Whether a value can be written: the smallest numbers have no form of their own and become zero,
/// which may make two elements of a set one.
pub(super) fn survives(value: &Value) -> bool {
    match value {
        Value::Real(number) => {
            Value::decode(&value.encode()).is_ok_and(|read| read == *value) || number.is_nan()
        }
        Value::Vector(elements) => elements.iter().all(survives),
        Value::Set(elements) => elements.iter().all(survives),
        Value::Table(entries) => {
            entries.iter().all(|(key, value)| survives(key) && survives(value))
        }
        _ => true,
    }
}

/// Views show what values are, order as they do, find what they hold and look the same as JSON.
pub(super) fn views(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let length = input.u16();
    let (a, b) = (input.bytes(length.into()), input.rest());
    let (Ok(a), Ok(b)) = (View::parse(a), View::parse(b)) else { return };
    let (x, y) = (a.to_value(), b.to_value());
    assert_eq!(a.cmp(&b), x.cmp(&y));
    assert_eq!(b.cmp(&a), x.cmp(&y).reverse());
    assert_eq!(a.partial_cmp(&y), Some(x.cmp(&y)));
    assert_eq!(x.partial_cmp(&b), Some(x.cmp(&y)));
    assert_eq!((a == b, a == y), (x == y, x == y));
    shows(a, &x, a.raw().len() < 512);
    shows(b, &y, false);
    // NaN and zeros of either sign aside, equal values are equal bytes.
    assert!(x != y || a.kind() == b.kind());
}

/// Compares a view with the value, part by part; `search` also looks for every part.
fn shows(view: View<'_>, value: &Value, search: bool) {
    assert_eq!(view.kind(), value.kind());
    assert_eq!(view.cmp(&view), Ordering::Equal);
    assert_eq!(view, *value);
    match value {
        Value::None => assert!(view.is_none()),
        Value::Boolean(value) => assert_eq!(view.as_bool(), Some(*value)),
        Value::Count(value) => assert_eq!(view.as_count(), Some(*value)),
        Value::Integer(value) => assert_eq!(view.as_integer(), Some(*value)),
        Value::Real(value) => {
            assert_eq!(view.as_real().map(f64::to_bits), Some(value.to_bits()));
        }
        Value::String(value) => {
            assert_eq!(view.as_bytes(), Some(value.as_slice()));
            assert_eq!(view.as_str(), std::str::from_utf8(value).ok());
            assert_eq!(view.len(), value.len());
        }
        Value::Enum(value) => assert_eq!(view.as_enum().map(|label| &**label), Some(&**value.0)),
        Value::Address(value) => assert_eq!(view.as_address().as_ref(), Some(value)),
        Value::Subnet(value) => assert_eq!(view.as_subnet().as_ref(), Some(value)),
        Value::Port(value) => assert_eq!(view.as_port().as_ref(), Some(value)),
        Value::Timestamp(value) => assert_eq!(view.as_timestamp().as_ref(), Some(value)),
        Value::Timespan(value) => assert_eq!(view.as_timespan().as_ref(), Some(value)),
        Value::Vector(elements) => {
            assert_eq!((view.len(), view.iter().len()), (elements.len(), elements.len()));
            for (shown, element) in view.iter().zip(elements) {
                shows(shown, element, search);
            }
            assert!(view.get(elements.len()).is_none());
        }
        Value::Set(elements) => {
            let mut shown: Vec<View<'_>> = view.iter().collect();
            shown.sort();
            assert_eq!((view.len(), shown.len()), (elements.len(), elements.len()));
            for (shown, element) in shown.into_iter().zip(elements) {
                shows(shown, element, search);
                assert!(!search || view.contains(element) && view.contains(&shown));
            }
        }
        Value::Table(entries) => {
            let mut shown: Vec<(View<'_>, View<'_>)> = view.entries().collect();
            shown.sort();
            assert_eq!((view.len(), shown.len()), (entries.len(), entries.len()));
            for ((key, value), (k, v)) in shown.into_iter().zip(entries) {
                shows(key, k, search);
                shows(value, v, search);
                assert!(!search || view.lookup(k).is_some_and(|found| found == *v));
            }
        }
    }
    let mut text = Vec::new();
    json::write_value(&view, &mut text);
    // A view writes its elements in the order in which they came.
    if !matches!(view.kind(), Kind::Set | Kind::Table | Kind::Vector) {
        assert_eq!(text, json::to_string(value).into_bytes());
    }
}

/// Messages of Zeek are the same messages looked at in a payload, in a value, and owned.
pub(super) fn zeek(payload: &[u8]) {
    let Ok(view) = View::parse(payload) else { return };
    let value = view.to_value();
    if !survives(&value) {
        return;
    }
    let seen = ZeekMessageView::parse(view);
    let owned = ZeekMessage::try_from(&value);
    assert_eq!(seen.as_ref().err(), owned.as_ref().err());
    let (Ok(seen), Ok(owned)) = (seen, owned) else { return };
    assert_eq!(seen.message_type(), MessageType::of(view));
    assert_ne!(seen.message_type(), MessageType::Invalid);
    assert_eq!(seen.to_message(), owned);
    let mut written = Vec::new();
    owned.encode_into(&mut written);
    let again = Value::from(owned.clone());
    assert_eq!(Value::decode(&written).as_ref(), Ok(&again));
    assert_eq!(ZeekMessage::try_from(again).as_ref(), Ok(&owned));
    parts(seen, 0);
}

fn parts(message: ZeekMessageView<'_>, depth: usize) {
    assert!(depth <= DecodeLimits::default().max_depth);
    match message {
        ZeekMessageView::Event(event) => {
            assert!(event.name().len() <= event.args().raw().len() + event.name().len());
            let timestamps = event.metadata().filter(|(id, _)| *id == 1).count();
            assert_eq!(event.network_timestamp().is_some(), timestamps > 0);
            for (id, _) in event.metadata() {
                assert!(event.metadata_value(id).is_some());
            }
        }
        ZeekMessageView::Batch(batch) => {
            assert_eq!(batch.messages().count(), batch.len());
            batch.messages().for_each(|message| parts(message, depth + 1));
        }
        _ => {}
    }
}
