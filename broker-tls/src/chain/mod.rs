//! Whether the certificate of a peer can be traced to a trusted CA.

mod refusal;

use crate::authorities::Authorities;
use crate::leniency::Leniency;
use crate::x509::{Certificate, Usage, Validity};
pub(crate) use refusal::Refusal;
use rustls::CertificateError;
use rustls::pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};

/// The certificates that a peer presented, what for, and when.
pub(crate) struct Presented<'a> {
    pub(crate) leaf: &'a CertificateDer<'a>,
    pub(crate) intermediates: &'a [CertificateDer<'a>],
    pub(crate) usage: Usage,
    pub(crate) now: UnixTime,
}

impl Presented<'_> {
    /// Checks the chain, and accepts beyond what webpki does what is trusted directly: certificates
    /// that a trusted CA issued itself, and those that sign themselves and are configured as
    /// trusted. Returns what to say of one that is accepted by [`Leniency`], which `strict`
    /// refuses.
    pub(crate) fn verify(
        &self,
        authorities: &Authorities,
        algorithms: &[&dyn SignatureVerificationAlgorithm],
        strict: bool,
    ) -> Result<Option<String>, Refusal> {
        let unreadable =
            || Refusal::new(CertificateError::BadEncoding, "the certificate is not readable");
        let leaf = Certificate::parse(self.leaf).ok_or_else(unreadable)?;
        let Err(error) = self.verify_path(authorities, algorithms) else { return Ok(None) };
        let beyond_webpki = matches!(
            error,
            webpki::Error::UnsupportedCertVersion
                | webpki::Error::CaUsedAsEndEntity
                | webpki::Error::UnknownIssuer
        );
        if !beyond_webpki || !self.is_directly_trusted(&leaf, authorities) {
            return Err(self.refusal(&leaf, authorities, &error));
        }
        let Some(leniency) = Leniency::of(&leaf) else { return Ok(None) };
        let whose = format!("the certificate \"{}\"", leaf.name());
        if strict {
            return Err(Refusal::new(CertificateError::InvalidPurpose, leniency.refused(&whose)));
        }
        Ok(Some(leniency.used(&format!("{whose} of a peer"))))
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
}
