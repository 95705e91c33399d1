use broker_proto::EndpointId;
use broker_proto::fact::{Fact, PeerChange};
use std::collections::{BTreeMap, BTreeSet};

/// What the outside world has seen of every endpoint: its events, and what its consumers got.
#[derive(Default)]
pub(super) struct Ledger {
    lives: BTreeMap<u64, Life>,
}

struct Life {
    slot: usize,
    peers: BTreeMap<EndpointId, Standing>,
    /// For each consumer, publisher and path: the last message. Even in a circle the last hop and
    /// the number of hops that are left make a path; and where there is none, one comes about for a
    /// moment while an endpoint of the past still delivers and its successor does as well.
    last: BTreeMap<(u64, u64, EndpointId, u16), u64>,
    /// For each consumer and publisher of version 2: the messages it got.
    seen: BTreeMap<(u64, u64), BTreeSet<u64>>,
}

/// A message that a consumer got.
#[derive(Debug, Clone, Copy)]
pub(super) struct Delivery {
    pub(super) sink: u64,
    /// Who brought it.
    pub(super) via: EndpointId,
    pub(super) ttl: u16,
    /// The life of the endpoint that published it, as its how-many-eth.
    pub(super) publisher: u64,
    pub(super) number: u64,
    pub(super) order: Order,
}

/// What has to hold for the messages of a publisher at a consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// They come in their order on each path.
    ByPath,
    /// None comes twice.
    Once,
    /// While things change, anything.
    Any,
}

/// Where the events of a peer stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Discovered,
    Added,
    Ended,
}

impl Ledger {
    pub(super) fn born(&mut self, life: u64, slot: usize) {
        let life_of =
            Life { slot, peers: BTreeMap::new(), last: BTreeMap::new(), seen: BTreeMap::new() };
        self.lives.insert(life, life_of);
    }

    /// Forgets an endpoint that ended without a word.
    pub(super) fn died(&mut self, life: u64) {
        self.lives.remove(&life);
    }

    /// Forgets an endpoint that ended in an orderly way, and has to have closed everything.
    pub(super) fn retired(&mut self, life: u64) -> Result<(), String> {
        match self.lives.remove(&life).and_then(|life| life.peers.into_iter().next()) {
            Some((peer, standing)) => Err(format!("ended and left {peer} {standing:?}")),
            None => Ok(()),
        }
    }

    /// Checks that the events about each peer come in their order.
    pub(super) fn fact(&mut self, life: u64, fact: &Fact) -> Result<(), String> {
        let Fact::Peer { change, endpoint, .. } = fact else { return Ok(()) };
        let Some(life) = self.lives.get_mut(&life) else { return Ok(()) };
        let peer = endpoint.id;
        let before = life.peers.get(&peer).copied();
        let after = match (before, change) {
            (None, PeerChange::Discovered) => Some(Standing::Discovered),
            (Some(Standing::Discovered), PeerChange::Added) => Some(Standing::Added),
            (Some(Standing::Added), PeerChange::Lost | PeerChange::Removed(_)) => {
                Some(Standing::Ended)
            }
            // There may have been another path, or there may be one now.
            (Some(Standing::Ended), PeerChange::Added) => Some(Standing::Added),
            (Some(Standing::Ended | Standing::Discovered), PeerChange::Unreachable) => None,
            _ => {
                let slot = life.slot;
                return Err(format!("n{slot} reports {change:?} about a peer that is {before:?}"));
            }
        };
        match after {
            Some(standing) => life.peers.insert(peer, standing),
            None => life.peers.remove(&peer),
        };
        Ok(())
    }

    /// Checks that the events say that these are the peers of an endpoint.
    pub(super) fn agrees(&self, life: u64, peers: &[EndpointId]) -> Result<(), String> {
        let Some(life) = self.lives.get(&life) else { return Ok(()) };
        let added = life.peers.iter().filter(|(_, standing)| **standing == Standing::Added);
        let added: Vec<EndpointId> = added.map(|(peer, _)| *peer).collect();
        if added == peers {
            Ok(())
        } else {
            Err(format!("peers are {peers:?}, and its events say {added:?}"))
        }
    }

    /// Checks that the messages of a publisher come in order on each path, and none twice.
    pub(super) fn received(&mut self, life: u64, delivery: Delivery) -> Result<(), String> {
        let Delivery { sink, via, ttl, publisher, number, order } = delivery;
        let Some(life) = self.lives.get_mut(&life) else { return Ok(()) };
        let what = format!("consumer {sink} of n{} got message {number} of {publisher}", life.slot);
        match order {
            Order::ByPath => {}
            Order::Any => return Ok(()),
            Order::Once => {
                let fresh = life.seen.entry((sink, publisher)).or_default().insert(number);
                return fresh.then_some(()).ok_or_else(|| format!("{what} twice"));
            }
        }
        match life.last.insert((sink, publisher, via, ttl), number) {
            Some(last) if last >= number => Err(format!("{what} after {last}")),
            _ => Ok(()),
        }
    }
}
