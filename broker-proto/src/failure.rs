use crate::Severity;
use crate::wire::handshake::InvalidHandshakeMessage;
use crate::{EndpointId, ErrorCode, Reason};
use crate::{Protection, TransportError};
use bstr::{BString, ByteSlice};
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
    #[error("the peer refused the handshake: {} ({})", .code.name(), presentable(.description))]
    Refused {
        /// The code it gave.
        code: ErrorCode,
        /// The reason it gave.
        description: BString,
    },
    /// The other side sent a handshake message that breaks the protocol.
    #[error("the peer's handshake is not acceptable: {}", presentable(&.0.description))]
    InvalidMessage(InvalidHandshakeMessage),
    /// The other side sent a valid message at the wrong time.
    #[error("the peer sent {message} while this side waited for {expected}")]
    Unexpected {
        /// What came.
        message: &'static str,
        /// What would have been right.
        expected: &'static str,
    },
    /// The first bytes belong to another protocol.
    #[error("the other side does not speak Broker: {0}")]
    NotBroker(&'static str),
    /// The first bytes belong to TLS, on a link where there is none.
    #[error("the other side speaks TLS: {0}")]
    PeerWantsTls(&'static str),
    /// The connection was closed before the handshake was done.
    #[error("{}", hang_up(.error, .waiting_for, .heard, .guess))]
    ClosedInHandshake {
        /// What the transport said.
        error: TransportError,
        /// What did not come.
        waiting_for: &'static str,
        /// Whether anything came at all.
        heard: bool,
        /// What else is known about the other side.
        guess: HangUpGuess,
    },
    /// A frame that is larger than allowed.
    #[error("the peer announced a frame of {length} bytes, the limit {key} is {limit}")]
    FrameTooLarge {
        /// The key of the limit in a configuration file.
        key: &'static str,
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
    #[error("the peer has this endpoint's own id {0}: the id is used twice")]
    SameId(EndpointId),
    /// Both ends of the connection are this endpoint.
    #[error("this endpoint ({0}) was connected to itself")]
    ConnectedToItself(EndpointId),
    /// The other side claims an id that nobody can have.
    #[error("the peer uses the nil id")]
    NilId,
    /// There is another connection between the two endpoints already.
    #[error("redundant: a connection with {0} exists already")]
    Redundant(EndpointId),
    /// The other side takes this connection for a second one, and there is no other.
    #[error(
        "the peer refused the handshake as redundant, and this endpoint has no other connection \
         with it: either it has not noticed yet that an earlier one is gone, or another endpoint \
         has the id {0} as well"
    )]
    NotRedundant(EndpointId),
    /// Two endpoints that are not the same have one id.
    #[error(
        "two endpoints have the id {id}: the one that is peered is authenticated as {peered}, this \
         one as {other}"
    )]
    IdUsedTwice {
        /// The id of both.
        id: EndpointId,
        /// Who the peer has proved to be.
        peered: String,
        /// Who the newcomer has proved to be.
        other: String,
    },
    /// The peer sends mostly what no conforming peer sends.
    #[error(
        "the peer sent over {limit} more bad messages than good ones, the limit bad-messages; at \
         last it {last}"
    )]
    Misbehaved {
        /// The limit in force.
        limit: usize,
        /// What it did last.
        last: String,
    },
    /// A limit of this side does not allow another peer.
    #[error("{0}")]
    LimitReached(String),
    /// The rules for peers of this side do not allow a peering.
    #[error("no rule of this side (peer-rules) allows a peering with {0}")]
    NotPermitted(String),
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
    #[error(
        "the peer causes routing updates and pongs and does not read them: more of them wait than \
         the limit outbox-control-bytes allows"
    )]
    ControlOverflow,
    /// The peer accepted no data for too long.
    #[error("the peer accepted no data for {} s, the limit stalled-write", .0.as_secs_f64())]
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
    /// What happened, as an entry of the one table of reasons.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Transport(error) => error.reason(),
            Self::Refused { code, description } => refusal(*code, description),
            Self::InvalidMessage(invalid) => match invalid.code {
                ErrorCode::WrongMagicNumber => Reason::WrongMagic,
                ErrorCode::PeerIncompatible => Reason::NoCommonVersion,
                _ => Reason::MalformedHandshake,
            },
            Self::Unexpected { .. } => Reason::UnexpectedMessage,
            Self::NotBroker(_) => Reason::NotBroker,
            Self::PeerWantsTls(_) => Reason::PeerWantsTls,
            Self::ClosedInHandshake { .. } => Reason::ClosedInHandshake,
            Self::FrameTooLarge { .. } => Reason::FrameTooLarge,
            Self::EmptyFrame => Reason::EmptyFrame,
            Self::HandshakeTimeout { .. } => Reason::HandshakeTimeout,
            Self::SameId(_) | Self::IdUsedTwice { .. } => Reason::SameId,
            Self::ConnectedToItself(_) => Reason::ConnectedToItself,
            Self::NilId => Reason::NilId,
            Self::Redundant(_) | Self::NotRedundant(_) => Reason::Redundant,
            Self::Misbehaved { .. } => Reason::BadMessages,
            Self::LimitReached(_) => Reason::LimitReached,
            Self::NotPermitted(_) => Reason::NotPermitted,
            Self::ShuttingDown => Reason::ShuttingDown,
            Self::Cancelled => Reason::Cancelled,
            Self::Overflow => Reason::Overflow,
            Self::ControlOverflow => Reason::ControlOverflow,
            Self::StalledWrite(_) => Reason::StalledWrite,
            Self::ByeTimeout => Reason::ByeTimeout,
            Self::Silent(_) => Reason::Silent,
        }
    }

    /// A word for metrics, log events and machine-readable output.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.reason().name()
    }

    /// How much it matters to those who run the side that accepted the connection: what the network
    /// does every day is no warning, what somebody has to mend is.
    #[must_use]
    pub fn severity(&self) -> Severity {
        use Reason as R;
        match self.reason() {
            // Port scanners and health checks hang up all the time.
            R::Closed | R::Reset | R::ClosedInHandshake => Severity::Info,
            R::TimedOut | R::Unreachable | R::Io => Severity::Info,
            R::Redundant | R::ShuttingDown | R::Cancelled => Severity::Info,
            _ => Severity::Warning,
        }
    }

    /// What the first bytes of a connection say about who sent them, if they are those of another
    /// protocol than Broker that is known here.
    #[must_use]
    pub fn of_first_bytes(bytes: &[u8]) -> Option<Self> {
        sniff_length(bytes)
    }

    /// Whether the attempt got as far as talking to the other side, which then refused, or was
    /// refused for what it said.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        use Reason as R;
        match self {
            Self::Transport(error) => {
                let refused = matches!(
                    error.reason(),
                    R::Tls
                        | R::NotBroker
                        | R::PeerWantsTls
                        | R::PeerIsPlain
                        | R::PeerCertificate
                        | R::OwnCertificate
                        | R::AccessDenied
                );
                refused && !error.is_unusable_certificate()
            }
            Self::HandshakeTimeout { .. } | Self::Cancelled | Self::ShuttingDown => false,
            _ => true,
        }
    }
}

/// What helps to guess why the other side hung up during the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HangUpGuess {
    /// The link is not encrypted.
    Plain,
    /// The link is encrypted.
    Encrypted,
    /// There was a peering at this address before.
    WasPeered,
}

impl From<&Protection> for HangUpGuess {
    fn from(protection: &Protection) -> Self {
        match protection {
            Protection::Encrypted | Protection::Authenticated(_) => Self::Encrypted,
            _ => Self::Plain,
        }
    }
}

impl From<InvalidHandshakeMessage> for Failure {
    fn from(mut invalid: InvalidHandshakeMessage) -> Self {
        if let Some(error) = invalid.filter {
            return Self::LimitReached(format!("the filter of the peer: {error}"));
        }
        invalid.description.truncate(TEXT_SHOWN);
        Self::InvalidMessage(invalid)
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

/// The reason behind a refusal. The codes say more than that something was refused only in part.
/// What a peer is told that no rule allows.
pub(crate) const NOT_PERMITTED: &str = "not permitted by the rules for peers";

fn refusal(code: ErrorCode, description: &BString) -> Reason {
    match code {
        ErrorCode::RedundantConnection => Reason::Redundant,
        // The C++ Broker has no better code for what the responder finds out.
        ErrorCode::LogicError if description.contains_str("redundant") => Reason::Redundant,
        ErrorCode::ShuttingDown => Reason::ShuttingDown,
        ErrorCode::PeerIncompatible => Reason::NoCommonVersion,
        ErrorCode::WrongMagicNumber => Reason::WrongMagic,
        _ if description == NOT_PERMITTED => Reason::AccessDenied,
        _ => Reason::RefusedByPeer,
    }
}

/// A text of the other side as this side shows it: on one line, without control characters, and no
/// longer than anybody reads.
fn presentable(text: &BString) -> String {
    let text = text.get(..TEXT_SHOWN).unwrap_or(text);
    text.to_str_lossy().chars().flat_map(char::escape_debug).collect()
}

/// Bytes of the other side's texts that are kept and shown.
pub(super) const TEXT_SHOWN: usize = 200;

/// The text for a connection that was closed during the handshake.
fn hang_up(error: &TransportError, waiting_for: &str, heard: &bool, guess: &HangUpGuess) -> String {
    if *guess == HangUpGuess::WasPeered {
        return format!(
            "{error} before the handshake was done; there was a peering with it before, so it is \
             probably being shut down or restarted"
        );
    }
    if *heard {
        return format!(
            "{error} while this side waited for {waiting_for}; its own log may tell why"
        );
    }
    let guess = match guess {
        HangUpGuess::Encrypted => "does not accept this side's certificate",
        _ => "expects TLS (tls://) or a WebSocket (ws://)",
    };
    format!(
        "{error} before the handshake was done; perhaps it {guess}, or does not speak Broker, or its \
         own log tells why"
    )
}

/// Names the protocol that bytes which are no Broker frame belong to.
#[must_use]
pub(super) fn sniff(bytes: &[u8]) -> Option<Failure> {
    const METHODS: [&[u8]; 9] =
        [b"GET ", b"POST", b"HEAD", b"PUT ", b"DELE", b"OPTI", b"PATC", b"CONN", b"TRAC"];
    let other = if METHODS.iter().any(|method| bytes.starts_with(method)) {
        "it sent an HTTP request; a browser or a WebSocket client belongs on a ws:// listener"
    } else if bytes.starts_with(b"HTTP") {
        "it answered like an HTTP server; a WebSocket server is reached with ws://"
    } else if bytes.starts_with(b"SSH-") {
        "it speaks SSH"
    } else {
        return sniff_tls(bytes).map(Failure::PeerWantsTls);
    };
    Some(Failure::NotBroker(other))
}

/// What the first bytes of a connection are, if they are no frame of Broker: TLS, HTTP, SSH, or
/// text, which would be a length above 500 MB.
#[must_use]
fn sniff_length(bytes: &[u8]) -> Option<Failure> {
    let text = "it sent text, as servers for mail and databases do";
    sniff(bytes).or_else(|| is_text(bytes).then_some(Failure::NotBroker(text)))
}

fn is_text(bytes: &[u8]) -> bool {
    let is_text = |byte: &u8| byte.is_ascii_graphic() || b" \r\n\t".contains(byte);
    bytes.first_chunk::<4>().is_some_and(|length| length.iter().all(is_text))
}

fn sniff_tls(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_frame_is_recognised_by_its_first_bytes() {
        for text in [&b"PING\r\n"[..], b"220 mail", b"-ERR unknown", b"\r\n\r\n"] {
            let Some(Failure::NotBroker(what)) = sniff_length(text) else { panic!("{text:?}") };
            assert!(what.contains("text"));
        }
        assert!(
            matches!(sniff_length(b"GET / HTTP/1.1"), Some(Failure::NotBroker(what)) if what.contains("HTTP"))
        );
        assert!(matches!(sniff_length(&[0x16, 3, 1, 0]), Some(Failure::PeerWantsTls(_))));
        assert!(
            sniff_length(&[0, 0, 0, 18, b'a', b'b']).is_none() && sniff_length(b"abc").is_none()
        );
    }
}
