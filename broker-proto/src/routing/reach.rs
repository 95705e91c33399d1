//! Which peers lead to an endpoint, for a message that has entered the overlay somewhere.

use super::table::{Destinations, Peer, Receiver, Receivers};
use crate::EndpointId;
use crate::overlay::{Graph, Tree, preference};
use std::sync::Arc;

/// Where a message comes from, as far as that decides where it goes. The same for all messages in
/// an endpoint that knows nothing of others than its peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Scope {
    /// The relay from which the message spreads.
    root: EndpointId,
    /// Who published it, if several relays have got it from there.
    publisher: EndpointId,
    /// Another one of those relays passes it on.
    elsewhere: bool,
}

/// Another endpoint that relays know of.
#[derive(Debug, Clone)]
pub(super) struct Remote {
    /// Its number in the index.
    pub(super) number: u32,
    /// The other relays that serve it; none for a relay.
    pub(super) homes: Arc<[EndpointId]>,
}

impl Receivers {
    /// What matters of the way that a message has come: published by `publisher`, entered at the
    /// relay `entry`, handed over by `hop`.
    pub(super) fn scope(&self, entry: EndpointId, publisher: EndpointId, hop: EndpointId) -> Scope {
        if self.graph.is_alone() {
            return Scope::default();
        }
        // Messages may be faster than the news of where they come from. They spread from the last
        // hop then, and at worst come twice, which is noticed.
        let root = [entry, hop].into_iter().find(|relay| self.graph.has(*relay));
        let homes = self.homes(publisher).count();
        let elsewhere = homes > 1 && entry == self.own && !self.is_entry_of(publisher);
        let publisher = if homes > 1 { publisher } else { EndpointId::NIL };
        Scope { root: root.unwrap_or(self.own), publisher, elsewhere }
    }

    /// The relays that serve an endpoint, this one included.
    fn homes(&self, id: EndpointId) -> impl Iterator<Item = EndpointId> {
        let others = self.remotes.get(&id).map(|remote| Arc::clone(&remote.homes));
        let count = others.as_ref().map_or(0, |homes| homes.len());
        let others = (0..count).filter_map(move |at| others.as_ref()?.get(at).copied());
        let own = self.peer(id).is_some_and(|peer| !peer.is_relay()).then_some(self.own);
        others.chain(own)
    }

    /// The relay by which a message from the root of a tree gets to an endpoint, and how far it is.
    fn last_relay(
        &self,
        tree: &Tree,
        root: EndpointId,
        to: EndpointId,
    ) -> Option<(u32, EndpointId)> {
        if self.graph.has(to) {
            return Some((self.graph.distance(tree, to)?, to));
        }
        let homes = self.homes(to).filter_map(|home| {
            let distance = self.graph.distance(tree, home)?;
            Some((distance, u64::MAX - preference(root, to, home), home))
        });
        homes.min().map(|(distance, _, home)| (distance, home))
    }

    /// Whether the messages of a publisher that several relays get from it enter the overlay here.
    /// They all come to the same answer, so one of them passes the messages on.
    fn is_entry_of(&self, publisher: EndpointId) -> bool {
        let weight = |home: &EndpointId| preference(publisher, EndpointId::NIL, *home);
        self.homes(publisher).max_by_key(weight).is_none_or(|home| home == self.own)
    }

    /// The peer that a message has to be handed to so that it gets to an endpoint, if that is up to
    /// this one.
    pub(super) fn next_hop(&self, scope: Scope, to: EndpointId) -> Option<&Arc<Peer>> {
        if scope == Scope::default() {
            return self.peer(to);
        }
        if to == scope.publisher {
            return None;
        }
        let tree = self.graph.tree(scope.root)?;
        let (_, last) = self.last_relay(&tree, scope.root, to)?;
        if last == self.own {
            return self.peer(to);
        }
        self.peer(self.graph.branch(&tree, last)?)
    }

    /// The peer that a message for one endpoint has to be handed to: by the shortest path from
    /// here, wherever it has come from.
    pub(super) fn way_to(&self, scope: Scope, to: EndpointId) -> Option<&Arc<Peer>> {
        if scope == Scope::default() {
            return self.peer(to);
        }
        if scope.elsewhere {
            return None;
        }
        if let Some(peer) = self.peer(to) {
            return Some(peer);
        }
        let tree = self.graph.tree(self.own)?;
        let (_, last) = self.last_relay(&tree, self.own, to)?;
        self.peer(self.graph.branch(&tree, last)?)
    }

    /// Everyone at one of these numbers in the index, and the peers that lead there.
    pub(super) fn destinations(&self, numbers: &[u32], scope: Scope) -> Destinations {
        let mut found = Destinations { elsewhere: scope.elsewhere, ..Destinations::default() };
        if scope.elsewhere {
            return found;
        }
        let mut endpoints = Vec::new();
        for number in numbers {
            match self.numbered.get(*number as usize) {
                // What a relay has announced before it has told what it knows.
                Some(Some(Receiver::Peer(peer))) if peer.is_relay() => {
                    found.peers.push(Arc::clone(peer));
                }
                Some(Some(Receiver::Peer(peer))) => endpoints.push(peer.id),
                Some(Some(Receiver::Remote(id))) => endpoints.push(*id),
                Some(Some(Receiver::Sink(sink))) => found.sinks.push(Arc::clone(sink)),
                _ => {}
            }
        }
        let peers = endpoints.into_iter().filter_map(|to| self.next_hop(scope, to)).cloned();
        found.peers.extend(peers);
        found.peers.sort_unstable_by_key(|peer| peer.id);
        found.peers.dedup_by_key(|peer| peer.id);
        found
    }

    pub(super) fn set_graph(&mut self, graph: Arc<Graph>) {
        self.graph = graph;
    }
}
