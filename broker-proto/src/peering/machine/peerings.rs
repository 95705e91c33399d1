use super::{
    Action, Close, ConnectionState, DialState, Opened, Peering, PeeringMachine, Pending, Phase,
    Stage, Timer,
};
use crate::Failure;
use crate::Reason;
use crate::fact::{EndpointInfo, Fact, NetworkInfo, PeerChange, RemovalCause};
use crate::peering::bye::Bye;
use crate::peering::handshake::Dialect;
use crate::peering::pace::{Pace, Turn};
use crate::peering::{ConnectionId, LastActivity, PeerStatus, SubscribeError, Time};
use crate::rights::rights_of;
use crate::wire::envelope::{SharedFrame, ping_frame};
use crate::wire::handshake::Role;
use crate::{Address, EndpointId, ErrorCode, SourceAddress};
use bytes::Bytes;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

/// What became of a request to end a peering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unpeer {
    /// The peer is told, or has been told before.
    Leaving,
    /// There was no peering yet; it is no longer tried.
    Cancelled,
    /// There is nothing of the kind.
    Unknown,
}

impl PeeringMachine {
    /// A handshake is done: the peering exists from here on.
    pub(super) fn establish(
        &mut self,
        id: ConnectionId,
        peer: EndpointId,
        dialect: Dialect,
        filter: Vec<Bytes>,
        now: Time,
    ) {
        let Some((opened, shaking)) = self.conclude(id) else { return };
        let rivals = self.end_pending(peer, id);
        self.make_room(id, now);
        let dial = match opened {
            Opened::Dialled(dial) => Some(dial),
            Opened::Accepted { .. } => None,
        };
        self.relate(peer, id);
        let mut network = None;
        let mut again = self.registry.status(peer) == Some(PeerStatus::Reconnecting);
        if let Some(dial) = dial.and_then(|dial| self.dials.get_mut(dial)) {
            dial.state = DialState::Attached(id);
            dial.failures = 0;
            dial.last_error = None;
            again |= std::mem::replace(&mut dial.has_been_peered, true);
            network = Some(NetworkInfo { url: dial.url.clone(), retry: dial.retry });
        }
        if let Some(record) = self.registry.get_mut(peer) {
            record.status = PeerStatus::Peered;
            record.since = now;
            record.reconnects += u64::from(again);
            if let Some(network) = network {
                record.network = network;
            }
        }
        let heard = Arc::new(LastActivity::new(now));
        let link = self.conns.get(&id).map(|conn| &conn.link);
        let rights = link.and_then(|link| rights_of(&self.settings.rules, link));
        let rights = Arc::new(rights.unwrap_or_default());
        if let Some(conn) = self.conns.get_mut(&id) {
            let origin = conn.is_accepted().then(|| SourceAddress::of(&conn.link.remote));
            origin.iter().for_each(|origin| self.crowd.enter(origin));
            let (removal, bye, check, cut) = (None, None, None, None);
            let heard = Arc::clone(&heard);
            self.peered += 1;
            conn.stage = Stage::Peered(Box::new(Peering {
                peer,
                dialect,
                rights: Arc::clone(&rights),
                told_rights: false,
                claimed: Vec::new(),
                origin,
                dial,
                removal,
                bye,
                heard,
                check,
                cut,
                announced: shaking.announced,
                pace: Pace::of_peer(),
                next_filter: None,
            }));
        }
        let filter = self.receivable(id, filter);
        let wanted = filter.clone();
        self.act(Action::Install { conn: id, peer, dialect, rights, filter: wanted, heard });
        if self.discovered.insert(peer) {
            self.report_change(PeerChange::Discovered, peer);
        }
        self.report_change(PeerChange::Added, peer);
        self.announce_to(id);
        self.relay_established(id, peer, dialect, filter, now);
        if again {
            self.report(Fact::Reconnected(peer));
        }
        if let Some(dial) = dial {
            self.act(Action::Resolve { dial, outcome: Ok(peer) });
        }
        self.release_redundant(peer, rivals, now);
    }

    /// Where all places are taken, ends the newest peering of the origin that has too many of them,
    /// for this connection. Existing peerings are safe otherwise: to end one of them for whoever
    /// comes would be a tool for strangers. The newest, because those that are wanted are mostly
    /// there before those that only take places.
    fn make_room(&mut self, id: ConnectionId, now: Time) {
        let limit = self.settings.peers;
        let Some(conn) = self.conns.get(&id).filter(|_| self.peered >= limit) else { return };
        let Some(crowded) = self.crowd.gives_way_to(&SourceAddress::of(&conn.link.remote)) else {
            return;
        };
        let newest = self.conns.iter().rev().find_map(|(id, conn)| match &conn.stage {
            Stage::Peered(peering) if peering.origin.as_ref() == Some(crowded) => Some(*id),
            _ => None,
        });
        let Some(newest) = newest else { return };
        let what = format!(
            "this endpoint has {limit} peers, the limit peers, and more than half of them come \
             from the address of this one: the newest went"
        );
        self.end_peering(newest, &Failure::LimitReached(what), now);
        self.act(Action::Close { conn: newest, how: Close::Now });
    }

    /// The handshake with a peer is done on this connection. Returns the others.
    fn end_pending(&mut self, peer: EndpointId, id: ConnectionId) -> Vec<ConnectionId> {
        let Some(Pending { mut active, mut paused, due, .. }) = self.pending.remove(&peer) else {
            return Vec::new();
        };
        if let Some(due) = due {
            self.timers.cancel(due, Timer::Paused(peer));
        }
        active.retain(|active| *active != id);
        active.append(&mut paused);
        active
    }

    /// Ends the connections and requests that waited for this peering, or would have been it.
    fn release_redundant(&mut self, peer: EndpointId, rivals: Vec<ConnectionId>, now: Time) {
        for conn in rivals {
            let has_answered = self.has_answered(conn);
            if let Some((opened, _)) = self.conclude(conn) {
                if has_answered {
                    // It takes no message of the handshake any more.
                    self.act(Action::Close { conn, how: Close::Flush });
                } else {
                    let code = ErrorCode::RedundantConnection;
                    self.drop_connection(conn, code, "redundant connection");
                }
                if let Opened::Dialled(dial) = opened {
                    self.dial_redundant(dial, peer, now);
                }
            }
        }
        for dial in self.awaiting(peer) {
            self.dial_redundant(dial, peer, now);
        }
    }

    /// Tells a peer the filter unless it knows it.
    fn announce_to(&mut self, conn: ConnectionId) {
        let (own, generation) = (self.settings.id, self.filter_generation());
        let Some(peering) =
            self.peering_mut(conn).filter(|peering| peering.announced.generation != generation)
        else {
            return;
        };
        let (peer, dialect) = (peering.peer, peering.dialect);
        let rights = Arc::clone(&peering.rights);
        peering.announced.generation = generation;
        if self.is_link(dialect) {
            return;
        }
        let payload = self.filter_payload(peer, &rights);
        let fingerprint = fingerprint(&payload);
        let Some(peering) = self.peering_mut(conn) else { return };
        let before = std::mem::replace(&mut peering.announced.fingerprint, fingerprint);
        // What others want changes more often than what it comes to for one of them.
        if before == fingerprint && self.relays() {
            return;
        }
        let frame = SharedFrame::routing_update(own, peer, payload);
        self.act(Action::Announce { conn, frame });
    }

    /// A local consumer wants these topics as well.
    ///
    /// # Errors
    ///
    /// The filter would be larger than peers accept. Nothing has changed then.
    pub fn subscribe(&mut self, topics: &[Bytes], now: Time) -> Result<(), SubscribeError> {
        let changed = self.filter.add(topics)?;
        self.own_filter_changed(changed, now);
        Ok(())
    }

    /// A local consumer does not want these topics any more.
    pub fn unsubscribe(&mut self, topics: &[Bytes], now: Time) {
        let changed = self.filter.remove(topics);
        self.own_filter_changed(changed, now);
    }

    /// What the local consumers want, as peers are told.
    pub fn announced(&self) -> Vec<Bytes> {
        self.filter.announced()
    }

    /// When peers are told of changes that wait for it, if there are any.
    pub fn announcement_due(&self) -> Option<Time> {
        self.pace.due()
    }

    /// Tells peers that the filter has changed: at once, or together with what changes until that
    /// may be said.
    pub(super) fn announce(&mut self, now: Time) {
        if self.peered == 0 || self.phase != Phase::Running {
            return;
        }
        match self.pace.turn(now) {
            Turn::Now => self.broadcast(now),
            Turn::At(time) => self.timers.set(time, Timer::Announce),
            Turn::WithAnother => {}
        }
    }

    pub(super) fn broadcast(&mut self, now: Time) {
        self.pace.go(now, self.filter_entries());
        for (conn, _) in self.installed() {
            self.announce_to(conn);
        }
    }

    pub(super) fn installed(&self) -> Vec<(ConnectionId, EndpointId)> {
        let peered = |(id, conn): (&ConnectionId, &ConnectionState)| match &conn.stage {
            Stage::Peered(peering) => Some((*id, peering.peer)),
            _ => None,
        };
        self.conns.iter().filter_map(peered).collect()
    }

    pub(super) fn peering_mut(&mut self, id: ConnectionId) -> Option<&mut Peering> {
        match &mut self.conns.get_mut(&id)?.stage {
            Stage::Peered(peering) => Some(peering),
            _ => None,
        }
    }

    /// The peer has announced a new filter, which takes effect at once, or in place of those that
    /// came too early after another one.
    pub fn routing_update(&mut self, conn: ConnectionId, filter: Vec<Bytes>, now: Time) {
        let relays = self.relays();
        let Some(peering) = self.peering_mut(conn) else { return };
        if relays && peering.dialect == Dialect::Two(Role::Relay) {
            return;
        }
        peering.next_filter = Some(filter);
        match peering.pace.turn(now) {
            Turn::Now => self.filter_due(conn, now),
            Turn::At(time) => self.timers.set(time, Timer::Filter(conn)),
            Turn::WithAnother => {}
        }
    }

    /// What a peer may have of what it wants. If that is not everything, it is said once.
    fn receivable(&mut self, conn: ConnectionId, wanted: Vec<Bytes>) -> Vec<Bytes> {
        let Some(peering) = self.peering_mut(conn) else { return wanted };
        let (filter, refused) = peering.rights.receivable(wanted);
        let Some(refused) = refused else { return filter };
        if !std::mem::replace(&mut peering.told_rights, true) {
            let peer = peering.peer;
            let remote = self.registry.get(peer).map(|record| record.network.url.clone());
            let topic = String::from_utf8_lossy(&refused);
            let what = format!("wants {topic:?}, which is more than it may subscribe to");
            if let Some(remote) = remote {
                self.report(Fact::Misbehaved { peer, remote, reason: Reason::NotPermitted, what });
            }
        }
        filter
    }

    pub(super) fn filter_due(&mut self, conn: ConnectionId, now: Time) {
        let Some(peering) = self.peering_mut(conn) else { return };
        let Some(filter) = peering.next_filter.take() else { return };
        peering.pace.go(now, filter.len());
        let peer = peering.peer;
        let filter = self.receivable(conn, filter);
        self.act(Action::SetFilter { conn, peer, filter: filter.clone() });
        self.peer_wants(conn, filter, now);
    }

    /// The peer has answered a ping.
    pub fn pong(&mut self, id: ConnectionId, payload: &[u8], now: Time) {
        if self.is_acknowledgement(id, payload) {
            return self.settle(now);
        }
        let Some(peering) = self.peering_mut(id) else { return };
        let Some((_, deadline)) = peering.bye.take_if(|(bye, _)| bye.is_answered_by(payload))
        else {
            return;
        };
        self.timers.cancel(deadline, Timer::Bye(id));
        // The other side may be saying bye as well and wait for the pong that is still queued.
        self.act(Action::Close { conn: id, how: Close::Flush });
    }

    /// Ends the peering with an address, or stops trying to make one.
    pub fn unpeer(&mut self, url: &Address, now: Time) -> Unpeer {
        if let Some((_, conn)) = self.registry.peered_at(url) {
            self.leave(conn, self.settings.bye, now);
            return Unpeer::Leaving;
        }
        if self.cancel_dial(url, Failure::Cancelled, now) {
            return Unpeer::Cancelled;
        }
        let network = Some(NetworkInfo::new(url.clone()));
        self.report(Fact::UnknownPeer(EndpointInfo { id: EndpointId::NIL, network }));
        Unpeer::Unknown
    }

    /// Ends the peering with an endpoint.
    pub fn unpeer_id(&mut self, peer: EndpointId, now: Time) -> Unpeer {
        self.unpeer_within(peer, self.settings.bye, now)
    }

    /// The same for a peer that may take this long to read what is queued for it.
    pub fn unpeer_within(&mut self, peer: EndpointId, limit: Duration, now: Time) -> Unpeer {
        let record = self.registry.get(peer);
        if let Some(record) = record.filter(|record| record.status == PeerStatus::Peered) {
            self.leave(record.conn, limit, now);
            return Unpeer::Leaving;
        }
        self.report(Fact::UnknownPeer(EndpointInfo { id: peer, network: None }));
        Unpeer::Unknown
    }

    fn leave(&mut self, id: ConnectionId, limit: Duration, now: Time) {
        self.say_bye(id, limit, now);
        // Whoever asked for it again in the meantime is overruled.
        let Some(id) = self.peering_mut(id).and_then(|peering| peering.dial) else { return };
        if self.dials.get_mut(id).is_some_and(|dial| std::mem::take(&mut dial.redial_after_removal))
        {
            self.act(Action::Resolve { dial: id, outcome: Err(Failure::Cancelled) });
        }
    }

    /// Whether this side wants the peering with `peer` to end.
    pub(super) fn is_leaving(&self, peer: EndpointId) -> bool {
        let conn = self.registry.get(peer).map(|record| record.conn);
        matches!(conn.and_then(|conn| self.conns.get(&conn)).map(|conn| &conn.stage),
            Some(Stage::Peered(peering)) if peering.removal.is_some())
    }

    fn say_bye(&mut self, id: ConnectionId, limit: Duration, now: Time) {
        self.last_bye += 1;
        let bye = Bye::new(self.last_bye);
        let own = self.settings.id;
        let deadline = now + limit;
        let Some(peering) = self.peering_mut(id).filter(|peering| peering.removal.is_none()) else {
            return;
        };
        let frame = ping_frame(own, peering.peer, bye.token());
        peering.removal = Some(RemovalCause::Unpeer);
        peering.bye = Some((bye, deadline));
        self.timers.set(deadline, Timer::Bye(id));
        self.act(Action::Send { conn: id, frame });
    }

    pub(super) fn bye_timed_out(&mut self, id: ConnectionId) {
        let Some(peering) = self.peering_mut(id) else { return };
        peering.bye = None;
        let peer = peering.peer;
        self.report(Fact::ByeTimedOut(peer));
        self.act(Action::Close { conn: id, how: Close::Now });
    }

    /// The queue of a peer has overflowed, and its policy is to cut the peer.
    pub fn overflow(&mut self, id: ConnectionId) {
        let Some(peering) = self.peering_mut(id) else { return };
        peering.removal.get_or_insert(RemovalCause::Overflow);
        self.act(Action::Close { conn: id, how: Close::Now });
    }

    /// A peer causes answers and does not read them.
    pub fn control_overflow(&mut self, id: ConnectionId) {
        if let Some(peering) = self.peering_mut(id) {
            peering.cut.get_or_insert(Failure::ControlOverflow);
        }
        self.overflow(id);
    }

    pub(super) fn end_peering(&mut self, id: ConnectionId, failure: &Failure, now: Time) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        let Stage::Peered(peering) = std::mem::replace(&mut conn.stage, Stage::Over) else {
            return;
        };
        self.peered -= 1;
        peering.origin.iter().for_each(|origin| self.crowd.leave(origin));
        let peer = peering.peer;
        if let Some((_, deadline)) = peering.bye {
            self.timers.cancel(deadline, Timer::Bye(id));
        }
        if let Some((_, deadline)) = peering.check {
            self.timers.cancel(deadline, Timer::Liveness(id));
        }
        if let Some(due) = peering.pace.due() {
            self.timers.cancel(due, Timer::Filter(id));
        }
        let failure = peering.cut.as_ref().unwrap_or(failure);
        self.act(Action::Uninstall { peer });
        self.report_change(peering.removal.map_or(PeerChange::Lost, PeerChange::Removed), peer);
        self.relay_ended(&peering);
        self.settle(now);
        if !self.overlay.reaches(peer) && self.discovered.remove(&peer) {
            self.report_change(PeerChange::Unreachable, peer);
        }
        if peering.removal.is_none() {
            self.report(Fact::PeerLost { peer, failure: failure.clone() });
        }
        let error = match peering.removal {
            Some(RemovalCause::Overflow) if peering.cut.is_none() => Failure::Overflow,
            _ => failure.clone(),
        };
        if peering.removal == Some(RemovalCause::Overflow) {
            self.report(Fact::PeerOverflowed { peer, failure: error.clone() });
        }
        if let Some(record) = self.registry.get_mut(peer) {
            record.status = PeerStatus::Disconnected;
            record.since = now;
            record.last_error = Some(error);
        }
        self.registry.forget_disconnected(self.settings.remembered_peers);
        self.after_peering(&peering, failure, now);
        self.retry_awaiting(peer, now);
    }

    /// A lost peering comes back, one that this side ended does not, unless it was asked for anew.
    fn after_peering(&mut self, peering: &Peering, failure: &Failure, now: Time) {
        let Some(id) = peering.dial else { return };
        let Some(dial) = self.dials.get_mut(id) else { return };
        let again = std::mem::take(&mut dial.redial_after_removal);
        let lost = peering.removal.is_none() && dial.retry.is_some();
        if self.phase == Phase::Running && (again || lost) {
            dial.last_error = Some(failure.clone());
            self.start_dial(id, now);
        } else {
            self.dials.remove(id);
        }
    }

    pub(super) fn report_change(&mut self, change: PeerChange, peer: EndpointId) {
        use PeerChange as P;
        let with_network = matches!(change, P::Added | P::Removed(_) | P::Lost);
        let record = self.registry.get(peer);
        let network = record.filter(|_| with_network).map(|record| record.network.clone());
        let added = record.filter(|_| change == P::Added);
        let protection = added.map(|record| record.protection.clone());
        let endpoint = EndpointInfo { id: peer, network };
        self.report(Fact::Peer { change, endpoint, protection });
    }

    /// Winds everything up: requests are cancelled, handshakes dropped, peers told.
    /// [`Action::Stopped`] says when that is done, at the latest after the time for the bye.
    pub fn shut_down(&mut self, now: Time) {
        if self.phase != Phase::Running {
            return;
        }
        let deadline = now + self.settings.bye;
        self.phase = Phase::ShuttingDown(deadline);
        self.cancel_all_dials();
        let ids: Vec<ConnectionId> = self.conns.keys().copied().collect();
        for id in ids {
            if self.has_answered(id) {
                // The peer may be peered by now, and takes no message of the handshake any more.
                self.handshake_failed(id, Failure::ShuttingDown, now);
                self.act(Action::Close { conn: id, how: Close::Flush });
            } else if self.is_shaking(id) {
                self.handshake_failed(id, Failure::ShuttingDown, now);
                self.drop_connection(id, ErrorCode::ShuttingDown, "shutting down");
            } else {
                self.say_bye(id, self.settings.bye, now);
            }
        }
        self.timers.set(deadline, Timer::Shutdown);
        self.stop_if_idle();
    }

    pub(super) fn force_shutdown(&mut self) {
        let ids: Vec<ConnectionId> = self.conns.keys().copied().collect();
        for conn in ids {
            self.act(Action::Close { conn, how: Close::Now });
        }
    }

    pub(super) fn stop_if_idle(&mut self) {
        let Phase::ShuttingDown(deadline) = self.phase else { return };
        if self.installed().is_empty() {
            self.timers.cancel(deadline, Timer::Shutdown);
            if let Some(due) = self.pace.due() {
                self.timers.cancel(due, Timer::Announce);
                self.pace = Pace::own();
            }
            self.stop_relaying();
            self.phase = Phase::Stopped;
            self.act(Action::Stopped);
        }
    }
}

/// Tells a filter from the one that a peer was told before.
pub(super) fn fingerprint(payload: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    payload.hash(&mut hasher);
    hasher.finish()
}
