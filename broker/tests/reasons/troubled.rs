//! A transport on which everything goes wrong that an operating system can do to a connection, and
//! that cannot be provoked everywhere.

use async_trait::async_trait;
use broker::core::transport::{Connection, Listener, Transport, TransportError};
use broker::{Address, Reason};
use std::io::{Error, ErrorKind};

pub(crate) struct Troubled;

#[async_trait]
impl Transport for Troubled {
    fn schemes(&self) -> &'static [&'static str] {
        &["trouble"]
    }

    async fn listen(&self, at: &Address) -> Result<Box<dyn Listener>, TransportError> {
        Err(trouble(at))
    }

    async fn connect(&self, to: &Address) -> Result<Connection, TransportError> {
        Err(trouble(to))
    }
}

fn trouble(url: &Address) -> TransportError {
    if url.host() == "access-denied" {
        return TransportError::new(Reason::AccessDenied, "a token is wanted");
    }
    let error = match url.host() {
        "timed-out" => ErrorKind::TimedOut.into(),
        "unreachable" => ErrorKind::NetworkUnreachable.into(),
        "permission-denied" => ErrorKind::PermissionDenied.into(),
        // EMFILE on Linux; elsewhere such errors have no class of their own.
        "out-of-resources" => Error::from_raw_os_error(24),
        _ => Error::other("something new"),
    };
    TransportError::from_io(&error, &format!("connecting to {url}"))
}
