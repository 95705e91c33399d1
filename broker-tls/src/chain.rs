//! Whether the certificate of a peer can be traced to a trusted CA.

use crate::authorities::Authorities;
use crate::x509::{Certificate, Usage, Validity};
use rustls::CertificateError;
use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};

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

/// The certificates that a peer presented, what for, and when.
pub(crate) struct Presented<'a> {
    pub(crate) leaf: &'a CertificateDer<'a>,
    pub(crate) intermediates: &'a [CertificateDer<'a>],
    pub(crate) usage: Usage,
    pub(crate) now: UnixTime,
}

impl Presented<'_> {
    /// Checks the chain, and accepts beyond what webpki does two kinds of certificates that OpenSSL
    /// accepts and that are in use, if a trusted CA issued them directly or they are trusted
    /// themselves: those of X.509 version 1 and those of CAs.
    pub(crate) fn verify(
        &self,
        authorities: &Authorities,
        algorithms: &[&dyn SignatureVerificationAlgorithm],
    ) -> Result<(), Refusal> {
        let unreadable =
            || Refusal::new(CertificateError::BadEncoding, "the certificate is not readable");
        let leaf = Certificate::parse(self.leaf).ok_or_else(unreadable)?;
        let Err(error) = self.verify_path(authorities, algorithms) else { return Ok(()) };
        let beyond_webpki = matches!(
            error,
            webpki::Error::UnsupportedCertVersion
                | webpki::Error::CaUsedAsEndEntity
                | webpki::Error::UnknownIssuer
        );
        if beyond_webpki && self.is_directly_trusted(&leaf, authorities) {
            return Ok(());
        }
        Err(self.refusal(&leaf, authorities, &error))
    }

    fn verify_path(
        &self,
        authorities: &Authorities,
        algorithms: &[&dyn SignatureVerificationAlgorithm],
    ) -> Result<(), webpki::Error> {
        let usage = match self.usage {
            Usage::Server => webpki::KeyUsage::server_auth(),
            Usage::Client => webpki::KeyUsage::client_auth(),
        };
        let anchors = authorities.anchors(self.now);
        let leaf = webpki::EndEntityCert::try_from(self.leaf)?;
        leaf.verify_for_usage(
            algorithms,
            &anchors,
            self.intermediates,
            self.now,
            usage,
            None,
            None,
        )?;
        Ok(())
    }

    fn is_directly_trusted(&self, leaf: &Certificate<'_>, authorities: &Authorities) -> bool {
        let usable = leaf.validity(self.now) == Validity::Valid
            && leaf.allows(self.usage)
            && !leaf.has_unknown_critical_extension();
        let itself = || leaf.is_self_issued() && authorities.contain(self.leaf);
        let issued = || {
            authorities.issuers_of(leaf).any(|issuer| {
                issuer.validity(self.now) == Validity::Valid && leaf.is_signed_by(&issuer)
            })
        };
        usable && (itself() || issued())
    }

    /// What is wrong, for both sides; the most definite finding first.
    fn refusal(
        &self,
        leaf: &Certificate<'_>,
        authorities: &Authorities,
        error: &webpki::Error,
    ) -> Refusal {
        let name = leaf.name();
        self.out_of_time(leaf, authorities)
            .or_else(|| self.wrong_purpose(leaf, error))
            .or_else(|| self.unknown_issuer(leaf, authorities, error))
            .unwrap_or_else(|| match error {
                webpki::Error::UnsupportedCertVersion => Refusal::new(
                    CertificateError::BadEncoding,
                    format!(
                        "the certificate \"{name}\" is of X.509 version 1, which is accepted only if \
                         one of the configured CAs issued it directly; issue it again as version 3"
                    ),
                ),
                webpki::Error::CaUsedAsEndEntity => Refusal::new(
                    CertificateError::InvalidPurpose,
                    format!(
                        "the certificate \"{name}\" is that of a CA, which is accepted only if it is \
                         a configured one itself or was issued directly by one; issue one for the \
                         endpoint that is not a CA"
                    ),
                ),
                webpki::Error::InvalidSignatureForPublicKey => Refusal::new(
                    CertificateError::BadSignature,
                    format!("a signature in the chain of the certificate \"{name}\" is wrong"),
                ),
                other => Refusal::new(
                    CertificateError::BadEncoding,
                    format!(
                        "the certificate \"{name}\" or its chain cannot be used ({other:?}); RSA from \
                         2048 bits, ECDSA with P-256 or P-384, and Ed25519, with SHA-2, can"
                    ),
                ),
            })
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
        let chain: Vec<_> =
            self.intermediates.iter().filter_map(|der| Certificate::parse(der)).collect();
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
            let mut chain = self.intermediates.iter().filter_map(|der| Certificate::parse(der));
            chain.any(|issuer| {
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
                "the certificate \"{name}\" was not issued by the CA \"{issuer}\" that is configured \
                 here, but by one of the same name with another key"
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
