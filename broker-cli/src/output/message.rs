//! Received messages as lines.

use super::{Format, text};
use crate::zeek::{instant, payload_text, write_event};
use broker::data::zeek::ZeekEventView;
use broker::data::{BStr, Timestamp, View, json};
use std::time::SystemTime;

/// Appends the line of a message, with the time of this call if that is wanted.
pub(crate) fn message(
    format: Format,
    topic: &BStr,
    view: View<'_>,
    timestamps: bool,
    line: &mut Vec<u8>,
) {
    let now = || Timestamp::from(SystemTime::now());
    let time = timestamps.then(now);
    match format {
        Format::Zeek
            if ZeekEventView::parse(view)
                .is_ok_and(|event| write_event(topic, &event, now(), line)) => {}
        Format::Json | Format::Zeek => data_message(topic, view, time, line),
        Format::Text => {
            if let Some(time) = time {
                line.extend_from_slice(instant(time).as_bytes());
                line.push(b' ');
            }
            text::push(topic, line);
            line.extend_from_slice(b": ");
            payload_text(view, line);
        }
    }
    line.push(b'\n');
}

/// Appends a data message, with the time as its first member if there is one.
fn data_message(topic: &BStr, view: View<'_>, time: Option<Timestamp>, line: &mut Vec<u8>) {
    let start = line.len();
    json::encode_data_message(topic, &view, line);
    if let Some(time) = time {
        let member = format!("{{\"ts\":\"{}\",", instant(time));
        line.splice(start..=start, member.into_bytes());
    }
}
