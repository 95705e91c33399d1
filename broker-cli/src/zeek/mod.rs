//! Zeek's events and logs as people and programs write and read them.

mod argument;
mod logs;
mod pattern;
mod record;
mod text;

pub(crate) use argument::{Words, argument};
pub(crate) use logs::{LogForm, Rows};
pub(crate) use pattern::Pattern;
pub(crate) use record::{event_of_table, write_event};
pub(crate) use text::{instant, payload as payload_text, value as value_text};
