use super::peerings::fingerprint;
use super::{Action, PeeringMachine, Pending, Phase, Stage, Told};
use crate::EndpointId;
use crate::fact::NetworkInfo;
use crate::peering::handshake::{Admission, Handshake, HandshakeContext, Refusal, Role};
use crate::peering::{ConnectionId, Direction, PeerRecord, PeerStatus, Time};
use crate::rights::rights_of;
use crate::wire::handshake::{self, HandshakeMessage};
use crate::{Link, Protection, SourceAddress};
use bytes::Bytes;

/// The endpoint as the handshake of one connection sees it.
pub(super) struct HandshakeSteps<'a> {
    machine: &'a mut PeeringMachine,
    conn: ConnectionId,
    direction: Direction,
    link: &'a Link,
    /// Takes note of the filter that is announced.
    announced: &'a mut Told,
    /// Takes note of who is at the other end.
    peer: &'a mut Option<EndpointId>,
    now: Time,
}

impl PeeringMachine {
    /// Lets the handshake of a connection take a step. `None` where it does not shake hands (any
    /// more).
    pub(super) fn shake<T>(
        &mut self,
        id: ConnectionId,
        now: Time,
        step: impl FnOnce(&mut Handshake, &mut HandshakeSteps<'_>) -> T,
    ) -> Option<T> {
        let mut conn = self.conns.remove(&id)?;
        let taken = match &mut conn.stage {
            Stage::Shaking(shaking) => {
                let mut steps = HandshakeSteps {
                    machine: self,
                    conn: id,
                    direction: conn.opened.direction(),
                    link: &conn.link,
                    announced: &mut shaking.announced,
                    peer: &mut shaking.peer,
                    now,
                };
                Some(step(&mut shaking.handshake, &mut steps))
            }
            Stage::Peered(_) | Stage::Over => None,
        };
        self.conns.insert(id, conn);
        taken
    }
}

impl HandshakeSteps<'_> {
    fn proceed(&mut self, id: EndpointId, status: PeerStatus) -> Admission {
        if rights_of(&self.machine.settings.rules, self.link).is_none() {
            let who = format!("{} ({})", self.link.remote, self.link.protection);
            return Admission::Refuse(Refusal::NotPermitted(who));
        }
        if let Err(what) = self.has_room() {
            return Admission::Refuse(Refusal::LimitReached(what));
        }
        let former = self.machine.registry.get(id).cloned();
        let known = former.as_ref().map(|record| (record.last_error.clone(), record.reconnects));
        let (last_error, reconnects) = known.unwrap_or_default();
        let record = PeerRecord {
            status,
            conn: self.conn,
            network: NetworkInfo::new(self.link.remote.clone()),
            direction: self.direction,
            protection: self.link.protection.clone(),
            since: self.now,
            last_error,
            reconnects,
        };
        self.machine.registry.insert(id, record);
        let (active, paused, since, due) = (vec![self.conn], Vec::new(), self.now, None);
        self.machine.pending.insert(id, Pending { active, paused, since, due, former });
        Admission::Proceed
    }

    /// Decides about a connection with a peer that shakes hands on another one.
    ///
    /// An endpoint that leads makes one of its own connections wait for the other, and where the
    /// two sides have dialled each other the originator decides. Among connections that were
    /// accepted nobody has to wait for one from somewhere else, which may be anybody's, and for one
    /// from the same address not for long: they go on beside each other, and whichever is done
    /// first is the peer.
    fn compete(&mut self, id: EndpointId, role: Role) -> Admission {
        let machine = &mut *self.machine;
        let patience = machine.patience();
        let Some(pending) = machine.pending.get_mut(&id) else {
            return Admission::Refuse(Refusal::redundant(role));
        };
        let first = pending.active.first().and_then(|first| machine.conns.get(first));
        let first = first.filter(|first| first.is_accepted());
        let goes_on = self.direction == Direction::Inbound
            && first.is_some_and(|first| {
                self.now >= pending.since + patience
                    || SourceAddress::of(&first.link.remote) != SourceAddress::of(&self.link.remote)
            });
        match role {
            _ if goes_on => {
                pending.active.push(self.conn);
                Admission::Proceed
            }
            Role::Responder => Admission::Refuse(Refusal::redundant(role)),
            Role::Originator => {
                pending.paused.push(self.conn);
                Admission::Pause
            }
        }
    }

    /// Whether the peer with this id and this connection have proved to be two endpoints. Addresses
    /// prove nothing: an endpoint may have many. What a transport knows of an endpoint another one
    /// may know under another name.
    fn is_somebody_else(&self, id: EndpointId, role: Role) -> Option<Refusal> {
        let record = self.machine.registry.get(id)?;
        let same_transport = record.network.url.scheme() == self.link.remote.scheme();
        match (&record.protection, &self.link.protection) {
            (Protection::Authenticated(peered), Protection::Authenticated(other))
                if same_transport && peered != other =>
            {
                let (peered, other) = (peered.clone(), other.clone());
                Some(Refusal::IdUsedTwice { role, peered, other })
            }
            _ => None,
        }
    }
}

impl HandshakeContext for HandshakeSteps<'_> {
    fn admit(&mut self, id: EndpointId, role: Role) -> Admission {
        if self.machine.phase != Phase::Running {
            return Admission::Refuse(Refusal::ShuttingDown);
        }
        *self.peer = Some(id);
        let redundant = Refusal::redundant(role);
        match self.machine.registry.status(id) {
            None | Some(PeerStatus::Initialized) => self.proceed(id, PeerStatus::Connecting),
            Some(PeerStatus::Disconnected) => self.proceed(id, PeerStatus::Reconnecting),
            Some(PeerStatus::Connected | PeerStatus::Peered) => {
                self.machine.suspect(id, self.now);
                Admission::Refuse(self.is_somebody_else(id, role).unwrap_or(redundant))
            }
            Some(PeerStatus::Connecting | PeerStatus::Reconnecting) => self.compete(id, role),
        }
    }

    fn believes_in(&self, id: EndpointId) -> bool {
        use PeerStatus as S;
        let status = self.machine.registry.status(id);
        matches!(status, Some(S::Connecting | S::Connected | S::Peered))
    }

    /// Handshakes that are not done count for nothing: whoever holds them up would keep the others
    /// out. Where all places are taken, an origin that has more than half of them gives one to
    /// others.
    fn has_room(&self) -> Result<(), String> {
        let (peers, limit) = (self.machine.peered, self.machine.settings.peers);
        let is_full = peers >= limit;
        let newcomer = || SourceAddress::of(&self.link.remote);
        if !is_full || self.machine.crowd.gives_way_to(&newcomer()).is_some() {
            return Ok(());
        }
        Err(format!("this endpoint has {peers} peers, the limit peers is {limit}"))
    }

    fn filter(&mut self, peer: EndpointId) -> Vec<Bytes> {
        let generation = self.machine.filter_generation();
        let rights = rights_of(&self.machine.settings.rules, self.link).unwrap_or_default();
        let fingerprint = fingerprint(&self.machine.filter_payload(peer, &rights));
        *self.announced = Told { generation, fingerprint };
        self.machine.filter_for(peer, &rights)
    }

    fn version(&self) -> u8 {
        self.machine.settings.version
    }

    fn role(&self) -> handshake::Role {
        self.machine.settings.role
    }

    fn send(&mut self, message: &HandshakeMessage) {
        self.machine.act(Action::Send { conn: self.conn, frame: message.to_frame() });
    }
}
