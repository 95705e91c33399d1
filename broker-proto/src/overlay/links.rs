use super::claims::Claims;
use crate::EndpointId;
use crate::wire::announcement::{Announcement, Update};
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};

/// About how many bytes a neighbour is told at once, unless one relay alone has more to say.
pub(super) const BATCH: usize = 32 * 1024;

/// What an update takes besides its changes, at most.
const UPDATE: usize = 64;

/// What a neighbour has been told, and what not yet.
///
/// There is one announcement under way at a time. What changes until it is acknowledged goes into
/// the next one, so that many changes take few messages, and a neighbour that is slow is told less
/// often and never has more waiting than that.
#[derive(Debug)]
pub(super) struct Link {
    /// What the other side knows of each relay: because it was told, or because it told.
    known: BTreeMap<EndpointId, Known>,
    /// Relays of which it may not know everything.
    news: BTreeSet<EndpointId>,
    /// Relays of which this side has forgotten what the other side has told.
    forgotten: BTreeSet<EndpointId>,
    awaited: Option<Bytes>,
    complete: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
struct Known {
    life: u64,
    generation: u64,
}

impl Link {
    pub(super) fn new(relays: impl Iterator<Item = EndpointId>) -> Self {
        Self {
            known: BTreeMap::new(),
            news: relays.collect(),
            forgotten: BTreeSet::new(),
            awaited: None,
            complete: false,
        }
    }

    /// Something about this relay has changed.
    pub(super) fn tell_about(&mut self, relay: EndpointId) {
        self.news.insert(relay);
    }

    /// The other side has shown that it knows a generation.
    pub(super) fn knows(&mut self, relay: EndpointId, life: u64, generation: u64) {
        self.forgotten.remove(&relay);
        let known = self.known.entry(relay).or_default();
        *known = (*known).max(Known { life, generation });
    }

    /// The other side knows nothing of a relay any more.
    pub(super) fn has_forgotten(&mut self, relay: EndpointId) {
        self.known.remove(&relay);
        self.news.insert(relay);
    }

    /// This side knows nothing of a relay that the other side may have told of.
    pub(super) fn ask_for(&mut self, relay: EndpointId) {
        if self.known.remove(&relay).is_some() {
            self.forgotten.insert(relay);
        }
    }

    /// Of how many relays it is remembered what the other side knows.
    pub(super) fn known(&self) -> usize {
        self.known.len() + self.forgotten.len()
    }

    pub(super) fn awaits(&mut self, token: Bytes) {
        self.awaited = Some(token);
    }

    pub(super) fn acknowledged(&mut self, token: &[u8]) -> bool {
        self.awaited.take_if(|awaited| *awaited == token).is_some()
    }

    /// What is to be told next, if it is time for that. The own claims come first: without them
    /// the others are of no use.
    pub(super) fn next<'a>(
        &mut self,
        own: EndpointId,
        room: usize,
        claims: impl Fn(EndpointId) -> Option<&'a Claims>,
    ) -> Option<Announcement> {
        let nothing = self.news.is_empty() && self.forgotten.is_empty() && self.complete;
        if self.awaited.is_some() || nothing {
            return None;
        }
        let (mut updates, mut size) = (Vec::new(), 0);
        while size < room
            && let Some(relay) = self.forgotten.pop_first()
        {
            size += UPDATE;
            let (life, base, generation) = (0, 0, 0);
            updates.push(Update { relay, life, base, generation, changes: Vec::new() });
        }
        while size < room {
            let next =
                if self.news.contains(&own) { Some(own) } else { self.news.first().copied() };
            let Some(relay) = next else { break };
            self.news.remove(&relay);
            let Some(claims) = claims(relay) else { continue };
            let now = Known { life: claims.life, generation: claims.generation };
            let before = self.known.get(&relay).copied().unwrap_or_default();
            if before >= now {
                continue;
            }
            let known = if before.life == now.life { before.generation } else { 0 };
            let update = claims.update(relay, known);
            size += UPDATE + update.changes.iter().map(|change| change.size()).sum::<usize>();
            self.known.insert(relay, now);
            updates.push(update);
        }
        let done = self.news.is_empty() && self.forgotten.is_empty();
        let complete = done && !self.complete;
        self.complete |= done;
        (complete || !updates.is_empty()).then_some(Announcement { complete, updates })
    }
}
