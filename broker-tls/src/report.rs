use crate::x509::Certificate;
use crate::{CertificateEnd, errors};
use broker_core::Reason;
use broker_core::transport::{Protection, TransportError};
use parking_lot::Mutex;
use rustls::pki_types::CertificateDer;
use std::io;
use std::sync::Arc;

/// How many certificates of a chain are shown: a peer may present any number.
const CHAIN_SHOWN: usize = 8;

/// What the handshake of one connection found out, for the state of the link and for messages.
#[derive(Debug, Clone)]
pub struct HandshakeReport(Arc<State>);

#[derive(Debug)]
struct State {
    /// The own certificate as messages call it; none in the anonymous mode.
    own: Option<String>,
    findings: Mutex<Findings>,
}

#[derive(Debug, Default)]
struct Findings {
    peer: Option<String>,
    refusal: Option<String>,
    leniency: Option<String>,
    details: Details,
}

/// The particulars of a handshake, for diagnosis.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Details {
    /// The version of TLS, if the handshake got that far.
    pub version: Option<String>,
    /// The cipher suite, if the handshake got that far.
    pub cipher: Option<String>,
    /// The certificates that a dialled peer presented, its own first, at most eight; empty if the
    /// peer dialled.
    pub chain: Vec<CertificateSummary>,
}

/// What is shown of a certificate. Names are escaped as RFC 4514 has it and shortened if they are
/// long; times are UTC, as in `Jan  1 00:00:00 2001 +00:00`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CertificateSummary {
    /// The subject, or else an alternative name or the pin.
    pub subject: String,
    /// The issuer.
    pub issuer: String,
    /// The first moment of its validity.
    pub not_before: String,
    /// The last moment of its validity.
    pub not_after: String,
    /// The pin of its key.
    pub pin: String,
    /// When it ends, for programs.
    pub end: CertificateEnd,
}

impl HandshakeReport {
    pub(crate) fn new(own: Option<String>) -> Self {
        Self(Arc::new(State { own, findings: Mutex::default() }))
    }

    pub(crate) fn set_peer(&self, name: String) {
        self.0.findings.lock().peer = Some(name);
    }

    pub(crate) fn set_refusal(&self, reason: String) {
        self.0.findings.lock().refusal = Some(reason);
    }

    /// Keeps what is to be said of the certificate once its key is proven.
    pub(crate) fn set_leniency(&self, text: Option<String>) {
        self.0.findings.lock().leniency = text;
    }

    pub(crate) fn take_leniency(&self) -> Option<String> {
        self.0.findings.lock().leniency.take()
    }

    pub(crate) fn set_chain(&self, leaf: &CertificateDer<'_>, others: &[CertificateDer<'_>]) {
        let parsed = std::iter::once(leaf).chain(others).filter_map(|der| Certificate::parse(der));
        let chain = parsed.take(CHAIN_SHOWN).map(|certificate| CertificateSummary {
            subject: certificate.name(),
            issuer: certificate.issuer(),
            not_before: certificate.not_before().to_string(),
            not_after: certificate.not_after().to_string(),
            pin: certificate.pin().to_string(),
            end: {
                let whose = format!("the certificate \"{}\" of the peer", certificate.name());
                CertificateEnd::new("peer", &certificate, whose, "it needs a new one")
            },
        });
        self.0.findings.lock().details.chain = chain.collect();
    }

    /// Records the version and the cipher suite that the two sides agreed on.
    pub fn set_session(&self, version: String, cipher: String) {
        let details = &mut self.0.findings.lock().details;
        (details.version, details.cipher) = (Some(version), Some(cipher));
    }

    /// The particulars of the handshake, as far as it got.
    #[must_use]
    pub fn details(&self) -> Details {
        self.0.findings.lock().details.clone()
    }

    /// How the connection is protected. Only meaningful once its handshake is done: before, the
    /// other side may have presented a certificate without proving that it has the key.
    #[must_use]
    pub fn protection(&self) -> Protection {
        match &self.0.findings.lock().peer {
            Some(name) => Protection::Authenticated(name.clone()),
            None => Protection::Encrypted,
        }
    }

    /// Whether no certificates are configured here.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        self.0.own.is_none()
    }

    /// Explains a failure of the encrypted stream or of its handshake, with what was found out
    /// about the certificates; `doing` says during what.
    #[must_use]
    pub fn explain(&self, error: &io::Error, doing: &str) -> TransportError {
        let inner = error.get_ref();
        let reason = inner.and_then(|inner| self.explain_inner(inner));
        match reason {
            Some((kind, reason)) => TransportError::new(kind, format!("{doing}: {reason}")),
            None => TransportError::from_io(error, doing),
        }
    }

    fn explain_inner(
        &self,
        inner: &(dyn std::error::Error + Send + Sync + 'static),
    ) -> Option<(Reason, String)> {
        if let Some(error) = inner.downcast_ref::<rustls::Error>() {
            let refusal = self.0.findings.lock().refusal.clone();
            return Some(errors::rustls_error(error, refusal, self.0.own.as_deref()));
        }
        inner.downcast_ref().map(errors::anonymous_error)
    }
}
