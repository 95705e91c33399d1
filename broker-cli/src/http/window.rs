//! What a window into a running node shows beside its status: messages that pass by, which topics
//! carry the load, and what happened to peers.
//!
//! Messages are looked at while somebody asks, and no more than [`SAMPLE`] of them each
//! [`PAUSE`]: so it costs nothing when nobody looks, and little when somebody does.

use super::Overlay;
use super::status::Called;
use crate::zeek::{Pattern, instant, payload_text};
use broker::data::zeek::ZeekEventView;
use broker::data::{BStr, Timestamp};
use broker::event::{Event, LogId, Severity};
use broker::{Endpoint, Message, Subscriber, SubscriberOptions, SubscriberPolicy};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::Notify;
use tokio::time::sleep;

/// How long messages are looked at after somebody has asked.
const ATTENTION: Duration = Duration::from_secs(5);

/// The most messages that are looked at each time.
const SAMPLE: usize = 512;

/// The time between.
const PAUSE: Duration = Duration::from_millis(50);

/// Messages and happenings that are kept.
const KEPT: usize = 200;

/// Topics that are counted by themselves.
const TOPICS: usize = 256;

/// As many of them are shown.
const TOPICS_SHOWN: usize = 50;

/// As much is shown of a topic or message, in characters.
const SHOWN: usize = 400;

/// Cloning shares it.
#[derive(Clone)]
pub(crate) struct Window {
    pub(super) called: Called,
    pub(super) overlay: Overlay,
    state: Arc<Mutex<State>>,
    asked: Arc<Notify>,
}

#[derive(Default)]
struct State {
    until: Option<Instant>,
    missed: u64,
    topics: Topics,
    messages: VecDeque<Shown>,
    messages_seen: u64,
    happenings: VecDeque<Happening>,
    happenings_seen: u64,
}

#[derive(Clone, Serialize)]
struct Shown {
    seq: u64,
    ts: String,
    topic: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<String>,
    text: String,
}

#[derive(Clone, Serialize)]
struct Happening {
    seq: u64,
    ts: String,
    level: &'static str,
    what: &'static str,
    text: String,
}

/// The topics with the most messages, by the method of Metwally, Agrawal and El Abbadi ("space
/// saving"): a topic that is new takes the place of the least one, with its count as the most by
/// which the own may be too high.
#[derive(Default)]
struct Topics(HashMap<String, Count>);

#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Count {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    /// By how much `messages` may be too high.
    pub(crate) error: u64,
}

/// Which topics carry the load.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(crate) struct Load {
    /// Messages that were looked at, and about how many more have passed meanwhile.
    pub(crate) looked_at: u64,
    pub(crate) missed: u64,
    /// The heaviest first.
    pub(crate) topics: Vec<(String, Count)>,
}

impl Topics {
    /// As many as are shown, those with the most messages first.
    fn heaviest(&self) -> Vec<(&str, Count)> {
        let mut topics: Vec<(&str, Count)> =
            self.0.iter().map(|(topic, count)| (topic.as_str(), *count)).collect();
        topics.sort_by(|(a, first), (b, second)| {
            second.messages.cmp(&first.messages).then_with(|| a.cmp(b))
        });
        topics.truncate(TOPICS_SHOWN);
        topics
    }

    fn add(&mut self, topic: &BStr, bytes: usize) {
        let topic = shortened(&topic.to_string());
        if !self.0.contains_key(&topic) && self.0.len() >= TOPICS {
            let least = self.0.iter().min_by_key(|(_, count)| count.messages);
            let Some((name, count)) = least.map(|(name, count)| (name.clone(), *count)) else {
                return;
            };
            self.0.remove(&name);
            let error = count.messages;
            self.0.insert(topic.clone(), Count { messages: error, bytes: 0, error });
        }
        let count = self.0.entry(topic).or_default();
        count.messages += 1;
        count.bytes += bytes as u64;
    }
}

/// What is asked for: what is newer than these numbers, of messages that are wanted.
#[derive(Default)]
pub(super) struct Question {
    pub(super) after: u64,
    pub(super) happened_after: u64,
    pub(super) topic: String,
    pub(super) event: Option<Pattern>,
}

#[derive(Serialize)]
struct Answer<'a> {
    /// Messages that were looked at, and about how many more have passed meanwhile.
    passed: u64,
    missed: u64,
    topics: Vec<(&'a str, Count)>,
    last: u64,
    messages: Vec<&'a Shown>,
    happened_last: u64,
    happenings: Vec<&'a Happening>,
}

impl Window {
    /// Looks at an endpoint. Messages are those on topics that it forwards.
    pub(crate) fn new(
        endpoint: &Endpoint,
        called: Called,
        overlay: Overlay,
        forward: Vec<String>,
    ) -> Self {
        let window = Self { called, overlay, state: Arc::default(), asked: Arc::default() };
        tokio::spawn(window.clone().note_happenings(endpoint.clone()));
        if !forward.is_empty() {
            tokio::spawn(window.clone().look(endpoint.clone(), forward));
        }
        window
    }

    async fn note_happenings(self, endpoint: Endpoint) {
        let mut events = endpoint.events();
        drop(endpoint);
        while let Some(event) = events.next().await {
            let (level, what, text) = match &event {
                Event::Status(status) => {
                    let url = status.endpoint.network.as_ref().map(|network| &network.url);
                    let who = self.called.others.describe(status.endpoint.id, url);
                    ("info", event.name(), who)
                }
                Event::Log(log)
                    if log.level <= Severity::Info
                        && !matches!(log.id, LogId::DialFailed | LogId::HttpCut) =>
                {
                    (log.level.name(), log.id.name(), log.description.clone())
                }
                Event::Error(error) => ("error", error.code.name(), error.message.clone()),
                _ => continue,
            };
            let mut state = self.state.lock();
            state.happenings_seen += 1;
            let seq = state.happenings_seen;
            let text = shortened(&text);
            // The same failure again and again would push out everything else.
            if let Some(last) = state.happenings.back_mut()
                && last.what == what
                && last.text == text
            {
                last.seq = seq;
                last.ts = now();
                continue;
            }
            keep(&mut state.happenings, Happening { seq, ts: now(), level, what, text });
        }
    }

    /// Looks at messages for as long as somebody asks.
    async fn look(self, endpoint: Endpoint, forward: Vec<String>) {
        loop {
            self.asked.notified().await;
            let mut options = SubscriberOptions::with_policy(SubscriberPolicy::DropNewest);
            options.messages = Some(SAMPLE);
            let Ok(mut passing) = endpoint.try_subscribe(&forward, options) else { return };
            while self.state.lock().until.is_some_and(|until| Instant::now() < until) {
                self.sample(&mut passing);
                sleep(PAUSE).await;
            }
        }
    }

    fn sample(&self, passing: &mut Subscriber) {
        let taken = std::iter::from_fn(|| passing.try_recv().ok()).take(SAMPLE);
        let taken: Vec<Message> = taken.collect();
        let mut state = self.state.lock();
        taken.iter().for_each(|message| state.count(message));
        // Text is made of those only that are not pushed out by the next ones.
        let shown = taken.get(taken.len().saturating_sub(KEPT)..).unwrap_or_default();
        for (message, back) in shown.iter().zip((0..shown.len() as u64).rev()) {
            state.show(message, back);
        }
        state.missed = passing.dropped();
    }

    /// Looks at messages for a while from now on.
    pub(super) fn attend(&self) {
        self.state.lock().until = Some(Instant::now() + ATTENTION);
        self.asked.notify_one();
    }

    /// The topics that carry the load, as far as messages have been looked at.
    pub(super) fn load(&self) -> Load {
        let state = self.state.lock();
        let owned = |(topic, count): (&str, Count)| (topic.to_owned(), count);
        Load {
            looked_at: state.messages_seen,
            missed: state.missed,
            topics: state.topics.heaviest().into_iter().map(owned).collect(),
        }
    }

    /// What is newer than what the question says, as JSON.
    pub(super) fn answer(&self, question: &Question) -> Result<String, serde_json::Error> {
        self.attend();
        let state = self.state.lock();
        let topics = state.topics.heaviest();
        let wanted = |message: &&Shown| {
            message.seq > question.after
                && message.topic.starts_with(&question.topic)
                && question.event.as_ref().is_none_or(|pattern| {
                    message.event.as_ref().is_some_and(|name| pattern.matches(name.as_bytes()))
                })
        };
        serde_json::to_string(&Answer {
            passed: state.messages_seen,
            missed: state.missed,
            topics,
            last: state.messages_seen,
            messages: state.messages.iter().filter(wanted).collect(),
            happened_last: state.happenings_seen,
            happenings: state
                .happenings
                .iter()
                .filter(|happening| happening.seq > question.happened_after)
                .collect(),
        })
    }
}

impl State {
    fn count(&mut self, message: &Message) {
        self.topics.add(message.topic(), message.payload().len());
        self.messages_seen += 1;
    }

    /// Keeps a message that was counted, with so many behind it.
    fn show(&mut self, message: &Message, back: u64) {
        let mut text = Vec::new();
        payload_text(message.view(), &mut text);
        let event = ZeekEventView::parse(message.view()).ok();
        let shown = Shown {
            seq: self.messages_seen - back,
            ts: now(),
            topic: shortened(&message.topic().to_string()),
            event: event.map(|event| event.name().to_string()),
            text: shortened(&BStr::new(&text).to_string()),
        };
        keep(&mut self.messages, shown);
    }
}

fn keep<T>(list: &mut VecDeque<T>, item: T) {
    if list.len() == KEPT {
        list.pop_front();
    }
    list.push_back(item);
}

fn now() -> String {
    instant(Timestamp::from(SystemTime::now()))
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_that_carry_the_load_are_kept_among_many() {
        let mut topics = Topics::default();
        for round in 0..2000 {
            topics.add(BStr::new("heavy"), 10);
            topics.add(BStr::new(&format!("once/{round}")), 1);
        }
        assert_eq!(topics.0.len(), TOPICS);
        let heavy = topics.0["heavy"];
        assert_eq!((heavy.messages, heavy.bytes, heavy.error), (2000, 20_000, 0));
        let most = topics.0.iter().max_by_key(|(_, count)| count.messages).unwrap();
        assert_eq!(most.0, "heavy");
    }
}
