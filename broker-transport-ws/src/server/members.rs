//! Which clients get a message.

use super::queue::{Interrupt, Outgoing};
use crate::framing::text_frame;
use broker_core::data::View;
use broker_core::data::json::encode_data_message;
use broker_core::{EndpointId, is_internal};
use bytes::Bytes;
use parking_lot::RwLock;
use std::collections::BTreeMap;
use std::ops::Bound::{Included, Unbounded};
use std::sync::Arc;

/// Subscriptions that are entered or deleted before others may have a look again.
const BATCH: usize = 256;

/// The clients that receive messages.
///
/// Clients come and go at any rate, and with any number of subscriptions. So that this costs what
/// has changed, and nothing those who deliver, the index is changed in place.
#[derive(Debug, Default)]
pub(super) struct Members {
    index: RwLock<Index>,
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) id: EndpointId,
    pub(super) queue: Arc<Outgoing>,
    pub(super) topics: Vec<Bytes>,
}

#[derive(Debug, Default)]
struct Index {
    members: BTreeMap<EndpointId, Arc<Member>>,
    /// Who subscribed to a prefix.
    prefixes: BTreeMap<Bytes, Vec<Arc<Member>>>,
    stopped: bool,
}

impl Members {
    /// When this returns, the member gets what is delivered from then on.
    pub(super) fn add(&self, member: Member) {
        let member = Arc::new(member);
        {
            let mut index = self.index.write();
            if index.stopped {
                member.queue.interrupt(Interrupt::Stopping);
            }
            index.members.insert(member.id, Arc::clone(&member));
        }
        for topics in member.topics.chunks(BATCH) {
            let mut index = self.index.write();
            for topic in topics {
                index.prefixes.entry(topic.clone()).or_default().push(Arc::clone(&member));
            }
        }
    }

    pub(super) fn remove(&self, id: EndpointId) {
        let Some(member) = self.index.write().members.remove(&id) else { return };
        for topics in member.topics.chunks(BATCH) {
            let mut index = self.index.write();
            for topic in topics {
                index.delete(topic, &member);
            }
        }
    }

    /// Ends the session of every member, now or as soon as it comes.
    pub(super) fn stop(&self) {
        let mut index = self.index.write();
        index.stopped = true;
        index.members.values().for_each(|member| member.queue.interrupt(Interrupt::Stopping));
    }

    pub(super) fn deliver(&self, topic: &[u8], value: View<'_>, except: Option<EndpointId>) {
        let mut receivers = self.index.read().receivers(topic);
        receivers.retain(|member| Some(member.id) != except);
        if receivers.is_empty() {
            return;
        }
        let frame = text_frame(|out| encode_data_message(topic, &value, out));
        receivers.iter().for_each(|member| member.queue.push(&frame));
    }
}

impl Index {
    fn delete(&mut self, topic: &Bytes, member: &Arc<Member>) {
        let Some(subscribers) = self.prefixes.get_mut(topic) else { return };
        if let Some(at) = subscribers.iter().position(|other| Arc::ptr_eq(other, member)) {
            subscribers.swap_remove(at);
        }
        if subscribers.is_empty() {
            self.prefixes.remove(topic);
        }
    }

    /// Everyone who wants a topic, each one once.
    fn receivers(&self, topic: &[u8]) -> Vec<Arc<Member>> {
        let mut found = Vec::new();
        let mut matches = 0;
        // A subscription to everything does not include internal topics.
        let is_internal_topic = is_internal(topic);
        // Prefixes of the topic that are longer than this have been seen.
        let mut longest = topic;
        loop {
            let below = self.prefixes.range::<[u8], _>((Unbounded, Included(longest)));
            let Some((prefix, members)) = below.last() else { break };
            let common = prefix.iter().zip(topic).take_while(|(a, b)| a == b).count();
            // Where the largest entry that is not above them is no prefix, the prefixes are at
            // most as long as what the two have in common.
            let mut shorter = Some(common);
            if common == prefix.len() {
                if !is_internal_topic || is_internal(prefix) {
                    found.extend_from_slice(members);
                    matches += 1;
                }
                shorter = common.checked_sub(1);
            }
            let Some(prefix) = shorter.and_then(|length| topic.get(..length)) else { break };
            longest = prefix;
        }
        if matches > 1 {
            found.sort_unstable_by_key(|member| member.id);
            found.dedup_by_key(|member| member.id);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::super::queue::Bounds;
    use super::*;
    use broker_core::OverflowPolicy;
    use broker_core::data::Value;
    use std::sync::atomic::Ordering::Relaxed;

    fn member(id: u8, topics: Vec<Bytes>) -> Member {
        let policy = OverflowPolicy::Disconnect;
        let bounds = Bounds { messages: 1000, bytes: 1 << 20, control: 1000, policy };
        let queue = Arc::new(Outgoing::new(bounds, Arc::default()));
        Member { id: EndpointId::from_bytes([id; 16]), queue, topics }
    }

    fn deliver(members: &Members, topic: &str, except: Option<EndpointId>) {
        let mut payload = Vec::new();
        Value::from(1_u64).encode_into(&mut payload);
        members.deliver(topic.as_bytes(), View::parse(&payload).unwrap(), except);
    }

    #[test]
    fn whoever_has_joined_misses_nothing_while_others_deliver() {
        let members = Members::default();
        // A change of what so many topics belong to has to leave no gap, however long it takes.
        let topics = (0..100_000).map(|number| Bytes::from(format!("/bulk/{number}"))).collect();
        members.add(member(1, topics));
        for id in 2..7 {
            let newcomer = member(id, vec![Bytes::from_static(b"/t")]);
            let queue = Arc::clone(&newcomer.queue);
            members.add(newcomer);
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| deliver(&members, "/t", None));
                }
            });
            assert_eq!(queue.counters().messages_out.load(Relaxed), 4);
        }
    }

    #[test]
    fn receivers_are_those_that_a_scan_finds_whoever_has_come_and_gone() {
        let topics: Vec<String> = ["", "a", "b", "ab", "aa", "ba", "aab", "abb", "<$>/local/"]
            .into_iter()
            .flat_map(|front| ["", "a", "ba", "/"].map(|back| format!("{front}{back}")))
            .collect();
        let members = Members::default();
        let mut all: Vec<(u8, Vec<String>, Arc<Outgoing>)> = Vec::new();
        let mut random = fastrand::Rng::with_seed(1);
        for id in 0..200 {
            if id % 3 == 2 {
                let (gone, _, _) = all.swap_remove(random.usize(..all.len()));
                members.remove(EndpointId::from_bytes([gone; 16]));
            }
            let own: Vec<String> = random.choose_multiple(topics.iter().cloned(), 3);
            let newcomer = member(id, own.iter().cloned().map(Bytes::from).collect());
            all.push((id, own, Arc::clone(&newcomer.queue)));
            members.add(newcomer);
            for topic in &topics {
                let wants = |prefix: &String| {
                    let internal = is_internal(topic.as_bytes());
                    topic.starts_with(prefix) && (!internal || is_internal(prefix.as_bytes()))
                };
                let mut expected: Vec<EndpointId> = all
                    .iter()
                    .filter(|(_, own, _)| own.iter().any(wants))
                    .map(|(id, _, _)| EndpointId::from_bytes([*id; 16]))
                    .collect();
                let mut found: Vec<EndpointId> =
                    members.index.read().receivers(topic.as_bytes()).iter().map(|m| m.id).collect();
                expected.sort_unstable();
                found.sort_unstable();
                assert_eq!(found, expected, "{topic:?}");
            }
        }
        (0..200).for_each(|id| members.remove(EndpointId::from_bytes([id; 16])));
        assert!(members.index.read().prefixes.is_empty());
    }

    #[test]
    fn whoever_sends_does_not_receive_it() {
        let members = Members::default();
        let [one, two] = [1, 2].map(|id| member(id, vec![Bytes::new()]));
        let queues = [&one, &two].map(|member| Arc::clone(&member.queue));
        let sender = one.id;
        members.add(one);
        members.add(two);
        deliver(&members, "/t", Some(sender));
        assert_eq!(queues.map(|queue| queue.counters().messages_out.load(Relaxed)), [0, 1]);
    }
}
