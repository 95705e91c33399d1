//! Who a peer may be, beyond having a certificate of a trusted CA.

use crate::chain::Refusal;
use crate::x509::Certificate;
use crate::{Pin, TlsError, TlsOptions};
use rustls::CertificateError;
use rustls::pki_types::{CertificateDer, ServerName};
use std::sync::Arc;

/// What the options say about the peers.
#[derive(Debug, Default)]
pub(crate) struct Expectations {
    names: Vec<String>,
    pins: Vec<Pin>,
}

impl Expectations {
    pub(crate) fn new(options: &TlsOptions) -> Result<Self, TlsError> {
        let any = options.check_host || !options.names.is_empty() || !options.pins.is_empty();
        if options.self_signed.is_some() && (options.check_host || !options.names.is_empty()) {
            return Err(TlsError::new(
                "the options check-host and names need certificates of a CA: with self-signed only \
                 pins tell peers apart",
            ));
        }
        if any && options.is_anonymous() {
            return Err(TlsError::new(
                "the options check-host, names and pins need certificates: set certificate, key \
                 and ca-file",
            ));
        }
        if let Some(name) = options.names.iter().find(|name| server_name(name).is_none()) {
            let detail = format!("\"{name}\" in the option names is not a host name or IP address");
            return Err(TlsError::new(detail));
        }
        Ok(Self { names: options.names.clone(), pins: options.pins.clone() })
    }

    /// The keys that peers may have; any if there are none.
    pub(crate) fn pins(&self) -> &[Pin] {
        &self.pins
    }

    /// The same with other pins.
    pub(crate) fn with_pins(self: &Arc<Self>, pins: &[Pin]) -> Arc<Self> {
        if self.pins == pins {
            return self.clone();
        }
        Arc::new(Self { names: self.names.clone(), pins: pins.to_vec() })
    }

    /// Checks a certificate that is trusted; `host` is what it has to be valid for besides.
    pub(crate) fn check(
        &self,
        der: &CertificateDer<'_>,
        host: Option<&str>,
    ) -> Result<(), Refusal> {
        let Some(leaf) = Certificate::parse(der) else {
            return Err(Refusal::new(CertificateError::BadEncoding, "it is not readable"));
        };
        let refuse = |error, expected: String| {
            let reason = format!("the certificate \"{}\" is not {expected}", leaf.name());
            Err(Refusal::new(error, reason))
        };
        if host.is_some_and(|host| !is_valid_for(&leaf, der, host)) {
            let host = host.unwrap_or_default();
            return refuse(CertificateError::NotValidForName, format!("valid for {host:?}"));
        }
        if !self.names.is_empty() && !self.names.iter().any(|name| is_valid_for(&leaf, der, name)) {
            let expected = format!("valid for any expected name ({})", self.names.join(", "));
            return refuse(CertificateError::NotValidForName, expected);
        }
        if !self.pins.is_empty() && !self.pins.contains(&leaf.pin()) {
            let expected = format!("pinned, its public key is {}", leaf.pin());
            return refuse(CertificateError::ApplicationVerificationFailure, expected);
        }
        Ok(())
    }
}

/// Alternative names decide where there are any, with wildcards; the common name otherwise.
fn is_valid_for(leaf: &Certificate<'_>, der: &CertificateDer<'_>, name: &str) -> bool {
    if !leaf.has_alternative_names() {
        return leaf.common_name().is_some_and(|common| common.eq_ignore_ascii_case(name));
    }
    let (Ok(leaf), Some(name)) = (webpki::EndEntityCert::try_from(der), server_name(name)) else {
        return false;
    };
    leaf.verify_is_valid_for_subject_name(&name).is_ok()
}

fn server_name(name: &str) -> Option<ServerName<'_>> {
    ServerName::try_from(name).ok()
}
