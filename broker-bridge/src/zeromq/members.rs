//! Who is in a cluster, and how a member of it greets the others.
//!
//! Every node subscribes to a topic with its id, which all others see. Who sees a new one says
//! `Cluster::Backend::ZeroMQ::hello` there; who has seen the other's subscription and got its hello
//! says `Cluster::hello`, and by that the other knows that both directions work.

use super::parts::{greeted, greeting};
use super::topics::{MANAGER, NODE, NODE_ID};
use crate::other_side::Incoming;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

const FIRST_HELLO: &str = "Cluster::Backend::ZeroMQ::hello";
const HELLO: &str = "Cluster::hello";
const FULLY_CONNECTED: &str = "Cluster::Experimental::node_fully_connected";

/// How long half of a greeting is remembered, as in Zeek.
const EXPIRY: Duration = Duration::from_secs(10);

/// As many nodes are remembered, and as many halves of greetings.
const NODES: usize = 4096;

/// A message that a member has to send.
#[derive(Debug, PartialEq)]
pub(super) struct ToSend {
    pub(super) topic: String,
    pub(super) payload: Vec<u8>,
}

/// What this process is in the cluster.
#[derive(Debug, Clone)]
pub(super) struct Own {
    /// The id, under which it sends; new for each connection.
    pub(super) id: String,
    /// The name, if it is a member of the layout.
    pub(super) name: Option<String>,
    /// The names whose presence makes it tell the manager that it is fully connected.
    pub(super) expects: BTreeSet<String>,
}

/// The nodes of a cluster, as far as they are known.
#[derive(Debug)]
pub(super) struct Members {
    own: Own,
    /// By their ids, with the names that are known.
    present: BTreeMap<String, Option<String>>,
    /// Those whose subscription was seen and who have not said their first hello.
    seen: BTreeMap<String, Instant>,
    /// Those who said their first hello and whose subscription was not seen.
    greeted: BTreeMap<String, Instant>,
    has_told_manager: bool,
}

impl Own {
    /// What a node subscribes to for itself. One that is not a member subscribes to nothing.
    pub(super) fn topics(&self) -> Vec<String> {
        match &self.name {
            Some(name) => vec![topic_of(&self.id), format!("{NODE}{name}.")],
            None => Vec::new(),
        }
    }
}

fn topic_of(id: &str) -> String {
    format!("{NODE_ID}{id}.")
}

/// The id in the topic of a node; older versions put no dot behind it.
fn id_in(topic: &[u8]) -> Option<&str> {
    let id = std::str::from_utf8(topic.strip_prefix(NODE_ID.as_bytes())?).ok()?;
    let id = id.strip_suffix('.').unwrap_or(id);
    (!id.is_empty()).then_some(id)
}

/// The name of a node in its id, `zeromq_NAME_HOST_PID_UNIQUE`.
fn name_in(id: &str) -> Option<String> {
    let mut from_right = id.strip_prefix("zeromq_")?.rsplitn(4, '_');
    let (unique, pid) = (from_right.next()?, from_right.next()?);
    let (_host, name) = (from_right.next()?, from_right.next()?);
    let is_id = unique.starts_with('N') && pid.bytes().all(|byte| byte.is_ascii_digit());
    (is_id && !name.is_empty()).then(|| name.to_owned())
}

impl Members {
    pub(super) fn new(own: Own) -> Self {
        let (present, seen, greeted) = Default::default();
        Self { own, present, seen, greeted, has_told_manager: false }
    }

    /// Takes a subscription of somebody.
    pub(super) fn subscribed(
        &mut self,
        topic: &[u8],
        now: Instant,
        out: &mut Vec<ToSend>,
    ) -> Option<Incoming> {
        let id = id_in(topic).filter(|id| *id != self.own.id)?.to_owned();
        if self.own.name.is_none() {
            return self.appears(id.clone(), name_in(&id));
        }
        // One that is known has come back, or somebody else looks at its topic. Greeting it again
        // costs little, and without that it may never hear of this one again.
        let is_known = self.present.contains_key(&id);
        out.extend(self.hello(FIRST_HELLO, &id));
        if self.greeted.remove(&id).is_some() || is_known {
            out.extend(self.hello(HELLO, &id));
        } else {
            remember(&mut self.seen, id, now);
        }
        None
    }

    /// Takes the end of the last subscription to a topic.
    pub(super) fn cancelled(&mut self, topic: &[u8]) -> Option<Incoming> {
        let id = id_in(topic)?.to_owned();
        self.seen.remove(&id);
        self.greeted.remove(&id);
        let name = self.present.remove(&id)?;
        Some(Incoming::Member { id, name, is_there: false })
    }

    /// Takes an event, which may be a greeting.
    pub(super) fn event(
        &mut self,
        payload: &[u8],
        now: Instant,
        out: &mut Vec<ToSend>,
    ) -> Vec<Incoming> {
        let Some((event, [name, id])) = greeted(payload) else { return Vec::new() };
        let (is_first, is_second) = (event == FIRST_HELLO.as_bytes(), event == HELLO.as_bytes());
        if id == self.own.id || !(is_first || is_second) {
            return Vec::new();
        }
        let mut news = Vec::new();
        // The name has another id now, so the one before has gone, and nobody said so.
        let before = self
            .present
            .iter()
            .find(|(other, known)| known.as_deref() == Some(name) && *other != id);
        if let Some(before) = before.map(|(id, _)| id.clone()) {
            let name = self.present.remove(&before).flatten();
            news.push(Incoming::Member { id: before, name, is_there: false });
        }
        if is_first {
            if self.own.name.is_some() {
                if self.seen.remove(id).is_some() {
                    out.extend(self.hello(HELLO, id));
                } else {
                    remember(&mut self.greeted, id.to_owned(), now);
                }
            }
        } else {
            news.extend(self.appears(id.to_owned(), Some(name.to_owned())));
            out.extend(self.fully_connected());
        }
        news
    }

    fn appears(&mut self, id: String, name: Option<String>) -> Option<Incoming> {
        let has_room = self.present.len() < NODES || self.present.contains_key(&id);
        let is_news = has_room
            && self.present.insert(id.clone(), name.clone()).is_none_or(|before| before != name);
        is_news.then_some(Incoming::Member { id, name, is_there: true })
    }

    fn hello(&self, event: &str, to: &str) -> Option<ToSend> {
        let name = self.own.name.as_deref()?;
        Some(ToSend { topic: topic_of(to), payload: greeting(event, [name, &self.own.id]) })
    }

    /// What to tell the manager once everybody who is expected is there.
    fn fully_connected(&mut self) -> Option<ToSend> {
        use broker_core::data::Value;
        use broker_core::data::zeek::ZeekEvent;
        let name = self.own.name.as_deref()?;
        let is_there = |name: &String| self.present.values().flatten().any(|known| known == name);
        let all = !self.own.expects.is_empty() && self.own.expects.iter().all(is_there);
        if !all || std::mem::replace(&mut self.has_told_manager, true) {
            return None;
        }
        let event = ZeekEvent::new(FULLY_CONNECTED).arg(name).arg(self.own.id.as_str()).arg(false);
        let payload = Value::from(event).encode().to_vec();
        Some(ToSend { topic: MANAGER.to_owned(), payload })
    }

    /// Forgets halves of greetings that are too old.
    pub(super) fn expire(&mut self, now: Instant) {
        for halves in [&mut self.seen, &mut self.greeted] {
            halves.retain(|_, since| now < *since + EXPIRY);
        }
    }
}

fn remember(halves: &mut BTreeMap<String, Instant>, id: String, now: Instant) {
    if halves.len() < NODES || halves.contains_key(&id) {
        halves.insert(id, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDS: [&str; 3] = ["zeromq_a_h_1_Nx", "zeromq_b_1_h_2_Ny", "zeromq_c_h_3_Nz"];

    fn own(name: Option<&str>, id: &str) -> Own {
        let name = name.map(str::to_owned);
        Own { id: id.to_owned(), name, expects: BTreeSet::new() }
    }

    fn member(name: &str, id: &str) -> Members {
        Members::new(own(Some(name), id))
    }

    fn events(sent: &[ToSend]) -> Vec<(String, String)> {
        let event = |sent: &ToSend| {
            let (event, _) = greeted(&sent.payload).unwrap();
            (sent.topic.clone(), String::from_utf8_lossy(event).into_owned())
        };
        sent.iter().map(event).collect()
    }

    fn is_up(news: &[Incoming], expected: &str) -> bool {
        let [Incoming::Member { is_there: true, name, .. }] = news else { return false };
        name.as_deref() == Some(expected)
    }

    #[test]
    fn names_are_found_in_ids() {
        for (id, name) in [
            ("zeromq_worker-1_vm_17649_Nal9SS3", Some("worker-1")),
            ("zeromq_my_worker_vm_1_Nx", Some("my_worker")),
            ("zeromq_vm_1_Nx", None),
            ("zeromq__vm_1_Nx", None),
            ("zeromq_a_vm_x_Nx", None),
            ("something", None),
        ] {
            assert_eq!(name_in(id).as_deref(), name, "{id}");
        }
        assert_eq!(id_in(b"zeek.cluster.nodeid.x."), Some("x"));
        assert_eq!(id_in(b"zeek.cluster.nodeid.x"), Some("x"));
        assert_eq!(id_in(b"zeek.cluster.nodeid."), None);
    }

    #[tokio::test(start_paused = true)]
    async fn an_observer_sees_nodes_by_their_subscriptions_and_says_nothing() {
        let (mut observer, now) = (Members::new(own(None, "me")), Instant::now());
        let mut out = Vec::new();
        assert!(observer.own.topics().is_empty());
        let seen = observer.subscribed(topic_of(IDS[1]).as_bytes(), now, &mut out);
        assert!(is_up(&Vec::from_iter(seen), "b_1"));
        assert!(observer.subscribed(topic_of(IDS[1]).as_bytes(), now, &mut out).is_none());
        assert!(observer.subscribed(b"/test/", now, &mut out).is_none());
        let gone = observer.cancelled(topic_of(IDS[1]).as_bytes());
        assert!(matches!(gone, Some(Incoming::Member { is_there: false, .. })));
        assert!(observer.cancelled(topic_of(IDS[1]).as_bytes()).is_none());
        assert_eq!(out, []);
    }

    /// Three members, in every order in which they can see each other's subscriptions first.
    #[tokio::test(start_paused = true)]
    async fn both_sides_know_of_each_other_in_whatever_order_they_hear() {
        let now = Instant::now();
        for hello_first in [false, true] {
            let (mut one, mut two) = (member("a", IDS[0]), member("c", IDS[2]));
            let mut to_two = Vec::new();
            one.subscribed(topic_of(IDS[2]).as_bytes(), now, &mut to_two);
            assert_eq!(events(&to_two), [(topic_of(IDS[2]), FIRST_HELLO.to_owned())]);
            let mut to_one = Vec::new();
            if hello_first {
                two.event(&to_two[0].payload, now, &mut to_one);
                assert_eq!(to_one, []);
                two.subscribed(topic_of(IDS[0]).as_bytes(), now, &mut to_one);
            } else {
                two.subscribed(topic_of(IDS[0]).as_bytes(), now, &mut to_one);
                two.event(&to_two[0].payload, now, &mut to_one);
            }
            let both = [FIRST_HELLO, HELLO].map(|event| (topic_of(IDS[0]), event.to_owned()));
            assert_eq!(events(&to_one), both);
            to_two.clear();
            let news: Vec<_> =
                to_one.iter().flat_map(|sent| one.event(&sent.payload, now, &mut to_two)).collect();
            assert!(is_up(&news, "c"));
            assert_eq!(events(&to_two), [(topic_of(IDS[2]), HELLO.to_owned())]);
            assert!(is_up(&two.event(&to_two[0].payload, now, &mut to_one), "a"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_is_seen_again_is_greeted_again() {
        let (mut one, now) = (member("a", IDS[0]), Instant::now());
        let hello = greeting(HELLO, ["c", IDS[2]]);
        assert!(is_up(&one.event(&hello, now, &mut Vec::new()), "c"));
        let mut out = Vec::new();
        one.subscribed(topic_of(IDS[2]).as_bytes(), now, &mut out);
        assert_eq!(events(&out).len(), 2);
        assert_eq!(one.event(&hello, now, &mut Vec::new()).len(), 0, "no news");
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_with_another_id_is_another_process() {
        let (mut one, now) = (member("a", IDS[0]), Instant::now());
        one.event(&greeting(HELLO, ["c", "old"]), now, &mut Vec::new());
        let news = one.event(&greeting(HELLO, ["c", "new"]), now, &mut Vec::new());
        assert!(matches!(
            &news[..],
            [
                Incoming::Member { is_there: false, id, .. },
                Incoming::Member { is_there: true, .. }
            ] if id == "old"
        ));
    }

    #[tokio::test(start_paused = true)]
    async fn half_a_greeting_is_forgotten() {
        let (mut one, now) = (member("a", IDS[0]), Instant::now());
        one.subscribed(topic_of(IDS[2]).as_bytes(), now, &mut Vec::new());
        one.expire(now + EXPIRY);
        let mut out = Vec::new();
        one.event(&greeting(FIRST_HELLO, ["c", IDS[2]]), now, &mut out);
        assert_eq!(out, []);
        one.expire(now + EXPIRY);
        assert!(one.seen.is_empty() && one.greeted.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn the_manager_is_told_once_when_everybody_is_there() {
        let expects = ["c", "m"].map(str::to_owned).into();
        let mut one = Members::new(Own { expects, ..own(Some("a"), IDS[0]) });
        let (now, mut out) = (Instant::now(), Vec::new());
        one.event(&greeting(HELLO, ["c", "1"]), now, &mut out);
        assert_eq!(out, []);
        one.event(&greeting(HELLO, ["m", "2"]), now, &mut out);
        one.event(&greeting(HELLO, ["c", "1"]), now, &mut out);
        assert_eq!(out.iter().map(|sent| sent.topic.as_str()).collect::<Vec<_>>(), [MANAGER]);
    }
}
