//! Events as JSON objects `{"ts","topic","event","args"}`. Arguments are plain JSON where that says
//! which type it is, else objects with `@data-type`, so they read back as they were.

use super::text::instant;
use broker::data::json::{ToJson, write_string};
use broker::data::zeek::{ZeekEvent, ZeekEventView};
use broker::data::{BStr, BString, Timestamp, Value};
use std::io::Write;

/// Appends the object of an event, unless a text in it is not UTF-8: the data message says all.
/// `received` is its time if it has none of its own.
pub(crate) fn write_event(
    topic: &BStr,
    event: &ZeekEventView<'_>,
    received: Timestamp,
    out: &mut Vec<u8>,
) -> bool {
    let (Ok(topic), Ok(name)) = (std::str::from_utf8(topic), std::str::from_utf8(event.name()))
    else {
        return false;
    };
    let time = event.network_timestamp().unwrap_or(received);
    // Writing to a vector does not fail.
    let _ = write!(out, "{{\"ts\":\"{}\",\"topic\":", instant(time));
    write_string(topic, out);
    out.extend_from_slice(b",\"event\":");
    write_string(name, out);
    out.extend_from_slice(b",\"args\":");
    match event.args().to_value() {
        args @ Value::Vector(_) => write_plain(&args, out),
        _ => out.extend_from_slice(b"[]"),
    }
    out.push(b'}');
    true
}

/// Appends a value as plain JSON, with types where they would be lost.
fn write_plain(value: &Value, out: &mut Vec<u8>) {
    let _ = match value {
        Value::None => write!(out, "null"),
        Value::Boolean(value) => write!(out, "{value}"),
        Value::Count(number) => write!(out, "{number}"),
        Value::Integer(number) if *number < 0 => write!(out, "{number}"),
        Value::Real(real) if real.is_finite() => write!(out, "{real:?}"),
        Value::String(text) if let Ok(text) = std::str::from_utf8(text) => {
            write_string(text, out);
            Ok(())
        }
        Value::Vector(elements) => {
            out.push(b'[');
            for (at, element) in elements.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_plain(element, out);
            }
            write!(out, "]")
        }
        other => {
            other.write_json(out);
            Ok(())
        }
    };
}

/// The topic, the event and its time, if a table that was read from plain JSON is such an object.
pub(crate) fn event_of_table(value: &Value) -> Option<Result<(BString, ZeekEvent), String>> {
    let Value::Table(members) = value else { return None };
    let member = |name: &str| members.get(&Value::from(name));
    let (Value::String(topic), Value::String(name)) = (member("topic")?, member("event")?) else {
        return None;
    };
    let known = ["ts", "topic", "event", "args"].map(Value::from);
    if !members.keys().all(|key| known.contains(key)) {
        return None;
    }
    let mut event = ZeekEvent::new(name.clone());
    match member("args") {
        None => {}
        Some(Value::Vector(args)) => event.args = args.clone(),
        Some(other) => {
            let found = other.kind().name();
            return Some(Err(format!("the args of an event are an array, not a {found}")));
        }
    }
    match member("ts") {
        None | Some(Value::None) => {}
        Some(Value::String(text)) => match text.to_string().parse::<Timestamp>() {
            Ok(time) => event = event.network_timestamp(time),
            Err(error) => return Some(Err(format!("ts: {error}"))),
        },
        Some(Value::Timestamp(time)) => event = event.network_timestamp(*time),
        Some(_) => return Some(Err("ts: a time as in 2026-11-30T22:32:30.98Z".to_owned())),
    }
    if topic.is_empty() {
        return Some(Err("the topic is empty".to_owned()));
    }
    Some(Ok((topic.clone(), event)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use broker::data::zeek::ZeekMessageView;
    use broker::data::{Timespan, View, json, table, vector};

    #[test]
    fn events_read_back_with_the_types_they_had() {
        let event = ZeekEvent::new("e").network_timestamp(Timestamp(1_000_000_000)).args([
            Value::Count(5),
            Value::Integer(5),
            Value::Integer(-5),
            Value::Real(2.0),
            Value::Real(f64::INFINITY),
            Value::from("text"),
            Value::string(*b"\xff"),
            Value::Timespan(Timespan(7)),
            vector![(), true, Value::enum_value("A::B")],
            table! { "@data-type" => "x" },
            Value::set([1_u64]),
        ]);
        let payload = Value::from(event.clone()).encode();
        let ZeekMessageView::Event(view) =
            ZeekMessageView::parse(View::parse(&payload).unwrap()).unwrap()
        else {
            panic!("not an event")
        };
        let mut line = Vec::new();
        assert!(write_event(BStr::new("/t"), &view, Timestamp(0), &mut line));
        let start = br#"{"ts":"1970-01-01T00:00:01Z","topic":"/t","event":"e","args":[5,"#;
        assert!(line.starts_with(start), "{}", String::from_utf8_lossy(&line));
        let table = json::from_plain(&line).unwrap();
        let (topic, read) = event_of_table(&table).unwrap().unwrap();
        assert_eq!((topic, read), ("/t".into(), event));
    }

    #[test]
    fn what_is_no_such_object_is_data_and_what_is_wrong_in_one_is_said() {
        let read = |text: &str| event_of_table(&json::from_plain(text.as_bytes()).unwrap());
        assert_eq!(read(r#"{"topic":"/t","event":"e","more":1}"#), None);
        assert_eq!(read(r#"{"topic":"/t","event":1}"#), None);
        for (text, wrong) in [
            (r#"{"topic":"/t","event":"e","args":5}"#, "an array, not a count"),
            (r#"{"topic":"/t","event":"e","ts":5}"#, "ts: "),
            (r#"{"topic":"","event":"e"}"#, "the topic is empty"),
        ] {
            let error = read(text).unwrap().unwrap_err();
            assert!(error.contains(wrong), "{error}");
        }
    }
}
