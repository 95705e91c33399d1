//! What an endpoint reports: every change of the overlay, every error, and its log.
//!
//! This is the one definition of events; the event stream, the metrics and the log are fed from it.

use crate::{EndpointId, ErrorCode, Protection, Reason};
use broker_proto::fact::{Fact, PeerChange};
use std::fmt;

pub use broker_proto::Severity;
pub use broker_proto::fact::{EndpointInfo, NetworkInfo, RemovalCause};

/// The changes of the overlay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StatusCode {
    /// None of the others. Nothing produces it; consumers of old recordings may meet it.
    Unspecified,
    /// A peering has been established.
    PeerAdded,
    /// This side has ended a peering.
    PeerRemoved,
    /// The other side, or the network, has ended a peering.
    PeerLost,
    /// An endpoint has become reachable.
    EndpointDiscovered,
    /// The last path to an endpoint is gone.
    EndpointUnreachable,
}

impl StatusCode {
    /// The name of the event, as in `peer_added`; the unspecified status is plain `status`.
    #[must_use]
    pub fn event_name(self) -> &'static str {
        match self {
            Self::Unspecified => "status",
            Self::PeerAdded => "peer_added",
            Self::PeerRemoved => "peer_removed",
            Self::PeerLost => "peer_lost",
            Self::EndpointDiscovered => "endpoint_discovered",
            Self::EndpointUnreachable => "endpoint_unreachable",
        }
    }
}

/// What tells a client of an endpoint from a peer.
///
/// Clients are attached to one endpoint by another protocol than that of the overlay; the rest of
/// the overlay does not know of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientLabel {
    /// The protocol, as the C++ Broker names the type of such a client: `web-socket`.
    pub kind: &'static str,
    /// What the client calls itself, if it says.
    pub application: Option<std::sync::Arc<str>>,
}

impl fmt::Display for ClientLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.application {
            Some(application) => write!(f, "{} client {application}", self.kind),
            None => write!(f, "{} client", self.kind),
        }
    }
}

/// A change of the overlay.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    /// What changed.
    pub code: StatusCode,
    /// The endpoint it concerns.
    pub endpoint: EndpointInfo,
    /// Set if that is a client of this endpoint and not a peer.
    pub client: Option<ClientLabel>,
    /// What protects the link, if this is the news of a peer or client (`peer_added`).
    pub protection: Option<Protection>,
    /// Why this side ended the peering, if that is the news (`peer_removed` of a peer).
    pub cause: Option<RemovalCause>,
    /// The text of the C++ Broker.
    pub message: String,
}

impl Status {
    /// A change of the overlay that concerns a peer, of which no more is known.
    #[must_use]
    pub fn new(code: StatusCode, endpoint: EndpointInfo, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { code, endpoint, client: None, protection: None, cause: None, message }
    }
}

/// An error that is not the answer to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ErrorEvent {
    /// The code of the C++ Broker.
    pub code: ErrorCode,
    /// The endpoint it concerns, as far as it is known.
    pub endpoint: Option<EndpointInfo>,
    /// The text of the C++ Broker, followed by what really happened.
    pub message: String,
    /// What happened in a word, as in `refused`.
    pub reason: Option<Reason>,
}

impl ErrorEvent {
    /// An error without a reason of its own.
    #[must_use]
    pub fn new(
        code: ErrorCode,
        endpoint: Option<EndpointInfo>,
        message: impl Into<String>,
    ) -> Self {
        Self { code, endpoint, message: message.into(), reason: None }
    }

    /// The entry of the log that tells of it: for information, as the event itself is what calls
    /// for attention.
    pub(crate) fn log_entry(&self) -> LogEvent {
        let id = match self.code {
            ErrorCode::PeerUnavailable => LogId::DialFailed,
            ErrorCode::PeerInvalid => LogId::UnpeerFailed,
            _ => LogId::Error,
        };
        let network = self.endpoint.as_ref().and_then(|endpoint| endpoint.network.as_ref());
        let description = match network {
            Some(network) => format!("{}: {}", network.url, self.message),
            None => self.message.clone(),
        };
        LogEvent { level: Severity::Info, id, description, reason: self.reason }
    }
}

macro_rules! log_ids {
    ($($(#[$doc:meta])* $variant:ident = $name:literal;)*) => {
        /// What kind of entry of the log it is. The names are stable.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum LogId {
            $($(#[$doc])* $variant,)*
            /// An entry of a service or transport that this crate does not know.
            Other(&'static str),
        }

        impl LogId {
            /// The name, as in `handshake-failed`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* Self::Other(name) => name }
            }
        }

        impl From<&'static str> for LogId {
            fn from(name: &'static str) -> Self {
                match name { $($name => Self::$variant,)* _ => Self::Other(name) }
            }
        }
    };
}

log_ids! {
    /// A listener could not accept a connection.
    AcceptFailed = "accept-failed";
    /// A listener without a certificate was connected to, which takes two connections.
    AnonymousTls = "anonymous-tls";
    /// A bridge to a server of the JSON API has something to say.
    Bridge = "bridge";
    /// A message did not get over a bridge to a server of the JSON API.
    BridgeLoss = "bridge-loss";
    /// A peer did not acknowledge the end of the peering in time.
    ByeTimeout = "bye-timeout";
    /// A certificate that is used has ended, or does soon.
    CertificatesExpire = "certificates-expire";
    /// Certificates or keys that are used have something odd about them.
    CertificatesOdd = "certificates-odd";
    /// Certificates and keys have been read again.
    CertificatesRead = "certificates-read";
    /// Certificates and keys could not be read again; those from before stay in use.
    CertificatesUnusable = "certificates-unusable";
    /// Why the session of a client has ended.
    ClientEnded = "client-ended";
    /// An attempt to be peered failed.
    DialFailed = "dial-failed";
    /// An error that has no kind of its own.
    Error = "error";
    /// A message of a peer in the name of somebody else was dropped.
    ForgedSender = "forged-sender";
    /// An accepted connection did not get through the handshake.
    HandshakeFailed = "handshake-failed";
    /// The listener for pages could not accept a connection.
    HttpAcceptFailed = "http-accept-failed";
    /// A connection to the listener for pages was cut.
    HttpCut = "http-cut";
    /// A message of a peer on a topic that is internal was dropped.
    InternalTopic = "internal-topic";
    /// A listener could not be started.
    ListenFailed = "listen-failed";
    /// A listener has been started.
    ListenSuccess = "listen-success";
    /// A message came back from a peer of version 1, as in a circle.
    LoopDetected = "loop-detected";
    /// A malformed message of a peer was dropped.
    MalformedMessage = "malformed-message";
    /// Messages for a peer were dropped.
    MessagesDropped = "messages-dropped";
    /// A peer has dropped messages for this endpoint, and says so.
    MessagesMissed = "messages-missed";
    /// Messages of a peer were dropped.
    MessagesRefused = "messages-refused";
    /// A peer wants, or has sent, what the rules for peers do not allow.
    NotPermitted = "not-permitted";
    /// Anybody who reaches a listener for clients may publish and subscribe to everything.
    OpenListener = "open-listener";
    /// Lines for standard output were lost.
    OutputLost = "output-lost";
    /// Why a peering was lost.
    PeerLost = "peer-lost";
    /// Why a peer was cut.
    PeerOverflow = "peer-overflow";
    /// A peering exists again.
    PeerReconnected = "peer-reconnected";
    /// An address is no longer tried.
    PeeringCancelled = "peering-cancelled";
    /// A subscription was refused, because peers would not accept the filter that it makes.
    SubscriptionRefused = "subscription-refused";
    /// Nobody was asked to end a peering that exists.
    UnpeerFailed = "unpeer-failed";
    /// A listener that others reach has no protection.
    UnprotectedListener = "unprotected-listener";
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl PartialEq<str> for LogId {
    fn eq(&self, name: &str) -> bool {
        self.name() == name
    }
}

impl PartialEq<&str> for LogId {
    fn eq(&self, name: &&str) -> bool {
        self.name() == *name
    }
}

/// An entry of the endpoint's log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogEvent {
    /// How much it matters.
    pub level: Severity,
    /// What kind of entry it is, for filters and counters.
    pub id: LogId,
    /// What happened, for people.
    pub description: String,
    /// What is behind it in a word, if it is a failure.
    pub reason: Option<Reason>,
}

impl LogEvent {
    /// An entry that tells of no failure.
    #[must_use]
    pub fn new(level: Severity, id: impl Into<LogId>, description: impl Into<String>) -> Self {
        Self { level, id: id.into(), description: description.into(), reason: None }
    }
}

/// Everything an endpoint reports to its event streams.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// `endpoint_discovered`, `endpoint_unreachable`, `peer_added`, `peer_removed`, `peer_lost`
    /// and `status`.
    Status(Status),
    /// `error`.
    Error(ErrorEvent),
    /// `internal_log_event`.
    Log(LogEvent),
}

impl Event {
    /// The event's name in Zeek's `Broker` module.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Status(status) => status.code.event_name(),
            Self::Error(_) => "error",
            Self::Log(_) => "internal_log_event",
        }
    }

    /// The status code, if this is a status.
    #[must_use]
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Status(status) => Some(status.code),
            Self::Error(_) | Self::Log(_) => None,
        }
    }

    /// Why this side ended a peering, if this says that it did.
    #[must_use]
    pub fn cause(&self) -> Option<RemovalCause> {
        match self {
            Self::Status(status) => status.cause,
            Self::Error(_) | Self::Log(_) => None,
        }
    }

    /// The endpoint the event concerns.
    #[must_use]
    pub fn endpoint(&self) -> Option<&EndpointInfo> {
        match self {
            Self::Status(status) => Some(&status.endpoint),
            Self::Error(error) => error.endpoint.as_ref(),
            Self::Log(_) => None,
        }
    }

    /// The text of the event.
    #[must_use]
    pub fn message(&self) -> &str {
        match self {
            Self::Status(status) => &status.message,
            Self::Error(error) => &error.message,
            Self::Log(log) => &log.description,
        }
    }
}

impl From<Fact> for Event {
    /// The event that tells of a fact, with the texts of the C++ Broker where it has one.
    fn from(fact: Fact) -> Self {
        match fact {
            Fact::Peer { change, endpoint, protection } => {
                Self::Status(status(change, endpoint, protection))
            }
            Fact::DialFailed { network, failure } => Self::Error(ErrorEvent {
                code: ErrorCode::PeerUnavailable,
                endpoint: Some(EndpointInfo { id: EndpointId::NIL, network: Some(network) }),
                message: format!("unable to connect to remote peer: {failure}"),
                reason: Some(failure.reason()),
            }),
            Fact::UnknownPeer(endpoint) => Self::Error(ErrorEvent {
                code: ErrorCode::PeerInvalid,
                endpoint: Some(endpoint),
                message: "cannot unpeer from unknown peer".to_owned(),
                reason: Some(Reason::UnknownPeer),
            }),
            Fact::HandshakeFailed { remote, failure } => {
                let text = format!("{remote}: {failure}");
                log(failure.severity(), LogId::HandshakeFailed, text, failure.reason())
            }
            Fact::Reconnected(peer) => {
                log(Severity::Info, LogId::PeerReconnected, format!("{peer}: peered again"), None)
            }
            Fact::ByeTimedOut(peer) => {
                let failure = crate::Failure::ByeTimeout;
                let text = format!("{peer}: {failure}");
                log(Severity::Info, LogId::ByeTimeout, text, failure.reason())
            }
            Fact::PeerLost { peer, failure } => {
                let text = format!("{peer}: {failure}");
                log(failure.severity(), LogId::PeerLost, text, failure.reason())
            }
            Fact::PeerOverflowed { peer, failure } => {
                let text = format!("{peer}: {failure}");
                log(Severity::Warning, LogId::PeerOverflow, text, failure.reason())
            }
            Fact::DialCancelled(url) => log(
                Severity::Info,
                LogId::PeeringCancelled,
                format!("{url}: no longer tried"),
                None,
            ),
            Fact::Misbehaved { peer, remote, reason, what } => {
                // What a peer may do wrong with messages is an entry of its own in the table.
                let id = LogId::from(reason.name());
                log(Severity::Warning, id, format!("{peer} at {remote} {what}"), reason)
            }
        }
    }
}

fn status(change: PeerChange, endpoint: EndpointInfo, protection: Option<Protection>) -> Status {
    let (code, message) = match change {
        PeerChange::Discovered => {
            (StatusCode::EndpointDiscovered, "found a new peer in the network")
        }
        PeerChange::Added => (StatusCode::PeerAdded, "handshake successful"),
        PeerChange::Removed(RemovalCause::Overflow) => (
            StatusCode::PeerRemoved,
            "removed connection to remote peer (caf::sec::backpressure_overflow)",
        ),
        PeerChange::Removed(_) => (StatusCode::PeerRemoved, "removed connection to remote peer"),
        PeerChange::Lost => (StatusCode::PeerLost, "lost connection to remote peer"),
        PeerChange::Unreachable => (StatusCode::EndpointUnreachable, "lost the last path"),
    };
    let cause = match change {
        PeerChange::Removed(cause) => Some(cause),
        _ => None,
    };
    Status { code, endpoint, client: None, protection, cause, message: message.to_owned() }
}

fn log(
    level: Severity,
    id: LogId,
    description: String,
    reason: impl Into<Option<Reason>>,
) -> Event {
    Event::Log(LogEvent { level, id, description, reason: reason.into() })
}

impl fmt::Display for Event {
    /// The text forms of the C++ Broker, as in `peer_added(ID, ADDR:PORT, "handshake successful")`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(Status { code: StatusCode::Unspecified, .. }) => {
                f.write_str("unspecified(\"\")")
            }
            Self::Status(Status { code, endpoint, message, .. }) => match &endpoint.network {
                Some(network) => {
                    let address = network.url.host_and_port();
                    write!(f, "{}({}, {address}, {message:?})", code.event_name(), endpoint.id)
                }
                None => write!(f, "{}({}, {message:?})", code.event_name(), endpoint.id),
            },
            Self::Error(ErrorEvent { code, endpoint, message, .. }) => match endpoint {
                Some(endpoint) => write!(f, "{code}({endpoint}, {message:?})"),
                None => write!(f, "{code}({message:?})"),
            },
            Self::Log(LogEvent { level, id, description, .. }) => {
                write!(f, "{}({id}, {description:?})", level.name())
            }
        }
    }
}
