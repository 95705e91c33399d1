use crate::errors;
use crate::errors::{CLOSED, MISBEHAVED};
use broker_core::transport::TransportError;
use broker_core::{Address, Reason};
use broker_tls::HandshakeReport;
use quinn::ConnectionError;
use std::net::SocketAddr;

/// What both halves of a connection hold on to. When the last one lets go, the connection ends.
pub(crate) struct Link {
    pub(crate) connection: quinn::Connection,
    /// Explains failures that have to do with certificates.
    pub(crate) report: HandshakeReport,
}

impl Link {
    /// What the end of the connection means for the operation that found out about it.
    pub(crate) fn explain(&self, error: &ConnectionError, doing: &str) -> TransportError {
        errors::explain(error, &self.report, doing)
    }

    /// Ends the connection because of what the other side sent.
    pub(crate) fn misbehaved(&self, what: &str) -> TransportError {
        self.connection.close(MISBEHAVED, what.as_bytes());
        let detail =
            format!("receiving: the other side broke the rules of quic://, it sent {what}");
        TransportError::new(Reason::NotBroker, detail)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.connection.close(CLOSED, b"");
    }
}

/// The address of the other side, as it is shown.
pub(crate) fn url_of(address: SocketAddr) -> Address {
    Address::new("quic", &address.ip().to_string(), address.port())
}
