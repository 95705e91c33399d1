//! Why the certificate of a peer is not trusted, in words for the operators of both sides.

use super::Presented;
use crate::authorities::Authorities;
use crate::errors::USABLE;
use crate::x509::{Certificate, Validity};
use rustls::CertificateError;

/// Why a certificate was not accepted.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// Decides which alert the peer gets.
    pub(crate) error: CertificateError,
    /// What the operator gets.
    pub(crate) reason: String,
}

impl Refusal {
    pub(crate) fn new(error: CertificateError, reason: impl Into<String>) -> Self {
        Self { error, reason: reason.into() }
    }
}

impl Presented<'_> {
    /// What is wrong, for both sides; the most definite finding first.
    pub(crate) fn refusal(
        &self,
        leaf: &Certificate<'_>,
        authorities: &Authorities,
        error: &webpki::Error,
    ) -> Refusal {
        self.out_of_time(leaf, authorities)
            .or_else(|| self.wrong_purpose(leaf, error))
            .or_else(|| self.unknown_issuer(leaf, authorities, error))
            .or_else(|| self.unusable_key(leaf, authorities, error))
            .unwrap_or_else(|| self.flaw(leaf, error))
    }

    /// The refusal if a signature could not be checked, or not be right, for the kind of a key.
    fn unusable_key(
        &self,
        leaf: &Certificate<'_>,
        authorities: &Authorities,
        error: &webpki::Error,
    ) -> Option<Refusal> {
        if !is_about_signatures(error) {
            return None;
        }
        let chain: Vec<_> = self.chain().collect();
        let issuers = std::iter::once(leaf).chain(&chain).flat_map(|c| authorities.issuers_of(c));
        let found = |what: &str, certificate: &Certificate<'_>| {
            let kind = certificate.unusable_key()?;
            Some(Refusal::new(
                CertificateError::BadEncoding,
                format!(
                    "the key of {what} \"{}\" is {kind}, which is not supported here; {USABLE} are",
                    certificate.name()
                ),
            ))
        };
        found("the certificate", leaf)
            .or_else(|| chain.iter().find_map(|c| found("the intermediate certificate", c)))
            .or_else(|| issuers.into_iter().find_map(|ca| found("the CA certificate", &ca)))
    }

    /// The refusal for what is wrong with the certificate or its chain themselves.
    fn flaw(&self, leaf: &Certificate<'_>, error: &webpki::Error) -> Refusal {
        use webpki::Error as E;
        let name = leaf.name();
        let (kind, reason) = match error {
            E::UnsupportedCertVersion => {
                let old = if leaf.is_version_1() {
                    None
                } else {
                    self.chain().find(Certificate::is_version_1).map(|issuer| issuer.name())
                };
                let reason = match old {
                    Some(issuer) => format!(
                        "in the chain of the certificate \"{name}\" is \"{issuer}\" of X.509 \
                         version 1, which cannot say that it is a CA; issue that one again as \
                         version 3"
                    ),
                    None => format!(
                        "the certificate \"{name}\" is of X.509 version 1, which is accepted only \
                         if one of the configured CAs issued it directly; issue it again as \
                         version 3"
                    ),
                };
                (CertificateError::BadEncoding, reason)
            }
            E::CaUsedAsEndEntity => (
                CertificateError::InvalidPurpose,
                format!(
                    "the certificate \"{name}\" is that of a CA, which is accepted only if it is a \
                     configured one itself or was issued directly by one; issue one for the \
                     endpoint that is not a CA"
                ),
            ),
            E::InvalidSignatureForPublicKey => (
                CertificateError::BadSignature,
                format!("a signature in the chain of the certificate \"{name}\" is wrong"),
            ),
            error if is_about_signatures(error) => {
                let algorithms: Vec<_> = std::iter::once(leaf.signature_algorithm())
                    .chain(self.chain().map(|c| c.signature_algorithm()))
                    .collect();
                let reason = format!(
                    "a signature in the chain of the certificate \"{name}\" is of a kind that is \
                     not supported here (there are {}); RSA with SHA-256 to SHA-512, ECDSA with \
                     SHA-256 or SHA-384, and Ed25519 are",
                    algorithms.join(", ")
                );
                (CertificateError::BadEncoding, reason)
            }
            other => {
                let reason =
                    format!("the certificate \"{name}\" cannot be used: {}", flaw_of_chain(other));
                (CertificateError::BadEncoding, reason)
            }
        };
        Refusal::new(kind, reason)
    }

    fn chain(&self) -> impl Iterator<Item = Certificate<'_>> {
        self.intermediates.iter().filter_map(|der| Certificate::parse(der))
    }

    fn out_of_time(&self, leaf: &Certificate<'_>, authorities: &Authorities) -> Option<Refusal> {
        let check = |what: &str, certificate: &Certificate<'_>| {
            let name = certificate.name();
            match certificate.validity(self.now) {
                Validity::Valid => None,
                Validity::Expired => Some(Refusal::new(
                    CertificateError::Expired,
                    format!("{what} \"{name}\" expired at {}", certificate.not_after()),
                )),
                Validity::NotYet => Some(Refusal::new(
                    CertificateError::NotValidYet,
                    format!(
                        "{what} \"{name}\" is not valid before {}, are both clocks right?",
                        certificate.not_before()
                    ),
                )),
            }
        };
        let chain: Vec<_> = self.chain().collect();
        let issuers = || {
            std::iter::once(leaf).chain(&chain).flat_map(|certificate| {
                let all: Vec<_> = authorities.issuers_of(certificate).collect();
                // One that is valid is enough.
                let expired = all.iter().all(|ca| ca.validity(self.now) != Validity::Valid);
                if expired { all } else { Vec::new() }
            })
        };
        check("the certificate", leaf)
            .or_else(|| chain.iter().find_map(|c| check("the intermediate certificate", c)))
            .or_else(|| issuers().find_map(|ca| check("the CA certificate", &ca)))
    }

    fn wrong_purpose(&self, leaf: &Certificate<'_>, error: &webpki::Error) -> Option<Refusal> {
        let said = matches!(error, webpki::Error::RequiredEkuNotFoundContext(_));
        if !said && leaf.allows(self.usage) {
            return None;
        }
        let reason = format!("the certificate \"{}\" is not meant for {}", leaf.name(), self.usage);
        Some(Refusal::new(CertificateError::InvalidPurpose, reason))
    }

    /// The refusal if no issuer of the certificate is known at all.
    fn unknown_issuer(
        &self,
        leaf: &Certificate<'_>,
        authorities: &Authorities,
        error: &webpki::Error,
    ) -> Option<Refusal> {
        let configured = authorities.issuers_of(leaf).next().is_some();
        // OpenSSL presents the whole chain with the CA at its end, which may be known here or not.
        let presented = || {
            self.chain().any(|issuer| {
                leaf.names_issuer(&issuer) && authorities.issuers_of(&issuer).next().is_some()
            })
        };
        let unknown = match error {
            webpki::Error::UnknownIssuer => true,
            // webpki looks at these before it looks for issuers.
            webpki::Error::UnsupportedCertVersion | webpki::Error::CaUsedAsEndEntity => {
                !configured && !presented()
            }
            _ => false,
        };
        let (name, issuer) = (leaf.name(), leaf.issuer());
        let reason = if !unknown {
            return None;
        } else if configured {
            format!(
                "the certificate \"{name}\" was not issued by the CA \"{issuer}\" that is \
                 configured here, but by one of the same name with another key"
            )
        } else if leaf.is_self_issued() {
            format!("the certificate \"{name}\" signs itself and is not among the configured CAs")
        } else {
            format!(
                "the certificate \"{name}\" was issued by \"{issuer}\", which is not among the \
                 configured CAs"
            )
        };
        Some(Refusal::new(CertificateError::UnknownIssuer, reason))
    }
}

/// Whether the error may come from the kind of a key or of a signature.
fn is_about_signatures(error: &webpki::Error) -> bool {
    matches!(
        error,
        webpki::Error::InvalidSignatureForPublicKey
            | webpki::Error::SignatureAlgorithmMismatch
            | webpki::Error::UnsupportedSignatureAlgorithmContext(_)
            | webpki::Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_)
    )
}

/// What is wrong with a chain, as the end of a sentence.
fn flaw_of_chain(error: &webpki::Error) -> String {
    use webpki::Error as E;
    match error {
        E::UnsupportedCriticalExtension => {
            "it or its chain has an extension that is critical and not known here".to_owned()
        }
        E::EndEntityUsedAsCa => {
            "it was issued with a certificate that is not that of a CA".to_owned()
        }
        E::NameConstraintViolation => {
            "a CA in its chain may not vouch for its names (name constraints)".to_owned()
        }
        E::PathLenConstraintViolated => {
            "its chain has more intermediate certificates than a CA in it allows".to_owned()
        }
        E::MaximumPathDepthExceeded | E::MaximumPathBuildCallsExceeded => {
            "its chain is too long".to_owned()
        }
        other => format!("it or its chain is not valid ({other:?})"),
    }
}
