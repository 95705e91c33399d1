//! The checks of this crate in the places where rustls asks for them.

use crate::Pin;
use crate::authorities::Authorities;
use crate::chain::Presented;
use crate::expectations::Expectations;
use crate::observer::TextObserver;
use crate::report::HandshakeReport;
use crate::x509::{Certificate, Usage};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use std::fmt;
use std::sync::Arc;

/// The methods about handshake signatures, which both traits of rustls have.
macro_rules! signature_checks {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls12_signature(message, certificate, signature, &self.algorithms)
                .inspect(|_| self.proven())
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            verify_tls13_signature(message, certificate, signature, &self.algorithms)
                .inspect(|_| self.proven())
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.algorithms.supported_schemes()
        }
    };
}

/// Accepts peers with a certificate of a trusted CA that meets the expectations, and notes in
/// the report who it was or why not.
pub(crate) struct PeerVerifier {
    pub(crate) authorities: Arc<Authorities>,
    pub(crate) expectations: Arc<Expectations>,
    /// What the certificate of a dialled peer has to be valid for.
    pub(crate) host: Option<String>,
    pub(crate) strict: bool,
    pub(crate) report: HandshakeReport,
    pub(crate) leniency_observer: TextObserver,
    pub(crate) algorithms: WebPkiSupportedAlgorithms,
}

impl PeerVerifier {
    fn verify(&self, presented: &Presented<'_>) -> Result<(), Error> {
        let outcome =
            presented.verify(&self.authorities, self.algorithms.all, self.strict).and_then(|odd| {
                self.expectations.check(presented.leaf, self.host.as_deref()).map(|()| odd)
            });
        match outcome {
            Ok(odd) => {
                self.report.set_leniency(odd);
                let name = Certificate::parse(presented.leaf).map(|leaf| leaf.name());
                self.report.set_peer(name.unwrap_or_default());
                Ok(())
            }
            Err(refusal) => {
                self.report.set_refusal(refusal.reason);
                Err(Error::InvalidCertificate(refusal.error))
            }
        }
    }
}

impl PeerVerifier {
    /// The other side has shown that it holds the key; before, anybody could present anything.
    fn proven(&self) {
        if let Some(text) = self.report.take_leniency() {
            self.leniency_observer.tell(&text);
        }
    }
}

impl fmt::Debug for PeerVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerVerifier").finish_non_exhaustive()
    }
}

impl ServerCertVerifier for PeerVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.report.set_chain(leaf, intermediates);
        self.verify(&Presented { leaf, intermediates, usage: Usage::Server, now })?;
        Ok(ServerCertVerified::assertion())
    }

    signature_checks!();
}

impl ClientCertVerifier for PeerVerifier {
    /// None: clients of the C++ Broker send what they have, and others need not know whom we trust.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.verify(&Presented { leaf, intermediates, usage: Usage::Client, now })?;
        Ok(ClientCertVerified::assertion())
    }

    signature_checks!();
}

/// A verifier for those who dial, who may or may not have to present a certificate.
#[derive(Debug)]
pub(crate) struct ClientVerifier<V> {
    pub(crate) verifier: V,
    pub(crate) mandatory: bool,
}

impl<V: ClientCertVerifier> ClientCertVerifier for ClientVerifier<V> {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.verifier.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.verifier.verify_client_cert(leaf, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

/// Accepts peers by their keys alone, whatever the certificate says that carries one: those whose
/// key is pinned, or everybody if no key is. That the other side holds the key is checked in any
/// case.
pub(crate) struct KeyVerifier {
    pub(crate) pins: Vec<Pin>,
    pub(crate) report: HandshakeReport,
    pub(crate) algorithms: WebPkiSupportedAlgorithms,
}

impl KeyVerifier {
    fn verify(&self, leaf: &CertificateDer<'_>) -> Result<(), Error> {
        if self.pins.is_empty() {
            return Ok(());
        }
        let leaf = Certificate::parse(leaf)
            .ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))?;
        let pin = leaf.pin();
        if self.pins.contains(&pin) {
            self.report.set_peer(format!("key {pin}"));
            return Ok(());
        }
        self.report.set_refusal(format!("its key is {pin}, which is not pinned here"));
        Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
    }
}

impl KeyVerifier {
    /// Keys are as good as their pins: there is nothing to say of them.
    fn proven(&self) {}
}

impl fmt::Debug for KeyVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyVerifier").field("pins", &self.pins).finish_non_exhaustive()
    }
}

impl ServerCertVerifier for KeyVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.report.set_chain(leaf, intermediates);
        self.verify(leaf)?;
        Ok(ServerCertVerified::assertion())
    }

    signature_checks!();
}

impl ClientCertVerifier for KeyVerifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.verify(leaf)?;
        Ok(ClientCertVerified::assertion())
    }

    signature_checks!();
}

// The functions of rustls for certificates parse them with webpki, which refuses version 1. For the
// signature only the key matters.

fn public_key(certificate: &CertificateDer<'_>) -> Result<SubjectPublicKeyInfoDer<'static>, Error> {
    Certificate::parse(certificate)
        .map(|certificate| SubjectPublicKeyInfoDer::from(certificate.public_key().to_vec()))
        .ok_or(Error::InvalidCertificate(CertificateError::BadEncoding))
}

fn verify_tls12_signature(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    let key = public_key(certificate)?;
    let bad = || Error::InvalidCertificate(CertificateError::BadSignature);
    let key = webpki::RawPublicKeyEntity::try_from(&key).map_err(|_| bad())?;
    // In TLS 1.2 a scheme leaves the curve open, so several algorithms may fit.
    let fitting = algorithms.mapping.iter().filter(|(scheme, _)| *scheme == signature.scheme);
    let valid = fitting
        .flat_map(|(_, algorithms)| *algorithms)
        .any(|algorithm| key.verify_signature(*algorithm, message, signature.signature()).is_ok());
    if valid { Ok(HandshakeSignatureValid::assertion()) } else { Err(bad()) }
}

fn verify_tls13_signature(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, Error> {
    let key = public_key(certificate)?;
    verify_tls13_signature_with_raw_key(message, &key, signature, algorithms)
}
