//! Keys that endpoints make for themselves, in certificates that nobody vouches for.
//!
//! TLS carries keys in certificates. Whoever knows the pin of a key needs nothing else of them.

use crate::{Pin, TlsError, files, key};
use rcgen::{CertificateParams, DnType, KeyPair, SignatureAlgorithm};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

/// A key and the certificate that carries it.
pub(crate) struct SelfSigned {
    pub(crate) certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl SelfSigned {
    /// Makes a new one; `name` is for people who look at the certificate.
    pub(crate) fn generate(
        name: &str,
        algorithm: &'static SignatureAlgorithm,
    ) -> Result<Self, TlsError> {
        let failed = |error: rcgen::Error| {
            TlsError::new(format!("a certificate that signs itself cannot be made: {error}"))
        };
        let key = KeyPair::generate_for(algorithm).map_err(failed)?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.self_signed(&key).map_err(failed)?;
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        Ok(Self { certificate: certificate.der().clone(), key })
    }

    /// Makes one for this process alone, for endpoints without certificates: whoever dials verifies
    /// nothing then, and TLS 1.3 wants some certificate. Its curve is the one that dialling
    /// endpoints of the C++ Broker are limited to.
    pub(crate) fn throwaway() -> Result<Self, TlsError> {
        Self::generate("Broker endpoint without certificate", &rcgen::PKCS_ECDSA_P384_SHA384)
    }

    /// Reads the file, or makes it if it does not exist.
    pub(crate) fn load_or_generate(path: &Path) -> Result<Self, TlsError> {
        if path.try_exists().unwrap_or(true) {
            return Self::load(path);
        }
        let made = Self::generate("Broker endpoint", &rcgen::PKCS_ECDSA_P256_SHA256)?;
        match made.save(path) {
            Ok(()) => Ok(made),
            // Another process was faster.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Self::load(path),
            Err(error) => Err(TlsError::new(format!(
                "the generated key cannot be written to {}: {error}",
                path.display()
            ))),
        }
    }

    fn load(path: &Path) -> Result<Self, TlsError> {
        let mut certificates = files::certificates("the generated certificate", path)?;
        let key = key::load(path, None, false)?.key;
        Ok(Self { certificate: certificates.swap_remove(0), key })
    }

    fn save(&self, path: &Path) -> io::Result<()> {
        let section = |tag: &str, bytes: &[u8]| pem::encode(&pem::Pem::new(tag, bytes));
        let text = section("PRIVATE KEY", self.key.secret_der())
            + &section("CERTIFICATE", &self.certificate);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(path)?.write_all(text.as_bytes())
    }

    /// What peers pin.
    pub(crate) fn pin(&self) -> Option<Pin> {
        crate::x509::pin_of(std::slice::from_ref(&self.certificate))
    }

    /// The certificate for rustls.
    pub(crate) fn resolver(
        &self,
        provider: &CryptoProvider,
    ) -> Result<Arc<SingleCertAndKey>, TlsError> {
        let key = provider.key_provider.load_private_key(self.key.clone_key());
        let key = key.map_err(|error| TlsError::new(error.to_string()))?;
        Ok(Arc::new(CertifiedKey::new(vec![self.certificate.clone()], key).into()))
    }
}
