use crate::{InvalidUrl, Reason};
use std::fmt;
use std::io;

/// What a transport could not do, and why.
#[derive(Debug, Clone)]
pub struct TransportError {
    kind: TransportErrorKind,
    detail: String,
}

/// The classes of transport failures; each has its own next step for the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransportErrorKind {
    /// No transport of this endpoint serves the URL's scheme.
    UnsupportedScheme,
    /// The URL lacks something this transport needs, or has something it cannot use.
    InvalidAddress,
    /// The host name did not resolve.
    Resolve,
    /// The host answered that nothing listens there.
    Refused,
    /// No answer within the time for connecting.
    TimedOut,
    /// There is no route to the host, or the network is down.
    Unreachable,
    /// Another socket has the address to listen on.
    AddressInUse,
    /// The address to listen on is not one of this machine.
    AddressNotAvailable,
    /// The operating system does not allow it.
    PermissionDenied,
    /// The process or the system has no descriptor, memory or buffer left.
    OutOfResources,
    /// The other side closed the connection in an orderly way.
    Closed,
    /// The connection broke.
    Reset,
    /// The other side does not speak what this transport speaks.
    WrongProtocol,
    /// The other side speaks TLS, and this transport does not.
    PeerWantsTls,
    /// The other side speaks Broker without encryption, and this transport encrypts.
    PeerIsPlain,
    /// This side does not accept the certificate of the other side, or it has none.
    PeerCertificate,
    /// The certificate of this side is not accepted by the other side, or is missing where that
    /// demands one.
    OwnCertificate,
    /// The certificate of this side is of no use for what was asked for, so nobody was shown it.
    UnusableCertificate,
    /// The encryption layer refused the other side, or was refused by it, for another reason.
    Tls,
    /// The other side wants a token, or has no rule that allows this side what it asks for.
    AccessDenied,
    /// Anything else the operating system reported.
    Io,
}

impl TransportErrorKind {
    /// What happened, as an entry of the one table of reasons.
    #[must_use]
    pub fn reason(self) -> Reason {
        match self {
            Self::UnsupportedScheme => Reason::UnsupportedScheme,
            Self::InvalidAddress => Reason::InvalidAddress,
            Self::Resolve => Reason::NameResolution,
            Self::Refused => Reason::Refused,
            Self::TimedOut => Reason::TimedOut,
            Self::Unreachable => Reason::Unreachable,
            Self::AddressInUse => Reason::AddressInUse,
            Self::AddressNotAvailable => Reason::AddressNotAvailable,
            Self::PermissionDenied => Reason::PermissionDenied,
            Self::OutOfResources => Reason::OutOfResources,
            Self::Closed => Reason::Closed,
            Self::Reset => Reason::Reset,
            Self::WrongProtocol => Reason::NotBroker,
            Self::PeerWantsTls => Reason::PeerWantsTls,
            Self::PeerIsPlain => Reason::PeerIsPlain,
            Self::PeerCertificate => Reason::PeerCertificate,
            Self::OwnCertificate | Self::UnusableCertificate => Reason::OwnCertificate,
            Self::Tls => Reason::Tls,
            Self::AccessDenied => Reason::AccessDenied,
            Self::Io => Reason::Io,
        }
    }

    /// A word for the metrics and the machine-readable output.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.reason().name()
    }
}

impl TransportError {
    /// An error of the given kind; `detail` is one clause that a person can act on.
    #[must_use]
    pub fn new(kind: TransportErrorKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }

    /// The other side closed the connection.
    #[must_use]
    pub fn closed() -> Self {
        Self::new(TransportErrorKind::Closed, "the other side closed the connection")
    }

    /// Classifies an error of the operating system; `doing` says during what, as in
    /// "connecting to 127.0.0.1:9999".
    ///
    /// An error that a layer below has already explained, and wrapped with [`io::Error::other`],
    /// stays as it is.
    #[must_use]
    pub fn from_io(error: &io::Error, doing: &str) -> Self {
        if let Some(explained) = error.get_ref().and_then(|inner| inner.downcast_ref::<Self>()) {
            return explained.clone();
        }
        let (kind, text) = classify(error);
        Self::new(kind, format!("{doing}: {text}"))
    }

    /// The class of the failure.
    #[must_use]
    pub fn kind(&self) -> TransportErrorKind {
        self.kind
    }

    /// Whether the connection ended in an orderly way rather than by a failure.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.kind == TransportErrorKind::Closed
    }
}

impl From<InvalidUrl> for TransportError {
    fn from(error: InvalidUrl) -> Self {
        Self::new(TransportErrorKind::InvalidAddress, error.to_string())
    }
}

fn classify(error: &io::Error) -> (TransportErrorKind, String) {
    use TransportErrorKind as K;
    // The numbers are those of Linux; elsewhere the portable kinds below decide.
    if cfg!(target_os = "linux") {
        match error.raw_os_error() {
            Some(23 | 24) => return (K::OutOfResources, "no file descriptor is left".to_owned()),
            Some(12 | 105) => return (K::OutOfResources, "no memory is left".to_owned()),
            _ => {}
        }
    }
    let (kind, text) = match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            (K::Refused, "connection refused, nothing listens there")
        }
        io::ErrorKind::TimedOut => (K::TimedOut, "no answer"),
        io::ErrorKind::HostUnreachable => (K::Unreachable, "the host is unreachable"),
        io::ErrorKind::NetworkUnreachable => (K::Unreachable, "the network is unreachable"),
        io::ErrorKind::NetworkDown => (K::Unreachable, "the network is down"),
        io::ErrorKind::AddrInUse => (K::AddressInUse, "the address is already in use"),
        io::ErrorKind::AddrNotAvailable => {
            (K::AddressNotAvailable, "the address is not one of this machine")
        }
        io::ErrorKind::PermissionDenied => (K::PermissionDenied, "permission denied"),
        io::ErrorKind::UnexpectedEof => (K::Closed, "the other side closed the connection"),
        io::ErrorKind::ConnectionReset => (K::Reset, "the connection was reset by the other side"),
        io::ErrorKind::ConnectionAborted => (K::Reset, "the connection was aborted"),
        io::ErrorKind::BrokenPipe => (K::Reset, "the other side is gone"),
        _ => return (K::Io, error.to_string()),
    };
    (kind, text.to_owned())
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for TransportError {}
