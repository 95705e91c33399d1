//! What an endpoint does as a relay: it tells other relays whom it serves and what they want, and
//! everybody else what is wanted behind it.

use super::{Action, Close, Peering, PeeringMachine, Phase, Timer};
use crate::fact::PeerChange;
use crate::overlay::TooMuch;
use crate::peering::handshake::Dialect;
use crate::peering::local_filter::Step;
use crate::peering::pace::{Pace, Turn};
use crate::peering::{ConnectionId, Time, is_internal};
use crate::wire::announcement::{Announcement, Claim};
use crate::wire::envelope::{SharedFrame, ping_frame};
use crate::wire::handshake::Role;
use crate::wire::{PROTOCOL_VERSION, routing_update};
use crate::{EndpointId, Failure, Rights};
use bytes::Bytes;
use std::collections::BTreeSet;

impl PeeringMachine {
    /// Whether messages are passed on, and what is behind is announced. Whoever speaks version 1
    /// only passes messages on without a word, as the C++ Broker does: what relays of version 1
    /// would tell each other of others, nobody could withdraw in a circle.
    pub(super) fn relays(&self) -> bool {
        self.settings.role == Role::Relay && self.settings.version > PROTOCOL_VERSION
    }

    /// Whether both ends of a peering are relays, which tell each other everything.
    pub(super) fn is_link(&self, dialect: Dialect) -> bool {
        self.relays() && dialect == Dialect::Two(Role::Relay)
    }

    /// Changes whenever what somebody is told may.
    pub(super) fn filter_generation(&self) -> u64 {
        if self.relays() { self.overlay.generation() } else { self.filter.generation() }
    }

    /// About how many entries peers are told.
    pub(super) fn filter_entries(&self) -> usize {
        if self.relays() { self.overlay.topics() } else { self.filter.entries() }
    }

    /// What this endpoint wants from a peer: for itself and, as a relay, for everybody else.
    pub(super) fn filter_for(&self, peer: EndpointId, rights: &Rights) -> Vec<Bytes> {
        if !self.relays() {
            return rights.publishable(self.filter.announced());
        }
        let filter = rights.publishable(self.overlay.filter_for(peer));
        let bytes: usize = filter.iter().map(Bytes::len).sum();
        let limits = &self.settings.filter;
        if filter.len() > limits.entries || bytes > limits.bytes {
            // More than peers accept; everything includes it.
            return rights.publishable(vec![Bytes::new()]);
        }
        filter
    }

    /// What a peer that is a relay wants and what is wanted behind it; nothing for other peers.
    pub fn filter_of_relay(&self, peer: EndpointId) -> Option<Vec<Bytes>> {
        self.overlay.filter_of(peer)
    }

    /// The same as the payload of a routing update, which all peers share for which it is the same.
    pub(super) fn filter_payload(&mut self, peer: EndpointId, rights: &Rights) -> Bytes {
        if !rights.are_unlimited() {
            let mut payload = Vec::new();
            routing_update::encode(&mut payload, &self.filter_for(peer, rights));
            return payload.into();
        }
        if !self.relays() {
            return self.filter.payload();
        }
        let generation = self.overlay.generation();
        let shared = self.overlay.wanted_alone(peer).is_empty();
        if let Some((_, payload)) =
            self.union.as_ref().filter(|(of, _)| shared && *of == generation)
        {
            return payload.clone();
        }
        let mut payload = Vec::new();
        routing_update::encode(&mut payload, &self.filter_for(peer, rights));
        let payload = Bytes::from(payload);
        if shared {
            self.union = Some((generation, payload.clone()));
        }
        payload
    }

    /// The local consumers want something else.
    pub(super) fn own_filter_changed(&mut self, changed: bool, now: Time) {
        let steps = self.filter.take_steps();
        if !self.relays() {
            if changed {
                self.announce(now);
            }
            return;
        }
        let own = self.settings.id;
        for step in steps {
            match step {
                Step::Added(topic) => self.overlay.claim(Claim::Wants(own, topic), true),
                Step::Removed(topic) => self.overlay.claim(Claim::Wants(own, topic), false),
            }
        }
        self.settle(now);
    }

    /// A peering exists from now on.
    pub(super) fn relay_established(
        &mut self,
        conn: ConnectionId,
        peer: EndpointId,
        dialect: Dialect,
        filter: Vec<Bytes>,
        now: Time,
    ) {
        if !self.relays() {
            return;
        }
        if self.is_link(dialect) {
            self.overlay.link_up(peer);
            self.settle(now);
        } else {
            self.overlay.claim(Claim::Serves(peer), true);
            self.peer_wants(conn, filter, now);
        }
    }

    /// A peer that is no relay wants this from now on.
    pub(super) fn peer_wants(&mut self, conn: ConnectionId, mut filter: Vec<Bytes>, now: Time) {
        if !self.relays() {
            return;
        }
        // What never leaves an endpoint cannot come from elsewhere.
        filter.retain(|topic| !is_internal(topic));
        let Some(peering) = self.peering_mut(conn) else { return };
        let peer = peering.peer;
        let before = std::mem::replace(&mut peering.claimed, filter.clone());
        let (before, after) = (BTreeSet::from_iter(before), BTreeSet::from_iter(filter));
        for topic in after.difference(&before) {
            self.overlay.claim(Claim::Wants(peer, topic.clone()), true);
        }
        for topic in before.difference(&after) {
            self.overlay.claim(Claim::Wants(peer, topic.clone()), false);
        }
        self.settle(now);
    }

    /// A peering exists no longer.
    pub(super) fn relay_ended(&mut self, peering: &Peering) {
        if !self.relays() {
            return;
        }
        let peer = peering.peer;
        if self.is_link(peering.dialect) {
            return self.overlay.link_down(peer);
        }
        for topic in &peering.claimed {
            self.overlay.claim(Claim::Wants(peer, topic.clone()), false);
        }
        self.overlay.claim(Claim::Serves(peer), false);
    }

    /// A relay has told what it knows; that takes effect at once, or together with what comes until
    /// it may.
    pub fn announcement(&mut self, conn: ConnectionId, announcement: Announcement, now: Time) {
        let Some(peering) = self.peering_mut(conn) else { return };
        let (peer, dialect) = (peering.peer, peering.dialect);
        if !self.is_link(dialect) || self.phase == Phase::Stopped {
            return;
        }
        match self.overlay.receive(peer, announcement, now) {
            // From now on messages go where they are wanted, and not where it was said at first.
            Ok(true) => {
                self.settle(now);
                self.act(Action::SetFilter { conn, peer, filter: Vec::new() });
                return;
            }
            Ok(false) => {}
            Err(TooMuch { from, what }) => self.cut(from, Failure::LimitReached(what)),
        }
        match self.news.turn(now) {
            Turn::Now => self.news_due(now),
            Turn::At(time) => self.timers.set(time, Timer::News),
            Turn::WithAnother => {}
        }
    }

    fn cut(&mut self, peer: EndpointId, failure: Failure) {
        let Some(conn) = self.registry.get(peer).map(|record| record.conn) else { return };
        let Some(peering) = self.peering_mut(conn) else { return };
        peering.cut.get_or_insert(failure);
        self.act(Action::Close { conn, how: Close::Now });
    }

    pub(super) fn news_due(&mut self, now: Time) {
        self.news.go(now, self.overlay.endpoints());
        self.settle(now);
    }

    /// Whether a pong says that an announcement has arrived.
    pub(super) fn is_acknowledgement(&mut self, conn: ConnectionId, payload: &[u8]) -> bool {
        let Some(peer) = self.peering_mut(conn).map(|peering| peering.peer) else { return false };
        self.overlay.acknowledged(peer, payload)
    }

    /// Lets everything take effect that is known of the overlay, and tells everyone what they have
    /// to know of it.
    pub(super) fn settle(&mut self, now: Time) {
        if !self.relays() {
            return;
        }
        if let Some(change) = self.overlay.take_change(now) {
            self.act(Action::ChangeOverlay(change));
        }
        while let Some((id, there)) = self.overlay.next_arrival() {
            if there && self.discovered.insert(id) {
                self.report_change(PeerChange::Discovered, id);
            } else if !there && !self.is_peered(id) && self.discovered.remove(&id) {
                self.report_change(PeerChange::Unreachable, id);
            }
        }
        for (conn, peer) in self.installed() {
            self.tell(conn, peer);
        }
        let generation = self.filter_generation();
        let behind = self.installed().iter().any(|(conn, _)| {
            self.peering(*conn).is_some_and(|peering| {
                peering.announced.generation != generation && !self.is_link(peering.dialect)
            })
        });
        if behind {
            self.announce(now);
        }
        self.set_forget_timer();
    }

    /// Tells a relay what it does not know yet.
    fn tell(&mut self, conn: ConnectionId, peer: EndpointId) {
        let own = self.settings.id;
        if let Some((payload, token)) = self.overlay.next_announcement(peer) {
            // In front of what waits: whoever gets the messages knows then who wants them.
            let frame = SharedFrame::announcement(own, peer, payload.into());
            self.act(Action::Announce { conn, frame });
            self.act(Action::Send { conn, frame: ping_frame(own, peer, &token) });
        }
    }

    fn set_forget_timer(&mut self) {
        let due = self.overlay.next_deadline().filter(|_| self.phase != Phase::Stopped);
        if due == self.forget_at {
            return;
        }
        if let Some(at) = std::mem::replace(&mut self.forget_at, due) {
            self.timers.cancel(at, Timer::Forget);
        }
        if let Some(at) = due {
            self.timers.set(at, Timer::Forget);
        }
    }

    pub(super) fn forget_unreachable(&mut self, now: Time) {
        self.forget_at = None;
        self.overlay.forget_unreachable(now);
        self.settle(now);
    }

    /// Nobody is there any more who could be told anything.
    pub(super) fn stop_relaying(&mut self) {
        if let Some(due) = self.news.due() {
            self.timers.cancel(due, Timer::News);
            self.news = Pace::own();
        }
        if let Some(at) = self.forget_at.take() {
            self.timers.cancel(at, Timer::Forget);
        }
    }

    fn peering(&self, conn: ConnectionId) -> Option<&Peering> {
        match &self.conns.get(&conn)?.stage {
            super::Stage::Peered(peering) => Some(peering),
            _ => None,
        }
    }

    /// How many endpoints are known beside the peers, and about how many bytes that takes.
    pub fn overlay_size(&self) -> (usize, usize) {
        (self.overlay.endpoints(), self.overlay.bytes())
    }
}
