use crate::Failure;
use crate::failure::{TEXT_SHOWN, sniff};
use crate::limits::FilterLimits;
use crate::wire::PROTOCOL_VERSION;
use crate::wire::handshake::{self, HandshakeMessage, InvalidHandshakeMessage};
use crate::{EndpointId, ErrorCode, Reason};
use bytes::Bytes;

/// The payload of a frame of the handshake, read before anybody is asked what follows from it:
/// reading a filter takes time, which is to be spent where nobody else waits.
#[derive(Debug)]
pub struct HandshakeFrame(Result<HandshakeMessage, Unreadable>);

#[derive(Debug)]
enum Unreadable {
    Empty,
    /// With what it is instead, if that can be guessed.
    Invalid(InvalidHandshakeMessage, Option<Failure>),
}

impl HandshakeFrame {
    /// Reads a payload. A filter above the limits is refused before anything is made of it.
    #[must_use]
    pub fn read(payload: &[u8], limits: FilterLimits) -> Self {
        if payload.is_empty() {
            return Self(Err(Unreadable::Empty));
        }
        let message = HandshakeMessage::decode(payload, limits);
        Self(message.map_err(|invalid| Unreadable::Invalid(invalid, sniff(payload))))
    }
}

/// Who leads a handshake: the endpoint with the smaller id, whoever opened the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Originator,
    Responder,
}

/// What the rest of the endpoint says to a handshake with a certain peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Admission {
    Proceed,
    /// Another connection is shaking hands with this peer; wait for what becomes of it.
    Pause,
    Refuse(Refusal),
}

/// Why this side refuses a handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// There is, or will be, another connection. The originator has decided that.
    Redundant,
    /// The same, found out by the responder.
    RedundantAtResponder,
    ShuttingDown,
    LimitReached(String),
    /// No rule allows it; what is said is who it is.
    NotPermitted(String),
    /// The certificates show that the other connection is with another endpoint.
    IdUsedTwice {
        role: Role,
        peered: String,
        other: String,
    },
}

impl Refusal {
    /// There is, or will be, another connection.
    pub(super) fn redundant(role: Role) -> Self {
        match role {
            Role::Originator => Self::Redundant,
            Role::Responder => Self::RedundantAtResponder,
        }
    }

    /// The answer to the peer.
    fn answer(&self) -> (ErrorCode, &'static str) {
        match self {
            Self::Redundant => (ErrorCode::RedundantConnection, "redundant connection"),
            Self::RedundantAtResponder => {
                (ErrorCode::LogicError, "detected redundant connection at the responder")
            }
            Self::ShuttingDown => (ErrorCode::ShuttingDown, "shutting down"),
            Self::LimitReached(_) => (ErrorCode::Unspecified, "too many peers"),
            Self::NotPermitted(_) => (ErrorCode::Unspecified, crate::failure::NOT_PERMITTED),
            // Who looks like a connection too many is told so.
            Self::IdUsedTwice { role, .. } => Self::redundant(*role).answer(),
        }
    }
}

/// What the handshake needs to know of the rest of the endpoint.
pub(super) trait HandshakeContext {
    /// Decides about a handshake with `id`, and takes note of it.
    fn admit(&mut self, id: EndpointId, role: Role) -> Admission;
    /// Whether a connection with `id` is being made or exists, for all this side knows.
    fn believes_in(&self, id: EndpointId) -> bool;
    /// Whether there is room for another peer; if not, which limit is in the way.
    fn has_room(&self) -> Result<(), String>;
    /// The filter to announce to this peer, taken at this instant.
    fn filter(&mut self, peer: EndpointId) -> Vec<Bytes>;
    /// The highest version that this endpoint speaks.
    fn version(&self) -> u8;
    /// What it does with the messages of others.
    fn role(&self) -> handshake::Role;
    /// Sends a message on this connection.
    fn send(&mut self, message: &HandshakeMessage);
}

/// How a handshake went on.
#[derive(Debug)]
pub(super) enum Step {
    Continue,
    /// Another connection with the same peer comes first.
    Paused,
    /// Done: the peer, its filter, and what is spoken with it.
    Established {
        peer: EndpointId,
        filter: Vec<Bytes>,
        dialect: Dialect,
    },
    /// Over, because the two endpoints are connected otherwise.
    Redundant {
        peer: EndpointId,
    },
    Failed(Failure),
}

/// What a peering speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Version 1; what the peer does with the messages of others is not known.
    One,
    /// Version 2, with an endpoint of this role.
    Two(handshake::Role),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The connector has sent its hello.
    AwaitHelloOrSelect,
    /// The acceptor has sent its probe.
    AwaitHello,
    AwaitSelect,
    AwaitSyn,
    AwaitAck,
    AwaitSynAck,
    Paused,
    Over,
}

/// The handshake of one connection, from the first byte to the peering.
#[derive(Debug)]
pub(super) struct Handshake {
    own: EndpointId,
    state: State,
    peer: Option<EndpointId>,
    filter: Vec<Bytes>,
    /// The version that has been selected.
    version: u8,
    role: Option<handshake::Role>,
    /// Whether anything has come from the other side.
    heard: bool,
    /// Whether the other side has said hello in the name of this endpoint.
    met_own_id: bool,
}

impl Handshake {
    /// The handshake of a connection that this side opened.
    pub(super) fn connector(own: EndpointId) -> Self {
        Self::new(own, State::AwaitHelloOrSelect)
    }

    /// The handshake of an accepted connection.
    pub(super) fn acceptor(own: EndpointId) -> Self {
        Self::new(own, State::AwaitHello)
    }

    fn new(own: EndpointId, state: State) -> Self {
        let (heard, met_own_id) = (false, false);
        let (version, role) = (PROTOCOL_VERSION, None);
        Self { own, state, peer: None, filter: Vec::new(), version, role, heard, met_own_id }
    }

    /// The first message: whoever has dialled says hello, whoever has accepted sends a probe. To be
    /// called once, before anything is received.
    pub(super) fn greet(&self, around: &mut impl HandshakeContext) {
        let greeting = match self.state {
            State::AwaitHelloOrSelect => hello(self.own, around.version()),
            _ => HandshakeMessage::Probe,
        };
        around.send(&greeting);
    }

    /// Whether the other side has sent a message.
    pub(super) fn has_heard(&self) -> bool {
        self.heard
    }

    /// Whether the other side says that it is this endpoint.
    pub(super) fn met_own_id(&self) -> bool {
        self.met_own_id
    }

    /// Whether nothing but the greeting has been expected so far.
    pub(super) fn is_fresh(&self) -> bool {
        matches!(self.state, State::AwaitHello | State::AwaitHelloOrSelect)
    }

    /// Whether this side has sent its last message, so that for the other side the handshake may
    /// be done.
    pub(super) fn has_answered(&self) -> bool {
        self.state == State::AwaitAck
    }

    /// What the handshake is waiting for, for people.
    pub(super) fn waiting_for(&self) -> &'static str {
        match self.state {
            State::AwaitHelloOrSelect => "its hello or version_select",
            State::AwaitHello => "its hello",
            State::AwaitSelect => "its version_select",
            State::AwaitSyn => "its originator_syn",
            State::AwaitAck => "its originator_ack",
            State::AwaitSynAck => "its responder_syn_ack",
            State::Paused => "the outcome of another connection with it",
            State::Over => "nothing",
        }
    }

    /// Handles a frame.
    pub(super) fn receive(
        &mut self,
        frame: HandshakeFrame,
        around: &mut impl HandshakeContext,
    ) -> Step {
        self.heard = true;
        let step = match frame.0 {
            Ok(message) => self.handle(message, around),
            Err(Unreadable::Empty) => Step::Failed(Failure::EmptyFrame),
            Err(Unreadable::Invalid(invalid, sniffed)) => {
                self.refuse_message(invalid, sniffed, around)
            }
        };
        if !matches!(step, Step::Continue | Step::Paused) {
            self.state = State::Over;
        }
        step
    }

    /// Goes on after a pause, because the other connection did not make it. The surroundings have
    /// admitted this one in its place.
    pub(super) fn resume(&mut self, around: &mut impl HandshakeContext) {
        self.originate(around);
    }

    fn refuse_message(
        &self,
        invalid: InvalidHandshakeMessage,
        sniffed: Option<Failure>,
        around: &mut impl HandshakeContext,
    ) -> Step {
        let InvalidHandshakeMessage { code, description, .. } = invalid.clone();
        around.send(&HandshakeMessage::DropConn { sender: self.own, code, description });
        let sniffed = sniffed.filter(|_| self.is_fresh());
        Step::Failed(sniffed.unwrap_or_else(|| invalid.into()))
    }

    fn handle(&mut self, message: HandshakeMessage, around: &mut impl HandshakeContext) -> Step {
        use HandshakeMessage as M;
        use State as S;
        match (self.state, message) {
            (S::Paused, _) | (S::AwaitHelloOrSelect | S::AwaitHello | S::AwaitSelect, M::Probe) => {
                Step::Continue
            }
            (S::AwaitHelloOrSelect | S::AwaitHello, M::Hello { sender, max_version, .. }) => {
                self.hello(sender, max_version, around)
            }
            (S::AwaitHelloOrSelect | S::AwaitSelect, M::VersionSelect { sender, version }) => {
                self.selected(sender, version, around)
            }
            // A redundancy that this side knows nothing of means that the other side has not
            // noticed the end of the old connection yet: that one has to be tried again.
            (
                S::AwaitHelloOrSelect | S::AwaitHello | S::AwaitSelect,
                M::DropConn { sender, code: ErrorCode::RedundantConnection, .. },
            ) if around.believes_in(sender) => Step::Redundant { peer: sender },
            (_, M::DropConn { sender, code, mut description }) => {
                description.truncate(TEXT_SHOWN);
                let failure = Failure::Refused { code, description };
                if failure.reason() == Reason::Redundant && !around.believes_in(sender) {
                    return Step::Failed(Failure::NotRedundant(self.own));
                }
                Step::Failed(failure)
            }
            (S::AwaitSyn, M::OriginatorSyn(filter, role)) => {
                if let Err(what) = around.has_room() {
                    return self.refuse_for_room(what, around);
                }
                (self.filter, self.role) = (filter, role);
                let own = around.filter(self.peer.unwrap_or(EndpointId::NIL));
                around.send(&M::ResponderSynAck(own, self.own_role(around)));
                self.state = S::AwaitAck;
                Step::Continue
            }
            (S::AwaitSynAck, M::ResponderSynAck(filter, role)) => {
                if let Err(what) = around.has_room() {
                    return self.refuse_for_room(what, around);
                }
                (self.filter, self.role) = (filter, role);
                around.send(&M::OriginatorAck);
                self.established()
            }
            (S::AwaitAck, M::OriginatorAck) => match around.has_room() {
                Ok(()) => self.established(),
                // The peer takes no message of the handshake any more.
                Err(what) => Step::Failed(Failure::LimitReached(what)),
            },
            (S::AwaitSelect, M::Hello { sender, .. }) if sender == self.own => {
                Step::Failed(Failure::SameId(sender))
            }
            (_, message) => {
                let expected = self.waiting_for();
                Step::Failed(Failure::Unexpected { message: message.name(), expected })
            }
        }
    }

    fn refuse_for_room(&self, what: String, around: &mut impl HandshakeContext) -> Step {
        let refusal = Refusal::LimitReached(what);
        self.refuse_peer(self.peer.unwrap_or(EndpointId::NIL), refusal, around)
    }

    fn hello(
        &mut self,
        sender: EndpointId,
        max_version: u8,
        around: &mut impl HandshakeContext,
    ) -> Step {
        if sender.is_nil() {
            return Step::Failed(Failure::NilId);
        }
        self.met_own_id |= sender == self.own;
        if self.own >= sender {
            around.send(&hello(self.own, around.version()));
            self.state = State::AwaitSelect;
            return Step::Continue;
        }
        self.peer = Some(sender);
        self.version = max_version.min(around.version());
        match around.admit(sender, Role::Originator) {
            Admission::Proceed => {
                self.originate(around);
                Step::Continue
            }
            Admission::Pause => {
                self.state = State::Paused;
                Step::Paused
            }
            Admission::Refuse(refusal) => self.refuse_peer(sender, refusal, around),
        }
    }

    fn originate(&mut self, around: &mut impl HandshakeContext) {
        let (sender, version) = (self.own, self.version);
        around.send(&HandshakeMessage::VersionSelect { sender, version });
        let own = around.filter(self.peer.unwrap_or(EndpointId::NIL));
        around.send(&HandshakeMessage::OriginatorSyn(own, self.own_role(around)));
        self.state = State::AwaitSynAck;
    }

    /// What this side says of itself where the version has a word for it.
    fn own_role(&self, around: &impl HandshakeContext) -> Option<handshake::Role> {
        (self.version > PROTOCOL_VERSION).then(|| around.role())
    }

    fn selected(
        &mut self,
        sender: EndpointId,
        version: u8,
        around: &mut impl HandshakeContext,
    ) -> Step {
        // Routing tells endpoints apart by their ids, so these two cannot be let in.
        if sender == self.own {
            return Step::Failed(Failure::SameId(sender));
        }
        if sender.is_nil() {
            return Step::Failed(Failure::NilId);
        }
        if version > around.version() {
            let code = ErrorCode::PeerIncompatible;
            let description = "unsupported version selected".into();
            return self.refuse_message(
                InvalidHandshakeMessage { code, description, filter: None },
                None,
                around,
            );
        }
        self.peer = Some(sender);
        self.version = version;
        match around.admit(sender, Role::Responder) {
            Admission::Proceed => {
                self.state = State::AwaitSyn;
                Step::Continue
            }
            Admission::Pause => self.refuse_peer(sender, Refusal::RedundantAtResponder, around),
            Admission::Refuse(refusal) => self.refuse_peer(sender, refusal, around),
        }
    }

    fn refuse_peer(
        &self,
        peer: EndpointId,
        refusal: Refusal,
        around: &mut impl HandshakeContext,
    ) -> Step {
        let (code, description) = refusal.answer();
        let description = description.into();
        around.send(&HandshakeMessage::DropConn { sender: self.own, code, description });
        match refusal {
            Refusal::Redundant => Step::Redundant { peer },
            Refusal::RedundantAtResponder => Step::Failed(Failure::Redundant(peer)),
            Refusal::ShuttingDown => Step::Failed(Failure::ShuttingDown),
            Refusal::LimitReached(what) => Step::Failed(Failure::LimitReached(what)),
            Refusal::NotPermitted(who) => Step::Failed(Failure::NotPermitted(who)),
            Refusal::IdUsedTwice { peered, other, .. } => {
                Step::Failed(Failure::IdUsedTwice { id: peer, peered, other })
            }
        }
    }

    fn established(&mut self) -> Step {
        match self.peer {
            Some(peer) => {
                let dialect = match self.version {
                    PROTOCOL_VERSION => Dialect::One,
                    _ => Dialect::Two(self.role.unwrap_or(handshake::Role::Leaf)),
                };
                Step::Established { peer, filter: std::mem::take(&mut self.filter), dialect }
            }
            None => Step::Failed(Failure::NilId),
        }
    }
}

fn hello(sender: EndpointId, max_version: u8) -> HandshakeMessage {
    HandshakeMessage::Hello { sender, min_version: PROTOCOL_VERSION, max_version }
}

#[cfg(test)]
mod tests;
