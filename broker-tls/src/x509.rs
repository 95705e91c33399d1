//! What this crate wants to know about a certificate beyond what rustls looks at.

use crate::{Pin, key, names};
use rustls::pki_types::{CertificateDer, UnixTime};
use std::fmt;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::objects::{oid_registry, oid2sn};
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;
use x509_parser::x509::X509Version;

/// What a certificate is presented for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Usage {
    /// Its owner accepted the connection.
    Server,
    /// Its owner opened the connection.
    Client,
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Server => "accepting connections (TLS servers)",
            Self::Client => "opening connections (TLS clients)",
        })
    }
}

/// Where a moment lies in relation to the validity of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Validity {
    Valid,
    NotYet,
    Expired,
}

/// A parsed certificate.
pub(crate) struct Certificate<'a>(X509Certificate<'a>);

impl<'a> Certificate<'a> {
    /// The certificate in `der`, or `None` if it is not one.
    pub(crate) fn parse(der: &'a [u8]) -> Option<Self> {
        match X509Certificate::from_der(der) {
            Ok(([], certificate)) => Some(Self(certificate)),
            _ => None,
        }
    }

    /// A name for people and for access rules: the subject, or else the first alternative name with
    /// `DNS:` or `URI:` in front of it, or else the key. Different names are never shown alike.
    pub(crate) fn name(&self) -> String {
        let subject = names::distinguished(self.0.subject());
        let name = if subject.is_empty() { self.alternative_name() } else { Some(subject) };
        let key = || format!("key {}", self.pin());
        name.map_or_else(key, |name| names::shortened(name, key))
    }

    fn alternative_name(&self) -> Option<String> {
        self.alternative_names().find_map(|name| match name {
            GeneralName::DNSName(name) => Some(format!("DNS:{}", names::escaped(name))),
            GeneralName::URI(name) => Some(format!("URI:{}", names::escaped(name))),
            _ => None,
        })
    }

    /// The issuer as a name for people.
    pub(crate) fn issuer(&self) -> String {
        let issuer = names::distinguished(self.0.issuer());
        if issuer.is_empty() {
            return "an issuer without a name".to_owned();
        }
        names::shortened(issuer, || "and more".to_owned())
    }

    /// The only common name of the subject.
    pub(crate) fn common_name(&self) -> Option<&str> {
        let mut names = self.0.subject().iter_common_name();
        names.next().filter(|_| names.next().is_none())?.as_str().ok()
    }

    fn alternative_names(&self) -> impl Iterator<Item = &GeneralName<'_>> {
        let extension = self.0.subject_alternative_name().ok().flatten();
        extension.into_iter().flat_map(|extension| &extension.value.general_names)
    }

    pub(crate) fn has_alternative_names(&self) -> bool {
        self.alternative_names().next().is_some()
    }

    /// The public key in DER form.
    pub(crate) fn public_key(&self) -> &[u8] {
        self.0.public_key().raw
    }

    /// What the key is, if it is of a kind that cannot be used here.
    pub(crate) fn unusable_key(&self) -> Option<String> {
        key::unusable_kind(self.0.public_key())
    }

    /// What the signature on this certificate was made with.
    pub(crate) fn signature_algorithm(&self) -> String {
        let algorithm = &self.0.signature_algorithm.algorithm;
        oid2sn(algorithm, oid_registry())
            .map_or_else(|_| algorithm.to_id_string(), ToOwned::to_owned)
    }

    pub(crate) fn pin(&self) -> Pin {
        Pin::of_public_key(self.public_key())
    }

    pub(crate) fn is_version_1(&self) -> bool {
        self.0.version() == X509Version::V1
    }

    /// Whether the certificate says that it is that of a CA.
    pub(crate) fn is_ca(&self) -> bool {
        self.0.is_ca()
    }

    pub(crate) fn is_self_issued(&self) -> bool {
        self.0.issuer().as_raw() == self.0.subject().as_raw()
    }

    /// Whether the subject of `issuer` is the issuer of this certificate, and its key made the
    /// signature. SHA-1 signatures do not count.
    pub(crate) fn is_signed_by(&self, issuer: &Certificate<'_>) -> bool {
        use x509_parser::oid_registry::{OID_PKCS1_SHA1WITHRSA, OID_SHA1_WITH_RSA};
        let algorithm = &self.0.signature_algorithm.algorithm;
        self.names_issuer(issuer)
            && *algorithm != OID_PKCS1_SHA1WITHRSA
            && *algorithm != OID_SHA1_WITH_RSA
            && self.0.verify_signature(Some(issuer.0.public_key())).is_ok()
    }

    /// Whether the subject of `issuer` is the issuer of this certificate.
    pub(crate) fn names_issuer(&self, issuer: &Certificate<'_>) -> bool {
        self.0.issuer().as_raw() == issuer.0.subject().as_raw()
    }

    pub(crate) fn validity(&self, now: UnixTime) -> Validity {
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        if now < self.0.validity().not_before.timestamp() {
            Validity::NotYet
        } else if now > self.0.validity().not_after.timestamp() {
            Validity::Expired
        } else {
            Validity::Valid
        }
    }

    pub(crate) fn not_before(&self) -> &ASN1Time {
        &self.0.validity().not_before
    }

    pub(crate) fn not_after(&self) -> &ASN1Time {
        &self.0.validity().not_after
    }

    /// Whether the key usage extensions, where present, allow TLS in this role.
    pub(crate) fn allows(&self, usage: Usage) -> bool {
        let key_usage = self.0.key_usage().is_ok_and(|extension| {
            extension.is_none_or(|extension| {
                let usage = extension.value;
                usage.digital_signature() || usage.key_encipherment() || usage.key_agreement()
            })
        });
        key_usage && self.extended_usage_allows(usage)
    }

    fn extended_usage_allows(&self, usage: Usage) -> bool {
        self.0.extended_key_usage().is_ok_and(|extension| {
            extension.is_none_or(|extension| {
                let allowed = extension.value;
                allowed.any
                    || match usage {
                        Usage::Server => allowed.server_auth,
                        Usage::Client => allowed.client_auth,
                    }
            })
        })
    }

    /// Whether an extension that must not be ignored is one that nobody here looks at.
    pub(crate) fn has_unknown_critical_extension(&self) -> bool {
        self.0.extensions().iter().filter(|extension| extension.critical).any(|extension| {
            !matches!(
                extension.parsed_extension(),
                ParsedExtension::BasicConstraints(_)
                    | ParsedExtension::KeyUsage(_)
                    | ParsedExtension::ExtendedKeyUsage(_)
                    | ParsedExtension::SubjectAlternativeName(_)
            )
        })
    }
}

/// The pin of the first certificate of a chain, if it is readable.
pub(crate) fn pin_of(chain: &[CertificateDer<'_>]) -> Option<Pin> {
    chain.first().and_then(|der| Certificate::parse(der)).map(|leaf| leaf.pin())
}
