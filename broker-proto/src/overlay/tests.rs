//! Relays that tell each other what they know, over links that come and go.

use super::*;
use std::collections::VecDeque;

const LIMITS: OverlayLimits = OverlayLimits { endpoints: 1000, bytes: 1 << 20, topic: 100 };

fn id(number: usize) -> EndpointId {
    EndpointId::from_bytes([number as u8 + 1; 16])
}

/// One relay, and what those who route have been told by it.
struct Node {
    overlay: Overlay,
    remotes: BTreeMap<EndpointId, (RemoteChange, BTreeSet<Bytes>)>,
    there: BTreeSet<EndpointId>,
}

/// What is under way on a link in one direction: announcements and acknowledgements.
enum Message {
    Told(Vec<u8>, Bytes),
    Heard(Bytes),
}

struct Net {
    nodes: Vec<Node>,
    links: BTreeMap<(usize, usize), VecDeque<Message>>,
    now: Duration,
    random: fastrand::Rng,
    told: usize,
    bytes: usize,
}

impl Net {
    fn new(count: usize, seed: u64, limits: OverlayLimits) -> Self {
        let node = |number| Node {
            overlay: Overlay::new(id(number), 1, limits),
            remotes: BTreeMap::new(),
            there: BTreeSet::new(),
        };
        Self {
            nodes: (0..count).map(node).collect(),
            links: BTreeMap::new(),
            now: Duration::ZERO,
            random: fastrand::Rng::with_seed(seed),
            told: 0,
            bytes: 0,
        }
    }

    fn up(&mut self, a: usize, b: usize) {
        if a == b || self.links.contains_key(&(a, b)) {
            return;
        }
        for (a, b) in [(a, b), (b, a)] {
            self.links.insert((a, b), VecDeque::new());
            self.nodes[a].overlay.link_up(id(b));
            self.settle(a);
        }
    }

    fn down(&mut self, a: usize, b: usize) {
        for (a, b) in [(a, b), (b, a)] {
            if self.links.remove(&(a, b)).is_some() {
                self.nodes[a].overlay.link_down(id(b));
                self.settle(a);
            }
        }
    }

    fn claim(&mut self, at: usize, claim: Claim, holds: bool) {
        self.nodes[at].overlay.claim(claim, holds);
        self.settle(at);
    }

    fn settle(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        if let Some(change) = node.overlay.take_change(self.now) {
            for (id, change) in change.remotes {
                let known = node.remotes.entry(id).or_default();
                for topic in &change.added {
                    assert!(known.1.insert(topic.clone()), "added twice");
                }
                for topic in &change.removed {
                    assert!(known.1.remove(topic), "removed and not there");
                }
                known.0 = change;
                if !known.0.there {
                    assert_eq!(known.1, BTreeSet::new(), "somebody goes and leaves topics");
                    node.remotes.remove(&id);
                }
            }
        }
        while let Some((id, there)) = node.overlay.next_arrival() {
            let changed = if there { node.there.insert(id) } else { node.there.remove(&id) };
            assert!(changed, "{id} arrives or goes twice");
        }
        node.overlay.check();
        let neighbours: Vec<usize> =
            self.links.keys().filter(|(from, _)| *from == at).map(|(_, to)| *to).collect();
        for to in neighbours {
            if let Some((payload, token)) = node.overlay.next_announcement(id(to)) {
                self.told += 1;
                self.bytes += payload.len();
                let queue = self.links.get_mut(&(at, to)).unwrap();
                queue.push_back(Message::Told(payload, token));
            }
        }
    }

    /// Lets a message arrive on any link, and returns whether there was one.
    fn step(&mut self) -> bool {
        let busy: Vec<(usize, usize)> = self
            .links
            .iter()
            .filter(|(_, queue)| !queue.is_empty())
            .map(|(link, _)| *link)
            .collect();
        let Some((from, to)) = busy.get(self.random.usize(..busy.len().max(1))).copied() else {
            return false;
        };
        match self.links.get_mut(&(from, to)).and_then(VecDeque::pop_front) {
            Some(Message::Told(payload, token)) => {
                let announcement = Announcement::decode(&payload).unwrap();
                self.nodes[to].overlay.receive(id(from), announcement, self.now).unwrap();
                let back = self.links.get_mut(&(to, from)).unwrap();
                back.push_back(Message::Heard(token));
            }
            Some(Message::Heard(token)) => {
                assert!(self.nodes[to].overlay.acknowledged(id(from), &token));
            }
            None => {}
        }
        self.settle(to);
        true
    }

    fn quiet(&mut self) {
        for _ in 0..200_000 {
            if !self.step() {
                return;
            }
        }
        panic!("announcements go on for ever");
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        for at in 0..self.nodes.len() {
            self.nodes[at].overlay.forget_unreachable(self.now);
            self.settle(at);
        }
    }

    /// Who can be reached from somewhere.
    fn reachable(&self, from: usize) -> BTreeSet<usize> {
        let (mut found, mut border) = (BTreeSet::new(), vec![from]);
        while let Some(at) = border.pop() {
            if found.insert(at) {
                border.extend(self.links.keys().filter(|(a, _)| *a == at).map(|(_, b)| *b));
            }
        }
        found
    }
}

fn topics(known: Option<&(RemoteChange, BTreeSet<Bytes>)>) -> Vec<String> {
    let text = |topic: &Bytes| String::from_utf8_lossy(topic).into_owned();
    known.into_iter().flat_map(|(_, topics)| topics).map(text).collect()
}

#[test]
fn what_the_last_of_a_chain_wants_reaches_the_first_and_goes_with_it() {
    let mut net = Net::new(5, 1, LIMITS);
    for at in 0..4 {
        net.up(at, at + 1);
    }
    net.claim(4, Claim::Wants(id(4), "/a".into()), true);
    net.quiet();
    assert_eq!(topics(net.nodes[0].remotes.get(&id(4))), ["/a"]);
    assert_eq!(net.nodes[0].overlay.filter_for(id(9)), ["/a"]);
    assert_eq!(net.nodes[0].there.len(), 4);
    net.down(3, 4);
    net.quiet();
    assert_eq!(topics(net.nodes[0].remotes.get(&id(4))), Vec::<String>::new());
    assert!(net.nodes[0].overlay.filter_for(id(9)).is_empty());
    assert_eq!(net.nodes[0].there.len(), 3);
}

#[test]
fn in_a_circle_nothing_is_left_of_somebody_who_is_gone() {
    let mut net = Net::new(5, 2, LIMITS);
    for at in 0..4 {
        net.up(at, (at + 1) % 4);
    }
    net.up(0, 4);
    net.claim(4, Claim::Wants(id(4), "/a".into()), true);
    net.quiet();
    assert_eq!(net.nodes[2].there.len(), 4);
    net.down(0, 4);
    net.quiet();
    for at in 0..4 {
        assert!(!net.nodes[at].there.contains(&id(4)), "{at}");
        assert!(net.nodes[at].overlay.filter_for(id(9)).is_empty(), "{at}");
        assert_eq!(net.nodes[at].overlay.relays.len(), 5, "kept for a while");
    }
    net.pass(KEPT_UNREACHABLE);
    net.quiet();
    assert_eq!(net.nodes[0].overlay.relays.len(), 4);
    net.up(2, 4);
    net.quiet();
    assert_eq!(topics(net.nodes[0].remotes.get(&id(4))), ["/a"], "and told again");
}

#[test]
fn somebody_served_by_two_goes_when_both_have_let_go() {
    let mut net = Net::new(3, 3, LIMITS);
    net.up(0, 1);
    net.up(1, 2);
    let leaf = EndpointId::from_bytes([0xee; 16]);
    for hub in [1, 2] {
        net.claim(hub, Claim::Serves(leaf), true);
        net.claim(hub, Claim::Wants(leaf, "/a".into()), true);
    }
    net.quiet();
    assert_eq!(net.nodes[0].remotes[&leaf].0.homes, [id(1), id(2)]);
    assert_eq!(net.nodes[0].overlay.filter_for(leaf), Vec::<Bytes>::new(), "but its own");
    for hub in [1, 2] {
        assert_eq!(topics(net.nodes[0].remotes.get(&leaf)), ["/a"]);
        net.claim(hub, Claim::Wants(leaf, "/a".into()), false);
        net.claim(hub, Claim::Serves(leaf), false);
        net.quiet();
    }
    assert_eq!(topics(net.nodes[0].remotes.get(&leaf)), Vec::<String>::new());
    assert!(!net.nodes[0].there.contains(&leaf));
}

#[test]
fn a_new_life_replaces_what_the_old_one_has_left_behind_even_with_a_smaller_number() {
    let mut net = Net::new(3, 4, LIMITS);
    net.nodes[2].overlay = Overlay::new(id(2), 5, LIMITS);
    net.up(0, 1);
    net.up(1, 2);
    net.claim(2, Claim::Wants(id(2), "/old".into()), true);
    net.quiet();
    net.down(1, 2);
    net.quiet();
    net.nodes[2].overlay = Overlay::new(id(2), 0, LIMITS);
    net.nodes[2].remotes.clear();
    net.nodes[2].there.clear();
    net.claim(2, Claim::Wants(id(2), "/new".into()), true);
    net.up(1, 2);
    net.quiet();
    assert_eq!(topics(net.nodes[0].remotes.get(&id(2))), ["/new"]);
}

#[test]
fn who_brings_too_much_is_named_and_what_is_of_no_use_is_forgotten_first() {
    let mut net = Net::new(2, 5, OverlayLimits { endpoints: 10, ..LIMITS });
    net.up(0, 1);
    net.quiet();
    let stranger = |number: u8| {
        let relay = EndpointId::from_bytes([number; 16]);
        let (life, base, generation) = (1, 0, 1);
        let update = Update { relay, life, base, generation, changes: Vec::new() };
        Announcement { complete: false, updates: vec![update] }
    };
    let node = &mut net.nodes[0].overlay;
    let refused = (100..250).find_map(|number| {
        assert!(node.endpoints() <= 11, "nobody reaches them: {}", node.endpoints());
        node.receive(id(1), stranger(number), net.now).err()
    });
    let refused = refused.expect("nobody may go on like that for ever");
    assert!(refused.from == id(1) && refused.what.contains("ever other"), "{}", refused.what);
    let claims = (0..20).map(|number| Claim::Serves(EndpointId::from_bytes([number + 100; 16])));
    claims.for_each(|claim| net.nodes[1].overlay.claim(claim, true));
    let (payload, _) = loop {
        let token = net.nodes[1].overlay.next_announcement(id(0));
        if let Some(next) = token {
            break next;
        }
        assert!(net.step());
    };
    let announcement = Announcement::decode(&payload).unwrap();
    let refused = net.nodes[0].overlay.receive(id(1), announcement, net.now).unwrap_err();
    assert_eq!(refused.from, id(1));
    assert!(refused.what.contains("overlay-endpoints is 10"), "{}", refused.what);
}

#[test]
fn a_thousand_who_come_one_by_one_are_told_in_few_messages_that_say_what_is_new() {
    let mut net = Net::new(3, 6, LIMITS);
    for (a, b) in [(0, 1), (1, 2), (2, 0)] {
        net.up(a, b);
    }
    net.quiet();
    (net.told, net.bytes) = (0, 0);
    for number in 0..500_u32 {
        let leaf = EndpointId::from_random_bits(u128::from(number));
        net.claim(0, Claim::Serves(leaf), true);
        net.claim(0, Claim::Wants(leaf, "/topic".into()), true);
    }
    net.quiet();
    assert_eq!(net.nodes[2].there.len(), 502);
    assert!(net.told < 40, "{} announcements while nobody answers", net.told);
    assert!(net.bytes < 500 * 60 * 4, "{} bytes", net.bytes);
}

/// Links, subscriptions and those who are served come and go at random, while announcements are
/// under way; when it is over, everyone knows what is the case.
#[test]
fn whatever_happens_everyone_agrees_with_the_graph_in_the_end() {
    for seed in 0..120 {
        let mut random = fastrand::Rng::with_seed(seed);
        let count = random.usize(2..8);
        let mut net = Net::new(count, seed, LIMITS);
        let mut wanted = vec![BTreeSet::<(EndpointId, Bytes)>::new(); count];
        let mut served = vec![BTreeSet::<EndpointId>::new(); count];
        for _ in 0..random.usize(10..200) {
            let (a, b) = (random.usize(..count), random.usize(..count));
            match random.u8(..12) {
                0..3 => net.up(a, b),
                3 => net.down(a, b),
                4..8 => {
                    let leaf = EndpointId::from_bytes([random.u8(200..205); 16]);
                    let of = if random.bool() { id(a) } else { leaf };
                    let topic = Bytes::from(format!("/{}", random.u8(..6)));
                    let claim = Claim::Wants(of, topic.clone());
                    let is_new = wanted[a].insert((of, topic.clone()));
                    if !is_new {
                        wanted[a].remove(&(of, topic));
                    }
                    net.claim(a, claim, is_new);
                    if of == leaf && served[a].insert(leaf) {
                        net.claim(a, Claim::Serves(leaf), true);
                    }
                }
                8 => {
                    let time = Duration::from_secs(random.u64(..90));
                    net.pass(time);
                }
                _ => {
                    for _ in 0..random.usize(..20) {
                        net.step();
                    }
                }
            }
        }
        net.quiet();
        for at in 0..count {
            let mut expected = BTreeMap::<EndpointId, BTreeSet<Bytes>>::new();
            for other in net.reachable(at).into_iter().filter(|other| *other != at) {
                expected.entry(id(other)).or_default();
                for leaf in &served[other] {
                    expected.entry(*leaf).or_default();
                }
                for (of, topic) in &wanted[other] {
                    expected.entry(*of).or_default().insert(topic.clone());
                }
            }
            let node = &net.nodes[at];
            let known: BTreeMap<EndpointId, BTreeSet<Bytes>> =
                node.remotes.iter().map(|(id, (_, topics))| (*id, topics.clone())).collect();
            assert_eq!(known, expected, "seed {seed}, relay {at}");
            let there: BTreeSet<EndpointId> = expected.into_keys().collect();
            assert_eq!(node.there, there, "seed {seed}, relay {at}");
        }
    }
}
