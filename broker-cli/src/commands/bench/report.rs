//! What a measurement comes to.

use super::ends::Received;
use crate::commands::times::Times;
use serde::Serialize;
use std::fmt;
use std::time::Duration;

/// What was published.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "published")]
pub(super) struct Published {
    pub(super) messages: u64,
    /// Of payload, in each.
    pub(super) size: usize,
    /// Until the peers had read everything.
    pub(super) seconds: f64,
    pub(super) messages_per_second: f64,
    pub(super) bytes_per_second: f64,
    /// Messages that were dropped before they were sent, by the policy for slow peers.
    pub(super) dropped: u64,
}

/// What has arrived.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "received")]
pub(super) struct Arrived {
    messages: u64,
    lost: u64,
    duplicates: u64,
    /// From the first message to the last.
    seconds: f64,
    messages_per_second: f64,
    bytes_per_second: f64,
    /// From publishing to receiving. Of two machines it is as good as their clocks.
    #[serde(skip_serializing_if = "Option::is_none")]
    latency: Option<Times>,
}

/// Rates since the line before.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "rate")]
pub(super) struct Rates {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) published_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) received_per_second: Option<f64>,
}

/// How many each second; nothing is known of no time.
pub(super) fn per_second(count: u64, time: Duration) -> f64 {
    if time.is_zero() { 0.0 } else { count as f64 / time.as_secs_f64() }
}

impl Arrived {
    pub(super) fn of(received: Received) -> Self {
        let Received { count, total, behind_last, bytes, latency, begun, ended } = received;
        let all = total.unwrap_or(behind_last);
        let time = ended.saturating_duration_since(begun);
        Self {
            messages: count,
            lost: all.saturating_sub(count),
            duplicates: count.saturating_sub(all),
            seconds: time.as_secs_f64(),
            messages_per_second: per_second(count, time),
            bytes_per_second: per_second(bytes, time),
            latency: latency.times(),
        }
    }
}

impl fmt::Display for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { messages, size, seconds, messages_per_second, bytes_per_second, dropped } = self;
        let megabytes = bytes_per_second / 1e6;
        write!(
            f,
            "published {messages} messages of {size} bytes in {seconds:.2} s: \
             {messages_per_second:.0}/s, {megabytes:.1} MB/s; {dropped} dropped here"
        )
    }
}

impl fmt::Display for Arrived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { messages, lost, duplicates, seconds, messages_per_second, .. } = self;
        let megabytes = self.bytes_per_second / 1e6;
        write!(
            f,
            "received {messages} messages in {seconds:.2} s: {messages_per_second:.0}/s, \
             {megabytes:.1} MB/s; {lost} lost, {duplicates} twice"
        )?;
        self.latency.iter().try_for_each(|times| write!(f, "; latency {times}"))
    }
}

impl fmt::Display for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rates =
            [("published", self.published_per_second), ("received", self.received_per_second)];
        let rates =
            rates.iter().filter_map(|(name, rate)| Some(format!("{name} {:.0}/s", (*rate)?)));
        f.write_str(&rates.collect::<Vec<_>>().join(", "))
    }
}
