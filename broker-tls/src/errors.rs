//! Errors of this crate, and what failures of TLS mean for whoever runs the endpoint.

use crate::anonymous;
use broker_core::Reason;
use rustls::{AlertDescription as Alert, Error, InvalidMessage, PeerIncompatible};

/// What to say of a key that its passphrase does not open.
pub(crate) const WRONG_PASSPHRASE: &str =
    "the passphrase is wrong (option passphrase, or BROKER_TLS_PASSPHRASE for broker-cli)";

/// The kinds of keys whose signatures can be checked, for messages.
pub(crate) const USABLE: &str =
    "RSA from 2048 to 8192 bits, ECDSA with P-256 or P-384, and Ed25519";

/// The kinds of keys that can sign, for messages.
pub(crate) const USABLE_AS_OWN: &str =
    "RSA from 2048 to 4096 bits, ECDSA with P-256 or P-384, and Ed25519";

/// Why certificates, keys or settings cannot be used: a sentence for the operator that names the
/// option or the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TlsError(String);

impl TlsError {
    pub(crate) fn new(detail: impl Into<String>) -> Self {
        Self(detail.into())
    }
}

/// How the own key is called where keys are pinned.
pub(crate) const OWN_KEY: &str = "the own key";

/// The kind and the reason of an error of rustls. `refusal` is what the verifier said about the
/// certificate of the peer, `own` the own certificate if there is one.
pub(crate) fn rustls_error(
    error: &Error,
    refusal: Option<String>,
    own: Option<&str>,
) -> (Reason, String) {
    let reason = match error {
        Error::AlertReceived(alert) => {
            return (alert_kind(*alert), alert_reason(*alert, own));
        }
        Error::InvalidCertificate(error) => {
            let reason = refusal.unwrap_or_else(|| error.to_string());
            return (Reason::PeerCertificate, format!("the other side is not trusted: {reason}"));
        }
        Error::NoCertificatesPresented => {
            return (Reason::PeerCertificate, nothing_presented(own));
        }
        Error::PeerIncompatible(cause) => incompatible(cause),
        Error::InvalidMessage(cause) => return (Reason::NotBroker, invalid_message(cause)),
        Error::DecryptError => "what arrived does not decrypt".to_owned(),
        Error::General(other) => format!("an error of TLS: {other}"),
        other => format!("an error of TLS: {other}"),
    };
    (Reason::Tls, reason)
}

fn nothing_presented(own: Option<&str>) -> String {
    if own.is_some_and(|own| own.starts_with(OWN_KEY)) {
        return "the other side presented no key, and here self-signed is set: both sides have to \
                have it, or neither"
            .to_owned();
    }
    format!(
        "the other side presented no certificate, and here certificates are configured: both sides \
         have to have certificates, or neither; one whose key is not supported here is not \
         presented either ({USABLE} are)"
    )
}

fn invalid_message(cause: &InvalidMessage) -> String {
    match cause {
        InvalidMessage::InvalidContentType => "the other side does not speak TLS".to_owned(),
        other => format!("what the other side sends is not valid TLS ({other:?})"),
    }
}

fn incompatible(cause: &PeerIncompatible) -> String {
    match cause {
        PeerIncompatible::Tls12NotOffered
        | PeerIncompatible::Tls12NotOfferedOrEnabled
        | PeerIncompatible::SupportedVersionsExtensionRequired
        | PeerIncompatible::SignatureAlgorithmsExtensionRequired
        | PeerIncompatible::ServerDoesNotSupportTls12Or13
        | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig => {
            "the other side speaks no TLS version from 1.2 on".to_owned()
        }
        PeerIncompatible::NoCipherSuitesInCommon => {
            "no cipher is common to both sides (endpoints without certificates offer only \
             anonymous ones: both sides have to have certificates, or neither)"
                .to_owned()
        }
        other => format!("no TLS parameters are common to both sides ({other:?})"),
    }
}

/// The kind of an alert: those about certificates concern the one of this side.
fn alert_kind(alert: Alert) -> Reason {
    match alert {
        Alert::UnknownCA
        | Alert::CertificateExpired
        | Alert::UnsupportedCertificate
        | Alert::CertificateRevoked
        | Alert::AccessDenied
        | Alert::BadCertificate
        | Alert::CertificateUnknown
        | Alert::CertificateRequired
        | Alert::DecryptError => Reason::OwnCertificate,
        _ => Reason::Tls,
    }
}

/// The reason behind an alert with which the other side ended the handshake or the connection.
fn alert_reason(alert: Alert, own: Option<&str>) -> String {
    match own {
        Some(own) => alert_with_certificate(alert, own),
        None => alert_without_certificate(alert),
    }
}

fn alert_with_certificate(alert: Alert, own: &str) -> String {
    match alert {
        Alert::UnknownCA => {
            format!(
                "the other side does not trust {own}: its CA is not among those configured there"
            )
        }
        Alert::CertificateExpired => format!(
            "the other side finds {own} or a CA in its chain expired or not valid yet (are both \
             clocks right?)"
        ),
        Alert::UnsupportedCertificate => {
            format!("the other side finds {own} not to be meant for this purpose")
        }
        Alert::CertificateRevoked => format!("the other side finds {own} revoked"),
        Alert::AccessDenied => format!("{own} is not among those that the other side expects"),
        Alert::BadCertificate | Alert::CertificateUnknown | Alert::DecryptError => {
            format!("the other side refuses {own}")
        }
        Alert::HandshakeFailure => format!(
            "the other side found no common parameters, as endpoints without certificates do: both \
             sides have to have certificates, or neither; and so do those whose key is not \
             supported here ({USABLE} are)"
        ),
        other => other_alert(other),
    }
}

fn alert_without_certificate(alert: Alert) -> String {
    match alert {
        Alert::CertificateRequired
        | Alert::UnknownCA
        | Alert::BadCertificate
        | Alert::CertificateUnknown => {
            "the other side demands a certificate, and none is configured here (set certificate, \
             key and ca-file; or self-signed, if that is what the other side has)"
                .to_owned()
        }
        Alert::AccessDenied => "the other side expects another key".to_owned(),
        Alert::HandshakeFailure => "the other side found no common parameters, as endpoints with \
             certificates do: both sides have to have certificates, or neither"
            .to_owned(),
        other => other_alert(other),
    }
}

fn other_alert(alert: Alert) -> String {
    match alert {
        Alert::ProtocolVersion => {
            "the other side speaks no TLS version that is spoken here (1.2 and 1.3)".to_owned()
        }
        Alert::CloseNotify | Alert::UserCanceled => {
            "the other side ended the TLS handshake".to_owned()
        }
        other => format!("the other side ended the encrypted connection with the alert {other:?}"),
    }
}

/// The kind and the reason of an error of anonymous TLS.
pub(crate) fn anonymous_error(error: &anonymous::Error) -> (Reason, String) {
    match error {
        anonymous::Error::AlertReceived(alert) => {
            (alert_kind(*alert), alert_without_certificate(*alert))
        }
        anonymous::Error::Refused { alert, reason } => match alert {
            Alert::HandshakeFailure | Alert::ProtocolVersion => (Reason::Tls, (*reason).to_owned()),
            Alert::BadRecordMac | Alert::InternalError => {
                (Reason::Tls, format!("an error of TLS: {reason}"))
            }
            _ => {
                let reason = format!("what the other side sends is not valid TLS ({reason})");
                (Reason::NotBroker, reason)
            }
        },
    }
}
