use super::{
    Action, Close, ConnectionState, DialState, Opened, PeeringMachine, Pending, Phase, Shaking,
    Stage, Timer, Told,
};
use crate::Failure;
use crate::HangUpGuess;
use crate::fact::{Fact, NetworkInfo};
use crate::peering::handshake::{
    Admission, Handshake, HandshakeContext, HandshakeFrame, Role, Step,
};
use crate::peering::{ConnectionId, Direction, PeerStatus, Time};
use crate::wire::handshake::HandshakeMessage;
use crate::{Address, EndpointId, ErrorCode, Link, Reason};
use std::time::Duration;

impl PeeringMachine {
    /// A connection is open.
    ///
    /// `None` if nobody wants it any more: the request is over, or the endpoint shuts down.
    pub fn opened(&mut self, opened: Opened, link: Link, now: Time) -> Option<ConnectionId> {
        let Opened::Dialled(dial) = opened else {
            return self.add_connection(opened, link, now);
        };
        if self.dials.get(dial)?.state != DialState::Connecting {
            return None;
        }
        let conn = self.add_connection(opened, link, now)?;
        if let Some(dial) = self.dials.get_mut(dial) {
            dial.state = DialState::Shaking(conn);
        }
        Some(conn)
    }

    fn add_connection(&mut self, opened: Opened, link: Link, now: Time) -> Option<ConnectionId> {
        if self.phase != Phase::Running {
            return None;
        }
        self.last_conn += 1;
        let id = ConnectionId(self.last_conn);
        let own = self.settings.id;
        let (began, handshake) = match opened {
            Opened::Accepted { began } => (began, Handshake::acceptor(own)),
            Opened::Dialled(_) => (now, Handshake::connector(own)),
        };
        let deadline = began + self.settings.handshake_time;
        self.timers.set(deadline, Timer::Handshake(id));
        let (announced, peer, is_self_connection) = (Told::default(), None, false);
        let stage =
            Stage::Shaking(Shaking { handshake, deadline, announced, peer, is_self_connection });
        self.conns.insert(id, ConnectionState { opened, link, stage });
        self.shake(id, now, |handshake, steps| handshake.greet(steps));
        Some(id)
    }

    /// The other side of a connection goes on from another address. The address of a peer that was
    /// dialled stays the one that was asked for.
    pub fn moved(&mut self, id: ConnectionId, remote: Address) {
        let Some(conn) = self.conns.get_mut(&id) else { return };
        conn.link.remote = remote.clone();
        let peer = match &conn.stage {
            Stage::Shaking(shaking) => shaking.peer,
            Stage::Peered(peering) => Some(peering.peer),
            Stage::Over => None,
        };
        let Some(peer) = peer.filter(|_| conn.is_accepted()) else { return };
        if self.registry.get(peer).is_some_and(|record| record.conn == id)
            && let Some(record) = self.registry.get_mut(peer)
        {
            record.network = NetworkInfo::new(remote);
        }
    }

    /// A frame has arrived before the connection was installed.
    pub fn handshake_frame(&mut self, id: ConnectionId, frame: HandshakeFrame, now: Time) {
        let received = self.shake(id, now, |handshake, steps| {
            let step = handshake.receive(frame, steps);
            (step, handshake.met_own_id())
        });
        let Some((step, met_own_id)) = received else { return };
        if met_own_id {
            self.look_for_other_end(id);
        }
        match step {
            Step::Continue => {}
            Step::Paused => self.watch_paused(id),
            Step::Established { peer, filter, dialect } => {
                self.establish(id, peer, dialect, filter, now);
            }
            Step::Redundant { peer } => {
                if let Some(Opened::Dialled(dial)) = self.end_handshake(id, now) {
                    self.dial_redundant(dial, peer, now);
                }
                self.act(Action::Close { conn: id, how: Close::Flush });
            }
            Step::Failed(failure) => {
                self.handshake_failed(id, failure, now);
                self.act(Action::Close { conn: id, how: Close::Flush });
            }
        }
    }

    /// Whoever is at the other end of this connection has the id of this endpoint. If one that goes
    /// the other way has met the same, the two are the ends of one connection.
    fn look_for_other_end(&mut self, id: ConnectionId) {
        let Some(direction) = self.conns.get(&id).map(|conn| conn.opened.direction()) else {
            return;
        };
        let other = self.conns.iter().find_map(|(other, conn)| match &conn.stage {
            Stage::Shaking(shaking)
                if shaking.handshake.met_own_id() && conn.opened.direction() != direction =>
            {
                Some(*other)
            }
            _ => None,
        });
        let Some(other) = other else { return };
        for id in [id, other] {
            if let Some(ConnectionState { stage: Stage::Shaking(shaking), .. }) =
                self.conns.get_mut(&id)
            {
                shaking.is_self_connection = true;
            }
        }
    }

    /// What a failure of a handshake really is, in the light of what the handshake has seen.
    fn understood(&self, id: ConnectionId, failure: Failure) -> Failure {
        let Some(ConnectionState { stage: Stage::Shaking(shaking), link, .. }) =
            self.conns.get(&id)
        else {
            return failure;
        };
        let handshake = &shaking.handshake;
        let closed = matches!(&failure, Failure::Transport(error)
            if matches!(error.reason(), Reason::Closed | Reason::Reset));
        match failure {
            failure if handshake.met_own_id() && (closed || is_same_id(&failure)) => {
                let own = self.settings.id;
                if shaking.is_self_connection {
                    Failure::ConnectedToItself(own)
                } else {
                    Failure::SameId(own)
                }
            }
            Failure::Transport(error) if closed => Failure::ClosedInHandshake {
                error,
                waiting_for: handshake.waiting_for(),
                heard: handshake.has_heard(),
                guess: HangUpGuess::from(&link.protection),
            },
            failure => failure,
        }
    }

    /// Whether the first bytes on this connection are still awaited.
    pub fn is_fresh(&self, id: ConnectionId) -> bool {
        matches!(self.conns.get(&id), Some(ConnectionState { stage: Stage::Shaking(shaking), .. })
            if shaking.handshake.is_fresh())
    }

    /// Whether a connection still shakes hands.
    pub fn is_shaking(&self, id: ConnectionId) -> bool {
        matches!(self.conns.get(&id), Some(ConnectionState { stage: Stage::Shaking(_), .. }))
    }

    /// A connection is over, whoever ended it. Nothing may be reported about it afterwards.
    pub fn closed(&mut self, id: ConnectionId, failure: Failure, now: Time) {
        match self.conns.get(&id).map(|conn| &conn.stage) {
            Some(Stage::Shaking(_)) => self.handshake_failed(id, failure, now),
            Some(Stage::Peered(_)) => self.end_peering(id, &failure, now),
            Some(Stage::Over) | None => {}
        }
        self.conns.remove(&id);
        self.stop_if_idle();
    }

    /// Takes a connection out of the handshakes and lets the next one with the same peer have its
    /// place. Returns how it came about, if it was shaking hands.
    fn end_handshake(&mut self, id: ConnectionId, now: Time) -> Option<Opened> {
        let conn = self.conns.get_mut(&id)?;
        let Stage::Shaking(shaking) = std::mem::replace(&mut conn.stage, Stage::Over) else {
            return None;
        };
        let opened = conn.opened;
        self.timers.cancel(shaking.deadline, Timer::Handshake(id));
        let Some(peer) = shaking.peer else { return Some(opened) };
        let Some(pending) = self.pending.get_mut(&peer) else { return Some(opened) };
        pending.paused.retain(|paused| *paused != id);
        pending.active.retain(|active| *active != id);
        if let Some(first) = pending.active.first().copied() {
            self.relate(peer, first);
            return Some(opened);
        }
        let Some(Pending { paused, since, due, former, .. }) = self.pending.remove(&peer) else {
            return Some(opened);
        };
        if let Some(due) = due {
            self.timers.cancel(due, Timer::Paused(peer));
        }
        match former {
            Some(former) => self.registry.insert(peer, former),
            None => drop(self.registry.remove(peer)),
        }
        self.resume_first(peer, paused, since, now);
        self.registry.forget_disconnected(self.settings.remembered_peers);
        Some(opened)
    }

    /// Lets the first of the paused connections try, and the others wait for that one.
    fn resume_first(
        &mut self,
        peer: EndpointId,
        paused: Vec<ConnectionId>,
        since: Time,
        now: Time,
    ) {
        let mut paused = paused.into_iter();
        let Some(id) = paused.find(|id| self.is_shaking(*id)) else {
            self.retry_awaiting(peer, now);
            return;
        };
        self.resume(peer, id, now);
        if let Some(pending) = self.pending.get_mut(&peer) {
            pending.paused = paused.collect();
            pending.since = since;
        }
        self.watch_paused(id);
    }

    /// Lets a paused connection go on.
    fn resume(&mut self, peer: EndpointId, id: ConnectionId, now: Time) {
        self.shake(id, now, |handshake, steps| {
            // Where a shutdown or the number of peers is in the way the connection ends with its
            // time.
            if steps.admit(peer, Role::Originator) == Admission::Proceed {
                handshake.resume(steps);
            }
        });
    }

    /// How long accepted connections with one peer wait for each other.
    pub(super) fn patience(&self) -> Duration {
        self.settings.handshake_time / 10
    }

    /// Sees to it that accepted connections do not wait for other accepted ones for long.
    fn watch_paused(&mut self, id: ConnectionId) {
        let Some(ConnectionState { stage: Stage::Shaking(shaking), .. }) = self.conns.get(&id)
        else {
            return;
        };
        let patience = self.patience();
        let Some((peer, pending)) =
            shaking.peer.and_then(|peer| Some((peer, self.pending.get_mut(&peer)?)))
        else {
            return;
        };
        let is_accepted =
            |conn: &ConnectionId| self.conns.get(conn).is_some_and(ConnectionState::is_accepted);
        let rivals = pending.active.first().is_some_and(is_accepted);
        if rivals && pending.due.is_none() && pending.paused.iter().any(is_accepted) {
            let due = pending.since + patience;
            pending.due = Some(due);
            self.timers.set(due, Timer::Paused(peer));
        }
    }

    /// Accepted connections have waited long enough for other accepted ones.
    pub(super) fn resume_rivals(&mut self, peer: EndpointId, now: Time) {
        let Some(pending) = self.pending.get_mut(&peer) else { return };
        pending.due = None;
        let is_accepted =
            |conn: &ConnectionId| self.conns.get(conn).is_some_and(ConnectionState::is_accepted);
        let (rivals, others): (Vec<_>, _) =
            std::mem::take(&mut pending.paused).into_iter().partition(is_accepted);
        pending.paused = others;
        rivals.into_iter().for_each(|id| self.resume(peer, id, now));
    }

    /// Makes a connection the one that the record of a peer is about.
    pub(super) fn relate(&mut self, peer: EndpointId, id: ConnectionId) {
        let Some(conn) = self.conns.get(&id) else { return };
        if self.registry.get(peer).is_none_or(|record| record.conn == id) {
            return;
        }
        if let Some(record) = self.registry.get_mut(peer) {
            record.conn = id;
            record.network = NetworkInfo::new(conn.link.remote.clone());
            record.direction = conn.opened.direction();
            record.protection = conn.link.protection.clone();
        }
    }

    pub(super) fn handshake_failed(&mut self, id: ConnectionId, failure: Failure, now: Time) {
        let failure = self.understood(id, failure);
        let Some(conn) = self.conns.get(&id) else { return };
        let remote = conn.link.remote.clone();
        let paused_for = match &conn.stage {
            Stage::Shaking(shaking) => shaking.peer.filter(|peer| {
                self.pending.get(peer).is_some_and(|pending| pending.paused.contains(&id))
            }),
            _ => None,
        };
        match self.end_handshake(id, now) {
            Some(Opened::Dialled(dial)) => match paused_for {
                Some(peer) => self.dial_redundant(dial, peer, now),
                None => self.dial_failed(dial, failure, now),
            },
            Some(Opened::Accepted { .. }) => {
                self.report(Fact::HandshakeFailed { remote, failure });
            }
            None => {}
        }
    }

    pub(super) fn handshake_timed_out(&mut self, id: ConnectionId, now: Time) {
        let Some(ConnectionState { stage: Stage::Shaking(shaking), .. }) = self.conns.get(&id)
        else {
            return;
        };
        let waiting_for = shaking.handshake.waiting_for();
        let limit = self.settings.handshake_time;
        self.handshake_failed(id, Failure::HandshakeTimeout { waiting_for, limit }, now);
        self.act(Action::Close { conn: id, how: Close::Flush });
    }

    /// Ends the handshake of a connection with a message to the other side.
    pub(super) fn drop_connection(&mut self, id: ConnectionId, code: ErrorCode, text: &str) {
        let sender = self.settings.id;
        let message = HandshakeMessage::DropConn { sender, code, description: text.into() };
        self.act(Action::Send { conn: id, frame: message.to_frame() });
        self.act(Action::Close { conn: id, how: Close::Flush });
    }

    /// Marks a shaking connection as over without letting others take its place.
    pub(super) fn conclude(&mut self, id: ConnectionId) -> Option<(Opened, Shaking)> {
        let conn = self.conns.get_mut(&id)?;
        match std::mem::replace(&mut conn.stage, Stage::Over) {
            Stage::Shaking(shaking) => {
                self.timers.cancel(shaking.deadline, Timer::Handshake(id));
                Some((conn.opened, shaking))
            }
            other => {
                conn.stage = other;
                None
            }
        }
    }

    /// Whether a connection shakes hands, and only the last word of the other side is missing.
    pub(super) fn has_answered(&self, id: ConnectionId) -> bool {
        matches!(self.conns.get(&id), Some(ConnectionState { stage: Stage::Shaking(shaking), .. })
            if shaking.handshake.has_answered())
    }

    /// Whether the two endpoints are peered.
    pub(super) fn is_peered(&self, peer: EndpointId) -> bool {
        self.registry.status(peer) == Some(PeerStatus::Peered)
    }
}

fn is_same_id(failure: &Failure) -> bool {
    matches!(failure, Failure::SameId(_))
}

impl ConnectionState {
    pub(super) fn is_accepted(&self) -> bool {
        matches!(self.opened, Opened::Accepted { .. })
    }
}

impl Opened {
    pub(super) fn direction(self) -> Direction {
        match self {
            Self::Dialled(_) => Direction::Outbound,
            Self::Accepted { .. } => Direction::Inbound,
        }
    }
}
