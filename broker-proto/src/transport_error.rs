use crate::{InvalidAddress, Reason};
use std::fmt;
use std::io;

/// What a transport could not do, and why.
#[derive(Debug, Clone)]
pub struct TransportError {
    reason: Reason,
    detail: String,
    unusable_certificate: bool,
}

impl TransportError {
    /// An error for this reason; `detail` is one clause that a person can act on.
    #[must_use]
    pub fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into(), unusable_certificate: false }
    }

    /// The certificate of this side is of no use for what was asked for, so nobody was shown it.
    #[must_use]
    pub fn unusable_certificate(detail: impl Into<String>) -> Self {
        Self { unusable_certificate: true, ..Self::new(Reason::OwnCertificate, detail) }
    }

    /// The other side closed the connection.
    #[must_use]
    pub fn closed() -> Self {
        Self::new(Reason::Closed, "the other side closed the connection")
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
        let (reason, text) = classify(error);
        Self::new(reason, format!("{doing}: {text}"))
    }

    /// What happened, as an entry of the one table of reasons.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// Whether it is one of [`Self::unusable_certificate`]: the other side has not refused anything.
    #[must_use]
    pub fn is_unusable_certificate(&self) -> bool {
        self.unusable_certificate
    }

    /// Whether the connection ended in an orderly way rather than by a failure.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.reason == Reason::Closed
    }
}

impl From<InvalidAddress> for TransportError {
    fn from(error: InvalidAddress) -> Self {
        Self::new(Reason::InvalidAddress, error.to_string())
    }
}

fn classify(error: &io::Error) -> (Reason, String) {
    use Reason as R;
    // The numbers are those of Linux; elsewhere the portable kinds below decide.
    if cfg!(target_os = "linux") {
        match error.raw_os_error() {
            Some(23 | 24) => return (R::OutOfResources, "no file descriptor is left".to_owned()),
            Some(12 | 105) => return (R::OutOfResources, "no memory is left".to_owned()),
            _ => {}
        }
    }
    let (reason, text) = match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            (R::Refused, "connection refused, nothing listens there")
        }
        io::ErrorKind::TimedOut => (R::TimedOut, "no answer"),
        io::ErrorKind::HostUnreachable => (R::Unreachable, "the host is unreachable"),
        io::ErrorKind::NetworkUnreachable => (R::Unreachable, "the network is unreachable"),
        io::ErrorKind::NetworkDown => (R::Unreachable, "the network is down"),
        io::ErrorKind::AddrInUse => (R::AddressInUse, "the address is already in use"),
        io::ErrorKind::AddrNotAvailable => {
            (R::AddressNotAvailable, "the address is not one of this machine")
        }
        io::ErrorKind::PermissionDenied => (R::PermissionDenied, "permission denied"),
        io::ErrorKind::UnexpectedEof => (R::Closed, "the other side closed the connection"),
        io::ErrorKind::ConnectionReset => (R::Reset, "the connection was reset by the other side"),
        io::ErrorKind::ConnectionAborted => (R::Reset, "the connection was aborted"),
        io::ErrorKind::BrokenPipe => (R::Reset, "the other side is gone"),
        _ => return (R::Io, error.to_string()),
    };
    (reason, text.to_owned())
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for TransportError {}
