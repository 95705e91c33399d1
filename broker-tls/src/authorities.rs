//! The CAs whose certificates are trusted.

use crate::errors::USABLE;
use crate::x509::{Certificate, Validity};
use crate::{CertificateEnd, TlsError, TlsOptions, files};
use rustls::pki_types::{CertificateDer, Der, TrustAnchor, UnixTime};
use std::path::PathBuf;

/// Certificates that are trusted without another one vouching for them.
pub(crate) struct Authorities {
    trusted: Vec<Authority>,
    /// What is odd about them, though they can be used.
    warnings: Vec<String>,
}

/// One trusted certificate.
pub(crate) struct Authority {
    der: CertificateDer<'static>,
    /// What chains end at; none for a certificate that is trusted for itself alone.
    anchor: Option<TrustAnchor<'static>>,
}

impl Authorities {
    /// Reads the CA file and the CA directory, of which at least one has to be set.
    pub(crate) fn load(options: &TlsOptions) -> Result<Self, TlsError> {
        let mut warnings = Vec::new();
        let mut found: Vec<(PathBuf, CertificateDer<'static>)> = Vec::new();
        if let Some(file) = &options.ca_file {
            let certificates = files::certificates("the CA file", file)?;
            found.extend(certificates.into_iter().map(|der| (file.clone(), der)));
        }
        if let Some(directory) = &options.ca_dir {
            found.extend(files::certificates_in_directory(
                "the CA directory",
                directory,
                &mut warnings,
            )?);
        }
        if found.is_empty() {
            return Err(TlsError::new(
                "no CA is set (options ca-file and ca-dir), so no peer could be trusted",
            ));
        }
        let mut trusted: Vec<Authority> = Vec::new();
        for (file, der) in found {
            if trusted.iter().all(|known| known.der != der) {
                let authority = authority(&file, der)?;
                warnings.extend(unusable_key(&file, &authority));
                trusted.push(authority);
            }
        }
        Ok(Self { trusted, warnings })
    }

    /// What the operator should know, though it is no reason not to start.
    pub(crate) fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// When they end.
    pub(crate) fn ends(&self) -> impl Iterator<Item = CertificateEnd> {
        self.trusted.iter().filter_map(Authority::certificate).map(|ca| {
            let whose = format!("the CA \"{}\"", ca.name());
            CertificateEnd::new("ca", &ca, whose, "nobody is trusted because of it after that")
        })
    }

    /// What chains may end at now: OpenSSL does not trust CAs that have expired, webpki would.
    pub(crate) fn anchors(&self, now: UnixTime) -> Vec<TrustAnchor<'_>> {
        self.trusted
            .iter()
            .filter(|authority| authority.certificate().is_some_and(|c| is_valid(&c, now)))
            .filter_map(|authority| authority.anchor.as_ref())
            .map(borrowed)
            .collect()
    }

    /// The CAs that are named as the issuer of `certificate`, valid or not.
    pub(crate) fn issuers_of<'a>(
        &'a self,
        certificate: &'a Certificate<'_>,
    ) -> impl Iterator<Item = Certificate<'a>> {
        self.trusted
            .iter()
            .filter(|authority| authority.may_issue_directly())
            .filter_map(Authority::certificate)
            .filter(|issuer| certificate.names_issuer(issuer))
    }

    /// Whether this very certificate is a trusted one.
    pub(crate) fn contain(&self, der: &CertificateDer<'_>) -> bool {
        self.trusted.iter().any(|authority| authority.der == *der)
    }
}

impl Authority {
    fn certificate(&self) -> Option<Certificate<'_>> {
        Certificate::parse(&self.der)
    }

    /// A CA with name constraints needs the full path building, which looks at them.
    fn may_issue_directly(&self) -> bool {
        self.anchor.as_ref().is_some_and(|anchor| anchor.name_constraints.is_none())
    }
}

fn authority(file: &std::path::Path, der: CertificateDer<'static>) -> Result<Authority, TlsError> {
    let unreadable =
        || TlsError::new(format!("a certificate of the CAs in {} is not readable", file.display()));
    let certificate = Certificate::parse(&der).ok_or_else(unreadable)?;
    // As with OpenSSL, the certificate of somebody who is no CA vouches for nobody else. Version 1
    // could not say who is a CA; those that sign themselves are.
    let issues = certificate.is_ca() || certificate.is_version_1() && certificate.is_self_issued();
    let anchor = if issues {
        Some(webpki::anchor_from_trusted_cert(&der).map_err(|_| unreadable())?.to_owned())
    } else {
        None
    };
    Ok(Authority { der, anchor })
}

/// What to say of a CA whose signatures cannot be checked.
fn unusable_key(file: &std::path::Path, authority: &Authority) -> Option<String> {
    let certificate = authority.certificate()?;
    let kind = certificate.unusable_key()?;
    Some(format!(
        "the key of the CA \"{}\" in {} is {kind}, which is not supported here, so nobody is \
         trusted because of it; {USABLE} are",
        certificate.name(),
        file.display(),
    ))
}

fn is_valid(certificate: &Certificate<'_>, now: UnixTime) -> bool {
    certificate.validity(now) == Validity::Valid
}

fn borrowed<'a>(anchor: &'a TrustAnchor<'static>) -> TrustAnchor<'a> {
    TrustAnchor {
        subject: Der::from_slice(&anchor.subject),
        subject_public_key_info: Der::from_slice(&anchor.subject_public_key_info),
        name_constraints: anchor.name_constraints.as_deref().map(Der::from_slice),
    }
}
