use super::plan::Shape;
use crate::EndpointId;
use crate::event::{Event, StatusCode};
use crate::wire::DEFAULT_TTL;
use std::collections::BTreeMap;

/// What the outside world has seen of every endpoint: its events, and what its consumers got.
pub(super) struct Ledger {
    shape: Shape,
    lives: BTreeMap<u64, Life>,
}

struct Life {
    slot: usize,
    peers: BTreeMap<EndpointId, Standing>,
    /// For each consumer, publisher and last hop: the last message.
    last: BTreeMap<(u64, u64, EndpointId), u64>,
    /// In a circle: how often a consumer got a message.
    copies: BTreeMap<(u64, u64, u64), u32>,
}

/// Where the events of a peer stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Discovered,
    Added,
    Ended,
}

impl Ledger {
    pub(super) fn new(shape: Shape) -> Self {
        Self { shape, lives: BTreeMap::new() }
    }

    pub(super) fn born(&mut self, life: u64, slot: usize) {
        let (peers, last, copies) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        self.lives.insert(life, Life { slot, peers, last, copies });
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
    pub(super) fn event(&mut self, life: u64, event: &Event) -> Result<(), String> {
        let Event::Status(status) = event else { return Ok(()) };
        let Some(life) = self.lives.get_mut(&life) else { return Ok(()) };
        let peer = status.endpoint.id;
        let before = life.peers.get(&peer).copied();
        let after = match (before, status.code) {
            (None, StatusCode::EndpointDiscovered) => Some(Standing::Discovered),
            (Some(Standing::Discovered), StatusCode::PeerAdded) => Some(Standing::Added),
            (Some(Standing::Added), StatusCode::PeerLost | StatusCode::PeerRemoved) => {
                Some(Standing::Ended)
            }
            (Some(Standing::Ended), StatusCode::EndpointUnreachable) => None,
            _ => {
                let slot = life.slot;
                return Err(format!("n{slot} reports {event} about a peer that is {before:?}"));
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
    pub(super) fn received(
        &mut self,
        life: u64,
        sink: u64,
        via: EndpointId,
        publisher: u64,
        number: u64,
    ) -> Result<(), String> {
        let shape = self.shape;
        let Some(life) = self.lives.get_mut(&life) else { return Ok(()) };
        let what = |life: &Life| {
            format!("consumer {sink} of n{} got message {number} of {publisher}", life.slot)
        };
        if shape == Shape::Ring {
            let copies = life.copies.entry((sink, publisher, number)).or_default();
            *copies += 1;
            let most = 2 * u32::from(DEFAULT_TTL);
            return if *copies > most { Err(format!("{} too often", what(life))) } else { Ok(()) };
        }
        match life.last.insert((sink, publisher, via), number) {
            Some(last) if last >= number => Err(format!("{} after {last}", what(life))),
            _ => Ok(()),
        }
    }
}
