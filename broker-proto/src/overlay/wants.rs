use crate::EndpointId;
use crate::wire::announcement::Claim;
use crate::wire::routing_update::merged;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// What has changed of an endpoint that is not this one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RemoteChange {
    /// Whether it can be reached over other relays.
    pub there: bool,
    /// The other relays that serve it; none for a relay.
    pub homes: Vec<EndpointId>,
    /// Topics that it wants in addition.
    pub added: Vec<Bytes>,
    /// Topics that it does not want any more.
    pub removed: Vec<Bytes>,
}

/// What follows from the claims of all relays that can be reached.
#[derive(Debug)]
pub(super) struct Wants {
    own: EndpointId,
    endpoints: BTreeMap<EndpointId, Known>,
    /// How many endpoints want a topic.
    topics: BTreeMap<Bytes, usize>,
    /// Changes whenever the keys of `topics` do, or how many want one becomes one or two.
    generation: u64,
    changed: BTreeSet<EndpointId>,
    arrivals: BTreeSet<EndpointId>,
}

#[derive(Debug, Default)]
struct Known {
    /// It is a relay that can be reached.
    relay: bool,
    /// Other relays that serve it.
    homes: BTreeSet<EndpointId>,
    topics: BTreeMap<Bytes, Claimed>,
    /// Whether it has been announced as reachable.
    arrived: bool,
    /// What those who route know: whether it is there, and what it wants.
    told_there: bool,
    told: BTreeSet<Bytes>,
    /// Topics that may differ from that.
    differ: BTreeSet<Bytes>,
}

/// Who says that an endpoint wants a topic.
#[derive(Debug, Default)]
struct Claimed {
    /// This endpoint.
    own: bool,
    /// How many other relays.
    others: usize,
}

impl Known {
    fn is_there(&self) -> bool {
        self.relay || !self.homes.is_empty()
    }

    fn is_nothing(&self) -> bool {
        !self.is_there() && self.topics.is_empty() && !self.arrived && !self.told_there
    }
}

impl Wants {
    pub(super) fn new(own: EndpointId) -> Self {
        Self {
            own,
            endpoints: BTreeMap::new(),
            topics: BTreeMap::new(),
            generation: 0,
            changed: BTreeSet::new(),
            arrivals: BTreeSet::new(),
        }
    }

    pub(super) fn endpoints(&self) -> usize {
        self.endpoints.len()
    }

    pub(super) fn topics(&self) -> usize {
        self.topics.len()
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn reaches(&self, id: EndpointId) -> bool {
        self.endpoints.get(&id).is_some_and(Known::is_there)
    }

    /// Another relay can be reached, or cannot any more.
    pub(super) fn reach(&mut self, relay: EndpointId, reachable: bool) {
        self.endpoints.entry(relay).or_default().relay = reachable;
        self.changed.insert(relay);
        self.arrivals.insert(relay);
    }

    /// A claim of a relay that can be reached is there, or is not any more.
    pub(super) fn note(&mut self, relay: EndpointId, claim: &Claim, holds: bool) {
        match claim {
            Claim::Neighbour(_) => {}
            Claim::Serves(_) if relay == self.own => {}
            Claim::Serves(id) => {
                let known = self.endpoints.entry(*id).or_default();
                match holds {
                    true => known.homes.insert(relay),
                    false => known.homes.remove(&relay),
                };
                self.changed.insert(*id);
                self.arrivals.insert(*id);
            }
            Claim::Wants(id, topic) => self.note_topic(relay, *id, topic, holds),
        }
    }

    fn note_topic(&mut self, relay: EndpointId, id: EndpointId, topic: &Bytes, holds: bool) {
        let known = self.endpoints.entry(id).or_default();
        let claimed = known.topics.entry(topic.clone()).or_default();
        let before = claimed.own || claimed.others > 0;
        match (relay == self.own, holds) {
            (true, _) => claimed.own = holds,
            (false, true) => claimed.others += 1,
            (false, false) => claimed.others = claimed.others.saturating_sub(1),
        }
        let after = claimed.own || claimed.others > 0;
        if !after {
            known.topics.remove(topic);
        }
        if relay != self.own {
            known.differ.insert(topic.clone());
            self.changed.insert(id);
        } else if known.is_nothing() {
            self.endpoints.remove(&id);
        }
        if before == after {
            return;
        }
        let count = self.topics.entry(topic.clone()).or_default();
        let old = *count;
        *count = if after { old + 1 } else { old.saturating_sub(1) };
        let new = *count;
        if new == 0 {
            self.topics.remove(topic);
        }
        if old.min(new) < 2 {
            self.generation += 1;
        }
    }

    pub(super) fn take_changes(&mut self) -> BTreeMap<EndpointId, RemoteChange> {
        let mut changes = BTreeMap::new();
        for id in std::mem::take(&mut self.changed) {
            let Some(known) = self.endpoints.get_mut(&id) else { continue };
            if id != self.own {
                let there = known.is_there();
                if std::mem::replace(&mut known.told_there, there) != there {
                    known.differ.extend(known.topics.keys().chain(&known.told).cloned());
                }
                let mut change = RemoteChange {
                    there,
                    homes: known.homes.iter().copied().collect(),
                    ..RemoteChange::default()
                };
                for topic in std::mem::take(&mut known.differ) {
                    let claimed = known.topics.get(&topic);
                    let wanted = there && claimed.is_some_and(|claimed| claimed.others > 0);
                    if wanted && known.told.insert(topic.clone()) {
                        change.added.push(topic);
                    } else if !wanted && known.told.remove(&topic) {
                        change.removed.push(topic);
                    }
                }
                changes.insert(id, change);
            }
            if known.is_nothing() {
                self.endpoints.remove(&id);
            }
        }
        changes
    }

    pub(super) fn next_arrival(&mut self) -> Option<(EndpointId, bool)> {
        while let Some(id) = self.arrivals.pop_first() {
            let Some(known) = self.endpoints.get_mut(&id).filter(|_| id != self.own) else {
                continue;
            };
            let there = known.is_there();
            let news = std::mem::replace(&mut known.arrived, there) != there;
            if known.is_nothing() {
                self.endpoints.remove(&id);
            }
            if news {
                return Some((id, there));
            }
        }
        None
    }

    pub(super) fn filter_for(&self, peer: EndpointId) -> Vec<Bytes> {
        let own = self.endpoints.get(&peer);
        let is_own = |topic: &Bytes| own.is_some_and(|known| known.topics.contains_key(topic));
        let others = |(topic, count): &(&Bytes, &usize)| **count > usize::from(is_own(topic));
        merged(self.topics.iter().filter(others).map(|(topic, _)| topic.clone()).collect())
    }

    pub(super) fn alone(&self, peer: EndpointId) -> BTreeSet<Bytes> {
        let topics = self.endpoints.get(&peer).into_iter().flat_map(|known| known.topics.keys());
        topics.filter(|topic| self.topics.get(*topic) == Some(&1)).cloned().collect()
    }

    pub(super) fn check<'a>(&self, claims: impl Iterator<Item = (EndpointId, &'a Claim)>) {
        let mut wanted = BTreeMap::<EndpointId, BTreeSet<&Bytes>>::new();
        let mut homes = BTreeMap::<EndpointId, BTreeSet<EndpointId>>::new();
        for (relay, claim) in claims {
            match claim {
                Claim::Neighbour(_) => {}
                Claim::Serves(id) if relay != self.own => {
                    homes.entry(*id).or_default().insert(relay);
                }
                Claim::Serves(_) => {}
                Claim::Wants(id, topic) => {
                    wanted.entry(*id).or_default().insert(topic);
                }
            }
        }
        for (id, known) in &self.endpoints {
            let topics: BTreeSet<&Bytes> = known.topics.keys().collect();
            assert_eq!(topics, wanted.remove(id).unwrap_or_default(), "what {id} wants");
            assert_eq!(known.homes, homes.remove(id).unwrap_or_default(), "who serves {id}");
        }
        assert!(wanted.is_empty() && homes.is_empty(), "{wanted:?} {homes:?}");
    }
}
