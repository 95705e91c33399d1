//! What an endpoint reports: every change of the overlay, every error, and its log.
//!
//! This is the one definition of events; the event stream, the metrics and the log are fed from it.

use crate::data::{Port, Protocol};
use crate::transport::Protection;
use crate::{EndpointId, ErrorCode, Url};
use std::fmt;
use std::time::Duration;

/// The address under which a peer is known: what was dialled, or where an accepted peer came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkInfo {
    /// The address as a URL.
    pub url: Url,
    /// The time between attempts to reach it, for addresses that this endpoint dials.
    pub retry: Option<Duration>,
}

impl NetworkInfo {
    /// Host and port without a retry.
    #[must_use]
    pub fn new(url: Url) -> Self {
        Self { url, retry: None }
    }

    /// The port with the protocol that carries the transport: UDP for `quic`, else TCP.
    #[must_use]
    pub fn port(&self) -> Port {
        let protocol = if self.url.scheme() == "quic" { Protocol::Udp } else { Protocol::Tcp };
        Port::new(self.url.port(), protocol)
    }
}

/// An endpoint of the overlay as it appears in events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointInfo {
    /// The endpoint's id; nil where it is not known.
    pub id: EndpointId,
    /// Its address, where the event has one.
    pub network: Option<NetworkInfo>,
}

/// How much a log event matters; the first is the gravest.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Normal operation is most likely lost.
    Critical,
    /// A part has failed for good.
    Error,
    /// Something unexpected that may pass.
    Warning,
    /// Noteworthy normal activity.
    Info,
    /// Background detail.
    Verbose,
    /// For troubleshooting.
    Debug,
}

impl Severity {
    /// The name, in lower case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
            Self::Verbose => "verbose",
            Self::Debug => "debug",
        }
    }
}

/// The changes of the overlay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
pub struct Status {
    /// What changed.
    pub code: StatusCode,
    /// The endpoint it concerns.
    pub endpoint: EndpointInfo,
    /// Set if that is a client of this endpoint and not a peer.
    pub client: Option<ClientLabel>,
    /// What protects the link, if this is the news of a peer or client (`peer_added`).
    pub protection: Option<Protection>,
    /// The text of the C++ Broker.
    pub message: String,
}

/// An error that is not the answer to a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorEvent {
    /// The code of the C++ Broker.
    pub code: ErrorCode,
    /// The endpoint it concerns, as far as it is known.
    pub endpoint: Option<EndpointInfo>,
    /// The text of the C++ Broker, followed by what really happened.
    pub message: String,
    /// What happened in a word, as in `refused`: the name of a [`Reason`](crate::Reason).
    pub reason: Option<&'static str>,
}

impl ErrorEvent {
    /// The entry of the log that tells of it: for information, as the event itself is what calls
    /// for attention.
    pub(crate) fn log_entry(&self) -> LogEvent {
        let id = match self.code {
            ErrorCode::PeerUnavailable => "dial-failed",
            ErrorCode::PeerInvalid => "unpeer-failed",
            _ => "error",
        };
        let network = self.endpoint.as_ref().and_then(|endpoint| endpoint.network.as_ref());
        let description = match network {
            Some(network) => format!("{}: {}", network.url, self.message),
            None => self.message.clone(),
        };
        LogEvent { level: Severity::Info, id, description, reason: self.reason }
    }
}

/// An entry of the endpoint's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEvent {
    /// How much it matters.
    pub level: Severity,
    /// What kind of entry it is, as in `handshake-failed`: stable, for filters and counters.
    pub id: &'static str,
    /// What happened, for people.
    pub description: String,
    /// What is behind it in a word, if it is a failure: the name of a [`Reason`](crate::Reason).
    pub reason: Option<&'static str>,
}

/// Everything an endpoint reports to its event streams.
#[derive(Debug, Clone, PartialEq, Eq)]
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

impl fmt::Display for EndpointInfo {
    /// The form inside error texts: `endpoint_info(ID, *ADDR:PORT)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.network {
            Some(network) => {
                write!(f, "endpoint_info({}, *{})", self.id, network.url.host_and_port())
            }
            None => write!(f, "endpoint_info({}, none)", self.id),
        }
    }
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
