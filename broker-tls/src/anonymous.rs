//! Encryption between endpoints without certificates.
//!
//! Whoever dials verifies nothing, so whoever accepts can present a certificate that it makes up.
//! With that TLS 1.3 does, which the reference speaks as well when it dials.

use crate::TlsError;
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P384_SHA384};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use std::sync::Arc;

/// A certificate that proves nothing and its key, made for this process alone.
pub(crate) struct Throwaway {
    pub(crate) certificate: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Throwaway {
    /// Makes a new one, with the curve that dialling endpoints of the reference are limited to.
    pub(crate) fn generate() -> Result<Self, TlsError> {
        let failed = |error: rcgen::Error| {
            TlsError::new(format!("a certificate for the anonymous mode cannot be made: {error}"))
        };
        let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).map_err(failed)?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Broker endpoint without certificate");
        let certificate = params.self_signed(&key).map_err(failed)?;
        Ok(Self { certificate: certificate.der().clone(), key: key.serialize_der() })
    }

    /// The key in PKCS #8.
    pub(crate) fn key(&self) -> PrivateKeyDer<'_> {
        PrivatePkcs8KeyDer::from(self.key.as_slice()).into()
    }

    /// The certificate for rustls.
    pub(crate) fn resolver(
        &self,
        provider: &CryptoProvider,
    ) -> Result<Arc<SingleCertAndKey>, TlsError> {
        let key = provider.key_provider.load_private_key(self.key().clone_key());
        let key = key.map_err(|error| TlsError::new(error.to_string()))?;
        Ok(Arc::new(CertifiedKey::new(vec![self.certificate.clone()], key).into()))
    }
}
