use super::{Action, PeeringMachine, Pending, Phase};
use crate::EndpointId;
use crate::Link;
use crate::fact::NetworkInfo;
use crate::peering::handshake::{Admission, HandshakeContext, Refusal, Role};
use crate::peering::{ConnectionId, Direction, PeerRecord, PeerStatus, Time};
use crate::wire::handshake::HandshakeMessage;
use bytes::Bytes;

/// The endpoint as the handshake of one connection sees it.
pub(super) struct HandshakeSteps<'a> {
    pub(super) machine: &'a mut PeeringMachine,
    pub(super) conn: ConnectionId,
    pub(super) direction: Direction,
    pub(super) link: &'a Link,
    /// Takes note of the filter that is announced.
    pub(super) announced: &'a mut u64,
    /// Takes note of who is at the other end.
    pub(super) peer: &'a mut Option<EndpointId>,
    pub(super) now: Time,
}

impl HandshakeSteps<'_> {
    fn proceed(&mut self, id: EndpointId, status: PeerStatus) -> Admission {
        // Those that shake hands count as well: each of them may be a peer in a moment.
        let taken = self.machine.peered + self.machine.pending.len();
        let limit = self.machine.settings.peers;
        if taken >= limit {
            let what = format!("this endpoint has {taken} peers, the limit is {limit}");
            return Admission::Refuse(Refusal::LimitReached(what));
        }
        let known = self
            .machine
            .registry
            .get(id)
            .map(|record| (record.last_error.clone(), record.reconnects));
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
        self.machine.pending.insert(id, Pending { owner: self.conn, paused: Vec::new() });
        Admission::Proceed
    }
}

impl HandshakeContext for HandshakeSteps<'_> {
    fn admit(&mut self, id: EndpointId, role: Role) -> Admission {
        if self.machine.phase != Phase::Running {
            return Admission::Refuse(Refusal::ShuttingDown);
        }
        *self.peer = Some(id);
        let redundant = match role {
            Role::Originator => Refusal::Redundant,
            Role::Responder => Refusal::RedundantAtResponder,
        };
        match self.machine.registry.status(id) {
            None | Some(PeerStatus::Initialized) => self.proceed(id, PeerStatus::Connecting),
            Some(PeerStatus::Disconnected) => self.proceed(id, PeerStatus::Reconnecting),
            Some(PeerStatus::Connected | PeerStatus::Peered) => {
                self.machine.suspect(id, self.now);
                Admission::Refuse(redundant)
            }
            Some(PeerStatus::Connecting | PeerStatus::Reconnecting) => match role {
                Role::Responder => Admission::Refuse(redundant),
                Role::Originator => {
                    if let Some(pending) = self.machine.pending.get_mut(&id) {
                        pending.paused.push(self.conn);
                    }
                    Admission::Pause
                }
            },
        }
    }

    fn believes_in(&self, id: EndpointId) -> bool {
        use PeerStatus as S;
        let status = self.machine.registry.status(id);
        matches!(status, Some(S::Connecting | S::Connected | S::Peered))
    }

    fn filter(&mut self) -> Vec<Bytes> {
        *self.announced = self.machine.filter.generation();
        self.machine.filter.announced()
    }

    fn send(&mut self, message: &HandshakeMessage) {
        self.machine.act(Action::Send { conn: self.conn, frame: message.to_frame() });
    }
}
