//! Certificates for tests, made when they run.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

mod version1;

use broker_tls::TlsOptions;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A CA that issues certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
}

/// A certificate (with its chain) and its key, both in PEM.
#[derive(Clone)]
pub struct Issued {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        Self::with(name, |_| {})
    }

    /// A CA whose certificate has been changed by `adapt`.
    pub fn with(name: &str, adapt: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = ca_params(name);
        adapt(&mut params);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A CA below this one; its certificate is in the chain of those that it issues.
    pub fn intermediate(&self, name: &str) -> Self {
        self.intermediate_with(name, |_| {})
    }

    /// The same as version 1 of X.509; `issuer` is the CA above this one.
    pub fn downgraded(self, issuer: &Self) -> Self {
        let der = pem::parse(&self.pem).unwrap();
        let der = version1::downgrade(der.contents(), issuer.issuer.key());
        Self { pem: pem::encode(&pem::Pem::new("CERTIFICATE", der)), ..self }
    }

    /// A CA below this one whose certificate has been changed by `adapt`.
    pub fn intermediate_with(
        &self,
        name: &str,
        adapt: impl FnOnce(&mut CertificateParams),
    ) -> Self {
        let (mut params, key) = (ca_params(name), KeyPair::generate().unwrap());
        adapt(&mut params);
        let pem = params.signed_by(&key, &self.issuer).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate for `name` that serves both sides of a connection.
    pub fn issue(&self, name: &str) -> Issued {
        self.issue_with(name, |_| {})
    }

    /// A certificate for this key, in PEM.
    pub fn issue_for(&self, name: &str, key: &str) -> Issued {
        let pair = KeyPair::from_pem(key).unwrap();
        let certificate = params(name).signed_by(&pair, &self.issuer).unwrap().pem();
        Issued { certificate, key: key.to_owned() }
    }

    /// A certificate that has been changed by `adapt`.
    pub fn issue_with(&self, name: &str, adapt: impl FnOnce(&mut CertificateParams)) -> Issued {
        let mut params = params(name);
        adapt(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        Issued { certificate, key: key.serialize_pem() }
    }

    /// A certificate of X.509 version 1, which has no extensions.
    pub fn issue_version_1(&self, name: &str) -> Issued {
        let key = KeyPair::generate().unwrap();
        let certificate = params(name).signed_by(&key, &self.issuer).unwrap();
        let der = version1::downgrade(certificate.der(), self.issuer.key());
        let certificate = pem::encode(&pem::Pem::new("CERTIFICATE", der));
        Issued { certificate, key: key.serialize_pem() }
    }

    /// The certificate and the key of this CA itself.
    pub fn as_endpoint(&self) -> Issued {
        Issued { certificate: self.pem.clone(), key: self.issuer.key().serialize_pem() }
    }
}

impl Issued {
    /// A certificate that signs itself and is not that of a CA.
    pub fn self_signed(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = params(name).self_signed(&key).unwrap().pem();
        Self { certificate, key: key.serialize_pem() }
    }

    /// The certificate followed by that of the CA which issued it.
    pub fn with_chain(&self, issuer: &Authority) -> Self {
        Self { certificate: self.certificate.clone() + &issuer.pem, key: self.key.clone() }
    }
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params
}

fn ca_params(name: &str) -> CertificateParams {
    let mut params = params(name);
    params.extended_key_usages.clear();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

/// Makes a certificate that expired in 2001.
pub fn expired(params: &mut CertificateParams) {
    params.not_before = rcgen::date_time_ymd(2000, 1, 1);
    params.not_after = rcgen::date_time_ymd(2001, 1, 1);
}

/// Makes a certificate that is not valid before the year 3000.
pub fn not_yet_valid(params: &mut CertificateParams) {
    params.not_before = rcgen::date_time_ymd(3000, 1, 1);
    params.not_after = rcgen::date_time_ymd(3001, 1, 1);
}

/// Files in a directory of their own.
pub struct Files(TempDir);

impl Files {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Options of an endpoint that presents `issued` and trusts the CAs in `ca`.
    pub fn options(&self, name: &str, issued: &Issued, ca: &str) -> TlsOptions {
        TlsOptions {
            certificate: Some(self.write(&format!("{name}.pem"), &issued.certificate)),
            key: Some(self.write(&format!("{name}.key"), &issued.key)),
            ca_file: Some(self.write(&format!("{name}.ca.pem"), ca)),
            ..TlsOptions::default()
        }
    }
}
