use crate::event::Severity;
use crate::transport::{TransportError, TransportErrorKind};
use crate::wire::handshake::InvalidHandshakeMessage;
use crate::{EndpointId, ErrorCode};
use bstr::BString;
use std::time::Duration;

/// Why a connection did not become a peering, or why a peering ended. The text says which side can
/// do something about it, and what.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The transport failed.
    #[error("{0}")]
    Transport(TransportError),
    /// The other side said why it does not want this connection.
    #[error("the peer refused the handshake: {} ({description})", .code.name())]
    Refused {
        /// The code it gave.
        code: ErrorCode,
        /// The reason it gave.
        description: BString,
    },
    /// The other side sent a handshake message that breaks the protocol.
    #[error("the peer's handshake is not acceptable: {0}")]
    InvalidMessage(InvalidHandshakeMessage),
    /// The other side sent a valid message at the wrong time.
    #[error("the peer sent {message} while this side waited for {expected}")]
    Unexpected {
        /// What came.
        message: &'static str,
        /// What would have been right.
        expected: &'static str,
    },
    /// The first octets belong to another protocol.
    #[error("the other side does not speak Broker: {0}")]
    NotBroker(&'static str),
    /// A frame that is larger than allowed.
    #[error("the peer announced a frame of {length} octets, the limit is {limit}")]
    FrameTooLarge {
        /// The announced length.
        length: usize,
        /// The limit in force.
        limit: usize,
    },
    /// A frame without content before the handshake was done.
    #[error("the peer sent an empty frame instead of a handshake message")]
    EmptyFrame,
    /// The handshake took too long.
    #[error("the peer did not finish the handshake within {} s: this side waited for {waiting_for}",
        .limit.as_secs_f64())]
    HandshakeTimeout {
        /// What did not come.
        waiting_for: &'static str,
        /// The time it had.
        limit: Duration,
    },
    /// Both ends of the connection have the same id.
    #[error(
        "the peer has this endpoint's own id {0}: the endpoint was connected to itself, or \
        the id is used twice"
    )]
    SameId(EndpointId),
    /// The other side claims an id that nobody can have.
    #[error("the peer uses the nil id")]
    NilId,
    /// There is another connection between the two endpoints already.
    #[error("redundant: a connection with {0} exists already")]
    Redundant(EndpointId),
    /// A limit of this side does not allow another peer.
    #[error("{0}")]
    LimitReached(String),
    /// This endpoint is being shut down.
    #[error("this endpoint is shutting down")]
    ShuttingDown,
    /// `unpeer` was called, or the request was replaced.
    #[error("cancelled by this side")]
    Cancelled,
    /// The peer does not read fast enough, and the policy is to cut such peers.
    #[error("the peer does not keep up: its queue overflowed (caf::sec::backpressure_overflow)")]
    Overflow,
    /// The peer causes answers and does not read them.
    #[error("the peer causes routing updates and pongs and does not read them")]
    ControlOverflow,
    /// The peer accepted no data for too long.
    #[error("the peer accepted no data for {} s", .0.as_secs_f64())]
    StalledWrite(Duration),
    /// The peer did not acknowledge the end of the peering in time.
    #[error("the peer did not acknowledge the end of the peering")]
    ByeTimeout,
    /// Another connection claimed to be this peer, which had not been heard of for this time.
    #[error(
        "the peer was silent for {} s and did not answer when another connection came in its name",
        .0.as_secs_f64()
    )]
    Silent(Duration),
}

impl Failure {
    /// A word for metrics, log events and machine-readable output.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Transport(error) => error.kind().name(),
            Self::Refused { .. } => "refused-by-peer",
            Self::InvalidMessage(invalid) => match invalid.code {
                ErrorCode::WrongMagicNumber => "wrong-magic",
                ErrorCode::PeerIncompatible => "no-common-version",
                _ => "malformed-handshake",
            },
            Self::Unexpected { .. } => "unexpected-message",
            Self::NotBroker(_) => "not-broker",
            Self::FrameTooLarge { .. } => "frame-too-large",
            Self::EmptyFrame => "empty-frame",
            Self::HandshakeTimeout { .. } => "handshake-timeout",
            Self::SameId(_) => "same-id",
            Self::NilId => "nil-id",
            Self::Redundant(_) => "redundant",
            Self::LimitReached(_) => "limit-reached",
            Self::ShuttingDown => "shutting-down",
            Self::Cancelled => "cancelled",
            Self::Overflow => "overflow",
            Self::ControlOverflow => "control-overflow",
            Self::StalledWrite(_) => "stalled-write",
            Self::ByeTimeout => "bye-timeout",
            Self::Silent(_) => "silent",
        }
    }

    /// How much it matters to those who run the side that accepted the connection: what the network
    /// does every day is no warning, what somebody has to mend is.
    #[must_use]
    pub fn severity(&self) -> Severity {
        use TransportErrorKind as K;
        match self {
            Self::Transport(error) => match error.kind() {
                K::WrongProtocol | K::Tls | K::OutOfResources => Severity::Warning,
                _ => Severity::Info,
            },
            Self::Redundant(_) | Self::ShuttingDown | Self::Cancelled => Severity::Info,
            _ => Severity::Warning,
        }
    }

    /// Whether the attempt got as far as talking to the other side, which then refused, or was
    /// refused for what it said.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        use TransportErrorKind as K;
        match self {
            Self::Transport(error) => matches!(error.kind(), K::Tls | K::WrongProtocol),
            Self::HandshakeTimeout { .. } | Self::Cancelled | Self::ShuttingDown => false,
            _ => true,
        }
    }
}

impl From<TransportError> for Failure {
    fn from(error: TransportError) -> Self {
        Self::Transport(error)
    }
}

/// A request for a peering that will not be fulfilled.
#[derive(Debug, Clone, thiserror::Error)]
#[error("unable to connect to remote peer: {failure}")]
pub struct PeerError {
    /// What the last attempt failed with.
    pub failure: Failure,
}

/// Names the protocol that octets which are no Broker frame belong to.
#[must_use]
pub(crate) fn sniff(octets: &[u8]) -> Option<&'static str> {
    const METHODS: [&[u8]; 9] =
        [b"GET ", b"POST", b"HEAD", b"PUT ", b"DELE", b"OPTI", b"PATC", b"CONN", b"TRAC"];
    if METHODS.iter().any(|method| octets.starts_with(method)) {
        return Some(
            "it sent an HTTP request; a browser or a WebSocket client belongs on a ws:// listener",
        );
    }
    if octets.starts_with(b"HTTP") {
        return Some("it answered like an HTTP server; a WebSocket server is reached with ws://");
    }
    if octets.starts_with(b"SSH-") {
        return Some("it speaks SSH");
    }
    match octets {
        [0x16, 3, 0..=4, ..] => Some(
            "it started a TLS handshake and this side was told plain text: use tls:// on both \
             sides, or disable TLS on both",
        ),
        [0x15, 3, 0..=4, ..] => Some(
            "it answered with a TLS alert, so it wants TLS and this side was told plain text: \
             use tls://",
        ),
        _ => None,
    }
}
