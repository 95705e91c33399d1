use super::peers::{NOTHING, title};
use super::watch::{Record, View};
use crate::http::{Count, PrefixReport, Status};
use crate::output::{Align, Table, short};
use serde::Serialize;

/// Which topics carry the load: remembers what there was the last time.
#[derive(Default)]
pub(super) struct Topics {
    before: Option<Status>,
}

const COLUMNS: [(&str, Align); 6] = [
    ("TOPIC", Align::Left),
    ("IN/s", Align::Right),
    ("BYTES/s", Align::Right),
    ("SHARE", Align::Right),
    ("OUT/s", Align::Right),
    ("COUNTED", Align::Right),
];

/// The line for a topic. Counts are those of the sample; the share is one of all messages.
#[derive(Serialize)]
struct TopicStats<'a> {
    topic: &'a str,
    share: f64,
    #[serde(flatten)]
    count: Count,
}

impl View for Topics {
    fn records(&mut self, status: &Status) -> Vec<Record> {
        let prefixes = status.prefixes.iter().map(|prefix| Record::new("prefix", prefix));
        let looked_at = status.load.looked_at.max(1) as f64;
        let topics = status.load.topics.iter().map(|(topic, count)| {
            let share = count.messages as f64 / looked_at;
            Record::new("topic", &TopicStats { topic, share, count: *count })
        });
        prefixes.chain(topics).collect()
    }

    fn table(&mut self, status: &Status) -> Table {
        let mut table = Table::new(title(status), &COLUMNS);
        let before = self.before.replace(status.clone());
        let elapsed = status.uptime - before.as_ref().map_or(0.0, |before| before.uptime);
        let rate = |now: u64, before: Option<u64>| {
            let since = before.filter(|_| elapsed > 0.0).map(|before| now.saturating_sub(before));
            since.map(|count| count as f64 / elapsed)
        };
        let shown = |rate: Option<f64>| rate.map_or_else(|| NOTHING.to_owned(), short);
        for prefix in &status.prefixes {
            let last = before.iter().flat_map(|before| &before.prefixes);
            let last = last.into_iter().find(|last| last.prefix == prefix.prefix);
            let exact =
                |number: fn(&PrefixReport) -> u64| shown(rate(number(prefix), last.map(number)));
            table.row(vec![
                format!("{}*", prefix.prefix),
                exact(|count| count.messages_in),
                exact(|count| count.bytes_in),
                NOTHING.to_owned(),
                exact(|count| count.messages_out),
                short(prefix.messages_in as f64),
            ]);
        }
        // Of what passes, so much is looked at.
        let load = &status.load;
        let last = before.as_ref().map(|before| &before.load);
        let looked_at = rate(load.looked_at, last.map(|last| last.looked_at)).unwrap_or_default();
        let missed = rate(load.missed, last.map(|last| last.missed)).unwrap_or_default();
        let scale = if looked_at > 0.0 { (looked_at + missed) / looked_at } else { 1.0 };
        for (topic, count) in &load.topics {
            let known = last.and_then(|last| last.topics.iter().find(|(last, _)| last == topic));
            let is_new = || last.is_some_and(|last| last.topics.len() < load.topics.len());
            let new = Count { messages: count.error, ..Count::default() };
            let last = known.map(|(_, count)| *count).or_else(|| is_new().then_some(new));
            let about = |now: u64, last: Option<u64>| {
                let scaled = |rate| format!("~{}", short(rate * scale));
                rate(now, last).map_or_else(|| NOTHING.to_owned(), scaled)
            };
            let share = count.messages as f64 / load.looked_at.max(1) as f64;
            table.row(vec![
                topic.clone(),
                about(count.messages, last.map(|last| last.messages)),
                about(count.bytes, last.map(|last| last.bytes)),
                format!("{:.1}%", share * 100.0),
                NOTHING.to_owned(),
                short(count.messages as f64),
            ]);
        }
        table
    }

    fn is_of_topics(&self) -> bool {
        true
    }
}
