//! What failures of QUIC mean for whoever runs the endpoint.

use broker_core::Reason;
use broker_core::transport::TransportError;
use broker_tls::HandshakeReport;
use quinn::{ApplicationClose, ConnectionClose, ConnectionError, TransportErrorCode, VarInt};
use rustls::{AlertDescription as Alert, CertificateError, Error as TlsFailure};
use std::io;

/// An orderly end.
pub(crate) const CLOSED: VarInt = VarInt::from_u32(0);

/// What was in flight is lost.
pub(crate) const ABORTED: VarInt = VarInt::from_u32(1);

/// The other side broke the rules of the streams.
pub(crate) const MISBEHAVED: VarInt = VarInt::from_u32(2);

/// Explains the end of a connection; `doing` says during what.
pub(crate) fn explain(
    error: &ConnectionError,
    report: &HandshakeReport,
    doing: &str,
) -> TransportError {
    let (kind, reason) = match error {
        ConnectionError::TransportError(found) => match alert(found.code) {
            Some(alert) => return local_tls(alert, &found.reason, report, doing),
            None => (Reason::NotBroker, format!("the other side broke the rules of QUIC: {found}")),
        },
        ConnectionError::ConnectionClosed(said) => match alert(said.error_code) {
            Some(alert) => return remote_tls(alert, report, doing),
            None => closed_by_quic(said),
        },
        ConnectionError::ApplicationClosed(said) => closed_by_broker(said),
        ConnectionError::VersionMismatch => (
            Reason::NotBroker,
            "the other side speaks no version of QUIC that is known here".into(),
        ),
        ConnectionError::Reset => (
            Reason::Reset,
            "the other side has forgotten the connection, as after a restart".into(),
        ),
        ConnectionError::TimedOut => (
            Reason::Reset,
            "the path is dead: there was no sign of life from the other side".into(),
        ),
        ConnectionError::LocallyClosed => {
            (Reason::Closed, "this side closed the connection".into())
        }
        ConnectionError::CidsExhausted => {
            (Reason::OutOfResources, "there are no identifiers left for connections".into())
        }
    };
    TransportError::new(kind, format!("{doing}: {reason}"))
}

/// The TLS alert in an error code of QUIC.
fn alert(code: TransportErrorCode) -> Option<Alert> {
    let code = u64::from(code).checked_sub(0x100)?;
    u8::try_from(code).ok().map(Alert::from)
}

/// The handshake failed because of what this side found; the alert is what it told the other one.
fn local_tls(alert: Alert, reason: &str, report: &HandshakeReport, doing: &str) -> TransportError {
    if alert == Alert::NoApplicationProtocol {
        return not_broker(doing);
    }
    let failure = match alert {
        Alert::CertificateRequired => TlsFailure::NoCertificatesPresented,
        Alert::BadCertificate
        | Alert::UnsupportedCertificate
        | Alert::CertificateRevoked
        | Alert::CertificateExpired
        | Alert::CertificateUnknown
        | Alert::UnknownCA
        | Alert::AccessDenied => TlsFailure::InvalidCertificate(CertificateError::BadEncoding),
        // A signature in a chain or that of the handshake is wrong.
        Alert::DecryptError => TlsFailure::InvalidCertificate(CertificateError::BadSignature),
        _ => TlsFailure::General(reason.to_owned()),
    };
    report.explain(&io::Error::other(failure), doing)
}

/// The handshake failed because of what the other side found.
fn remote_tls(alert: Alert, report: &HandshakeReport, doing: &str) -> TransportError {
    if alert == Alert::NoApplicationProtocol {
        return not_broker(doing);
    }
    report.explain(&io::Error::other(TlsFailure::AlertReceived(alert)), doing)
}

/// The protocols above QUIC have no name in common.
pub(crate) fn not_broker(doing: &str) -> TransportError {
    let detail = format!(
        "{doing}: the other side speaks QUIC, but not Broker over it (no application protocol is \
         common to both sides, here it is {:?})",
        String::from_utf8_lossy(crate::ALPN)
    );
    TransportError::new(Reason::NotBroker, detail)
}

fn closed_by_quic(said: &ConnectionClose) -> (Reason, String) {
    let reason = said_as_text(&said.reason);
    match said.error_code {
        TransportErrorCode::CONNECTION_REFUSED => (
            Reason::Refused,
            "the other side listens, but accepts no more connections at present".into(),
        ),
        TransportErrorCode::NO_ERROR | TransportErrorCode::APPLICATION_ERROR => {
            (Reason::Closed, format!("the other side closed the connection{reason}"))
        }
        code => (Reason::Reset, format!("the other side ended the connection: {code}{reason}")),
    }
}

fn closed_by_broker(said: &ApplicationClose) -> (Reason, String) {
    let reason = said_as_text(&said.reason);
    match said.error_code {
        CLOSED => (Reason::Closed, "the other side closed the connection".into()),
        ABORTED => (
            Reason::Reset,
            "the other side gave the connection up, and what was in flight is lost".into(),
        ),
        MISBEHAVED => (
            Reason::NotBroker,
            format!("the other side says that this one broke the rules of quic://{reason}"),
        ),
        code => (Reason::Reset, format!("the other side ended the connection with {code}{reason}")),
    }
}

/// What the other side gave as its reason, which can be anything, as the end of a sentence.
fn said_as_text(reason: &[u8]) -> String {
    if reason.is_empty() {
        return String::new();
    }
    let text = String::from_utf8_lossy(reason);
    let text: String = text.chars().filter(|c| !c.is_control()).take(200).collect();
    format!(" ({text})")
}
