//! What relays of version 2 know about the overlay: who is peered with whom, whom they serve, and
//! what everybody wants. Each relay makes claims about itself, and passes the claims of others on
//! unchanged ([`crate::wire::announcement`]); what follows from them everyone works out alone.

mod claims;
mod graph;
mod links;
mod streams;
mod wants;

pub use graph::{Graph, Tree, preference};
pub use streams::{Stream, Streams};
pub use wants::RemoteChange;

use crate::EndpointId;
use crate::limits::OverlayLimits;
use crate::wire::announcement::{Announcement, Claim, Update};
use bytes::Bytes;
use claims::Claims;
use links::Link;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use wants::Wants;

/// How long the claims of a relay are kept that cannot be reached: when it comes back they need not
/// be told again, and what comes in an unlucky order finds its place.
const KEPT_UNREACHABLE: Duration = Duration::from_secs(60);

/// What has changed for those who route messages.
#[derive(Debug, Default)]
pub struct OverlayChange {
    /// Who is peered with whom now, if that has changed.
    pub graph: Option<Arc<Graph>>,
    /// What has changed of other endpoints.
    pub remotes: BTreeMap<EndpointId, RemoteChange>,
}

/// More was announced than this side is ready to remember.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TooMuch {
    /// The neighbour that most of it has come from.
    pub from: EndpointId,
    /// What it is, and the limit.
    pub what: String,
}

/// What one relay knows.
#[derive(Debug)]
pub struct Overlay {
    own: EndpointId,
    limits: OverlayLimits,
    relays: BTreeMap<EndpointId, Relay>,
    links: BTreeMap<EndpointId, Link>,
    wants: Wants,
    /// Bytes of all claims.
    bytes: usize,
    /// Whether somebody may have become reachable or unreachable.
    stale: bool,
    graph: Arc<Graph>,
    /// Whether those who route have not taken it yet.
    is_news: bool,
    last_token: u64,
}

#[derive(Debug)]
struct Relay {
    claims: Claims,
    /// The neighbour that has told the latest.
    via: EndpointId,
    /// Whether there is a path to it, so that its claims count.
    reachable: bool,
    unreachable_since: Duration,
}

impl Overlay {
    /// Knows nobody but itself. A later life of the same endpoint has a larger number.
    pub fn new(own: EndpointId, life: u64, limits: OverlayLimits) -> Self {
        let claims = Claims::new(life.max(1));
        let relay = Relay { claims, via: own, reachable: true, unreachable_since: Duration::ZERO };
        Self {
            own,
            limits,
            relays: BTreeMap::from([(own, relay)]),
            links: BTreeMap::new(),
            wants: Wants::new(own),
            bytes: 0,
            stale: false,
            graph: Arc::new(Graph::new(own, &[])),
            is_news: false,
            last_token: 0,
        }
    }

    /// Changes what this endpoint says of itself and those it serves.
    pub fn claim(&mut self, claim: Claim, holds: bool) {
        let Some(own) = self.relays.get_mut(&self.own) else { return };
        if !own.claims.change(claim.clone(), holds) {
            return;
        }
        self.stale |= matches!(claim, Claim::Neighbour(_));
        self.wants.note(self.own, &claim, holds);
        self.links.values_mut().for_each(|link| link.tell_about(self.own));
    }

    /// A relay is a neighbour from now on, and has to be told everything.
    pub fn link_up(&mut self, peer: EndpointId) {
        let reachable = self.relays.iter().filter(|(_, relay)| relay.reachable);
        self.links.insert(peer, Link::new(reachable.map(|(id, _)| *id)));
        self.claim(Claim::Neighbour(peer), true);
    }

    /// A relay is no neighbour any more.
    pub fn link_down(&mut self, peer: EndpointId) {
        if self.links.remove(&peer).is_some() {
            self.claim(Claim::Neighbour(peer), false);
        }
    }

    /// The neighbours that are told what changes.
    pub fn linked(&self) -> Vec<EndpointId> {
        self.links.keys().copied().collect()
    }

    /// Takes in what a neighbour says. Returns whether that was everything it knows, for now.
    ///
    /// # Errors
    ///
    /// It is more than the limits allow.
    pub fn receive(
        &mut self,
        peer: EndpointId,
        announcement: Announcement,
        now: Duration,
    ) -> Result<bool, TooMuch> {
        for update in announcement.updates {
            self.update(peer, update, now)?;
        }
        Ok(announcement.complete)
    }

    fn update(&mut self, peer: EndpointId, update: Update, now: Duration) -> Result<(), TooMuch> {
        let Some(link) = self.links.get_mut(&peer) else { return Ok(()) };
        let id = update.relay;
        if update.generation == 0 {
            link.has_forgotten(id);
            return Ok(());
        }
        let news = (update.life, update.generation);
        let known = self.relays.get(&id).map(|relay| (relay.claims.life, relay.claims.generation));
        if id == self.own {
            // What an earlier life has left behind.
            if let Some(own) = self.relays.get_mut(&id).filter(|_| known < Some(news)) {
                own.claims.reborn(update.life + 1);
                self.links.values_mut().for_each(|link| link.tell_about(id));
            }
            return Ok(());
        }
        let is_news = known < Some(news);
        let follows = known
            .is_some_and(|(life, generation)| life == update.life && update.base <= generation);
        if update.base > 0 && is_news && !follows {
            link.ask_for(id);
            return Ok(());
        }
        link.knows(id, update.life, update.generation);
        if !is_news {
            return Ok(());
        }
        if let Some(topic) = update.changes.iter().find_map(|change| match &change.claim {
            Claim::Wants(_, topic) if topic.len() > self.limits.topic => Some(topic.len()),
            _ => None,
        }) {
            let limit = self.limits.topic;
            let what = format!("a topic of {topic} bytes, the limit filter-entry is {limit}");
            return Err(TooMuch { from: peer, what });
        }
        let relay = self.relays.entry(id).or_insert_with(|| Relay {
            claims: Claims::new(update.life),
            via: peer,
            reachable: false,
            unreachable_since: now,
        });
        let (wants, stale) = (&mut self.wants, &mut self.stale);
        let counts = relay.reachable;
        relay.via = peer;
        self.bytes -= relay.claims.size();
        // Another generation of claims may be reachable in another way.
        *stale |= known.is_none();
        relay.claims.apply(update, |claim, holds| {
            *stale |= matches!(claim, Claim::Neighbour(_));
            if counts {
                wants.note(id, claim, holds);
            }
        });
        self.bytes += relay.claims.size();
        if counts {
            self.links.values_mut().for_each(|link| link.tell_about(id));
        }
        self.check_limits(peer, now)
    }

    /// Sees to it that no more is remembered than is allowed: what is of no use goes first, and
    /// then whoever has brought the most has to.
    fn check_limits(&mut self, peer: EndpointId, now: Duration) -> Result<(), TooMuch> {
        let limit = self.limits.endpoints;
        if self.links.get(&peer).is_some_and(|link| link.known() > 2 * limit) {
            let what = format!("news of ever other relays, the limit overlay-endpoints is {limit}");
            return Err(TooMuch { from: peer, what });
        }
        if self.excess().is_some() {
            self.refresh(now);
            self.forget(|_| true);
        }
        let Some(what) = self.excess() else { return Ok(()) };
        let mut brought = BTreeMap::<EndpointId, usize>::new();
        for relay in self.relays.values().filter(|relay| relay.via != self.own) {
            *brought.entry(relay.via).or_default() += relay.claims.size();
        }
        let most = brought.into_iter().filter(|(via, _)| self.links.contains_key(via));
        let from = most.max_by_key(|(_, bytes)| *bytes).map_or(peer, |(via, _)| via);
        Err(TooMuch { from, what })
    }

    fn excess(&self) -> Option<String> {
        let (endpoints, limit) = (self.endpoints(), self.limits.endpoints);
        if endpoints > limit {
            return Some(format!(
                "{endpoints} endpoints in the overlay, the limit overlay-endpoints is {limit}"
            ));
        }
        let (bytes, limit) = (self.bytes, self.limits.bytes);
        (bytes > limit)
            .then(|| format!("{bytes} bytes about the overlay, the limit overlay-bytes is {limit}"))
    }

    /// How many endpoints something is remembered of.
    pub fn endpoints(&self) -> usize {
        self.relays.len().max(self.wants.endpoints())
    }

    /// About how many bytes the claims of others take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Works out who can be reached, and forgets whoever could not for long.
    fn refresh(&mut self, now: Duration) {
        if !std::mem::take(&mut self.stale) {
            return;
        }
        let mut edges = BTreeMap::<EndpointId, Vec<EndpointId>>::new();
        let mut border = vec![self.own];
        while let Some(at) = border.pop() {
            if edges.contains_key(&at) {
                continue;
            }
            let Some(relay) = self.relays.get(&at) else { continue };
            let agrees = |other: &&EndpointId| {
                let other = self.relays.get(other);
                other.is_some_and(|other| other.claims.neighbours.contains(&at))
            };
            let neighbours: Vec<EndpointId> =
                relay.claims.neighbours.iter().filter(agrees).copied().collect();
            border.extend_from_slice(&neighbours);
            edges.insert(at, neighbours);
        }
        for (id, relay) in &mut self.relays {
            let reachable = edges.contains_key(id);
            if relay.reachable == reachable {
                continue;
            }
            relay.reachable = reachable;
            relay.unreachable_since = now;
            if *id != self.own {
                self.wants.reach(*id, reachable);
                for claim in relay.claims.iter() {
                    self.wants.note(*id, claim, reachable);
                }
            }
            if reachable {
                self.links.values_mut().for_each(|link| link.tell_about(*id));
            }
        }
        let edges: Vec<_> = edges.into_iter().collect();
        self.graph = Arc::new(Graph::new(self.own, &edges));
        self.is_news = true;
    }

    /// When somebody is due to be forgotten.
    pub fn next_deadline(&self) -> Option<Duration> {
        let gone = self.relays.values().filter(|relay| !relay.reachable);
        gone.map(|relay| relay.unreachable_since + KEPT_UNREACHABLE).min()
    }

    /// Forgets those who have been unreachable for long.
    pub fn forget_unreachable(&mut self, now: Duration) {
        self.forget(|since| since + KEPT_UNREACHABLE <= now);
    }

    fn forget(&mut self, is_over: impl Fn(Duration) -> bool) {
        let (links, bytes) = (&mut self.links, &mut self.bytes);
        self.relays.retain(|id, relay| {
            let keep = relay.reachable || !is_over(relay.unreachable_since);
            if !keep {
                *bytes -= relay.claims.size();
                links.values_mut().for_each(|link| link.ask_for(*id));
            }
            keep
        });
    }

    /// What has changed since this was asked, for those who route. The graph is only in it if it
    /// is another one.
    pub fn take_change(&mut self, now: Duration) -> Option<OverlayChange> {
        self.refresh(now);
        let graph = std::mem::take(&mut self.is_news).then(|| Arc::clone(&self.graph));
        let remotes = self.wants.take_changes();
        (graph.is_some() || !remotes.is_empty()).then_some(OverlayChange { graph, remotes })
    }

    /// The next endpoint that has become reachable behind a relay, or is so no longer, and which of
    /// both.
    pub fn next_arrival(&mut self) -> Option<(EndpointId, bool)> {
        self.wants.next_arrival()
    }

    /// Whether there is a path to an endpoint over other relays.
    pub fn reaches(&self, id: EndpointId) -> bool {
        self.wants.reaches(id)
    }

    /// How many topics somebody wants.
    pub fn topics(&self) -> usize {
        self.wants.topics()
    }

    /// Changes whenever [`Self::filter_for`] may.
    pub fn generation(&self) -> u64 {
        self.wants.generation()
    }

    /// What everybody else wants, this endpoint included, in ascending order and without entries
    /// that another one covers.
    pub fn filter_for(&self, peer: EndpointId) -> Vec<Bytes> {
        self.wants.filter_for(peer)
    }

    /// What a neighbour wants and what is wanted behind it, in ascending order; nothing if it is
    /// none.
    pub fn filter_of(&self, neighbour: EndpointId) -> Option<Vec<Bytes>> {
        self.links.get(&neighbour)?;
        let tree = self.graph.tree(self.own);
        let is_behind = |id: EndpointId| {
            let branch = tree.as_ref().and_then(|tree| self.graph.branch(tree, id));
            branch == Some(neighbour)
        };
        let relays = self.relays.iter().filter(|(id, relay)| relay.reachable && is_behind(**id));
        let topics =
            relays.flat_map(|(_, relay)| relay.claims.iter()).filter_map(|claim| match claim {
                Claim::Wants(_, topic) => Some(topic.clone()),
                _ => None,
            });
        Some(topics.collect::<BTreeSet<_>>().into_iter().collect())
    }

    /// The topics that only this endpoint wants: the filters of two endpoints without any are the
    /// same.
    pub fn wanted_alone(&self, peer: EndpointId) -> BTreeSet<Bytes> {
        self.wants.alone(peer)
    }

    /// The next thing to tell a neighbour, if there is something and it has acknowledged the last
    /// one: the payload of an announcement, and the token of a ping that has to follow.
    pub fn next_announcement(&mut self, peer: EndpointId) -> Option<(Vec<u8>, Bytes)> {
        let link = self.links.get_mut(&peer)?;
        let relays = &self.relays;
        let reachable = |id: EndpointId| relays.get(&id).filter(|relay| relay.reachable);
        let announcement = link.next(self.own, links::BATCH, |id| Some(&reachable(id)?.claims))?;
        self.last_token += 1;
        let token: Bytes = [&b"TOLD"[..], &self.last_token.to_be_bytes()].concat().into();
        link.awaits(token.clone());
        let mut payload = Vec::new();
        announcement.put(&mut payload);
        Some((payload, token))
    }

    /// A neighbour has answered a ping. Returns whether that was one of those that follow an
    /// announcement.
    pub fn acknowledged(&mut self, peer: EndpointId, token: &[u8]) -> bool {
        self.links.get_mut(&peer).is_some_and(|link| link.acknowledged(token))
    }

    /// Checks that what is counted is what there is; for tests.
    pub fn check(&self) {
        let others = self.relays.iter().filter(|(id, _)| **id != self.own);
        let bytes: usize = others.map(|(_, relay)| relay.claims.size()).sum();
        assert_eq!(self.bytes, bytes, "bytes of claims");
        if !self.stale {
            let counted = self.relays.iter().filter(|(_, relay)| relay.reachable);
            self.wants.check(
                counted.flat_map(|(id, relay)| relay.claims.iter().map(|claim| (*id, claim))),
            );
        }
    }
}

#[cfg(test)]
mod tests;
