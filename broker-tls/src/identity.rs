//! What an endpoint proves about itself.

use crate::errors::USABLE_AS_OWN;
use crate::leniency::Leniency;
use crate::x509::{Certificate, Usage, Validity};
use crate::{CertificateEnd, TlsError, TlsOptions, files, key};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The own certificate with its chain and its key.
pub(crate) struct Identity {
    /// Where the certificate comes from, for messages.
    file: PathBuf,
    chain: Vec<CertificateDer<'static>>,
    /// What is odd about certificate and key, though they can be used.
    pub(crate) warnings: Vec<String>,
    /// Presents the certificate in every handshake, whatever the other side asks for: the C++
    /// Broker names no CAs when it asks.
    pub(crate) resolver: Arc<SingleCertAndKey>,
}

impl Identity {
    /// Reads certificate and key and checks that they belong together.
    pub(crate) fn load(options: &TlsOptions, provider: &CryptoProvider) -> Result<Self, TlsError> {
        let missing = |what, option| {
            TlsError::new(format!(
                "{what} is missing (option {option}): with any of certificate, key, passphrase, \
                 ca-file and ca-dir set, certificate and key and a CA have to be"
            ))
        };
        let file = options.certificate.as_deref();
        let file = file.ok_or_else(|| missing("the certificate", "certificate"))?;
        let key_file = options.key.as_deref();
        let key_file = key_file.ok_or_else(|| missing("the key of the certificate", "key"))?;
        let chain = files::certificates("the certificate", file)?;
        let key::Loaded { key, warning } =
            key::load(key_file, options.passphrase.as_ref(), options.strict)?;
        let mut warnings = Vec::from_iter(warning);
        let leaf = parse_leaf(file, &chain)?;
        if let Some(leniency) = Leniency::of(&leaf) {
            let whose = describe(&leaf, file);
            if options.strict {
                return Err(TlsError::new(leniency.refused(&whose)));
            }
            warnings.push(leniency.used(&whose));
        }
        let key = provider.key_provider.load_private_key(key);
        let key = key.map_err(|error| unusable(file, key_file, &leaf, &error))?;
        if key.public_key().is_some_and(|key| key.as_ref() != leaf.public_key()) {
            return Err(TlsError::new(format!(
                "the key in {} is not that of the certificate \"{}\" in {} (its own certificate \
                 has to come first there)",
                key_file.display(),
                leaf.name(),
                file.display()
            )));
        }
        let resolver = Arc::new(CertifiedKey::new(chain.clone(), key).into());
        Ok(Self { file: file.to_owned(), chain, warnings, resolver })
    }

    /// The certificate as messages call it.
    pub(crate) fn describe(&self) -> String {
        match self.leaf() {
            Some(leaf) => describe(&leaf, &self.file),
            None => format!("the own certificate in {}", self.file.display()),
        }
    }

    /// Whether the certificate can convince anybody now; the error is what is wrong with it.
    pub(crate) fn check(&self, usage: Usage, now: UnixTime) -> Result<(), String> {
        let Some(leaf) = self.leaf() else { return Ok(()) };
        match leaf.validity(now) {
            Validity::Expired => Err(format!(
                "{} expired at {}; put a new one there",
                self.describe(),
                leaf.not_after()
            )),
            Validity::NotYet => Err(format!(
                "{} is not valid before {}, is the clock right?",
                self.describe(),
                leaf.not_before()
            )),
            Validity::Valid if !leaf.allows(usage) => {
                Err(format!("{} is not meant for {usage}; put a new one there", self.describe()))
            }
            Validity::Valid => Ok(()),
        }
    }

    /// When the certificate becomes valid, if that is after `now`.
    pub(crate) fn valid_from(&self, now: UnixTime) -> Option<UnixTime> {
        let leaf = self.leaf().filter(|leaf| leaf.validity(now) == Validity::NotYet)?;
        let seconds = u64::try_from(leaf.not_before().timestamp()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }

    /// When the certificate ends, and those that are presented with it.
    pub(crate) fn ends(&self) -> impl Iterator<Item = CertificateEnd> {
        let parsed = self.chain.iter().filter_map(|der| Certificate::parse(der)).enumerate();
        parsed.map(|(at, certificate)| {
            let whose = match at {
                0 => describe(&certificate, &self.file),
                _ => format!("the CA \"{}\" in {}", certificate.name(), self.file.display()),
            };
            CertificateEnd::new("own", &certificate, whose, "put a new one there")
        })
    }

    /// The pin of the certificate.
    pub(crate) fn pin(&self) -> Option<crate::Pin> {
        crate::x509::pin_of(&self.chain)
    }

    fn leaf(&self) -> Option<Certificate<'_>> {
        self.chain.first().and_then(|der| Certificate::parse(der))
    }
}

/// An own certificate as messages call it.
fn describe(leaf: &Certificate<'_>, file: &Path) -> String {
    format!("the own certificate \"{}\" in {}", leaf.name(), file.display())
}

/// What to say if the key cannot be used.
fn unusable(
    file: &Path,
    key_file: &Path,
    leaf: &Certificate<'_>,
    error: &rustls::Error,
) -> TlsError {
    let (name, file, key_file) = (leaf.name(), file.display(), key_file.display());
    TlsError::new(match (leaf.unusable_key(), error) {
        (Some(kind), _) => format!(
            "the key of the certificate \"{name}\" in {file}, that in {key_file}, is {kind}, \
             which is not supported; {USABLE_AS_OWN} are"
        ),
        (None, rustls::Error::General(reason)) => {
            format!("the key in {key_file} cannot be used: {reason}; {USABLE_AS_OWN} are supported")
        }
        (None, error) => format!("the key in {key_file} cannot be used: {error}"),
    })
}

fn parse_leaf<'a>(
    file: &Path,
    chain: &'a [CertificateDer<'static>],
) -> Result<Certificate<'a>, TlsError> {
    chain.first().and_then(|der| Certificate::parse(der)).ok_or_else(|| {
        TlsError::new(format!("the certificate in {} is not readable", file.display()))
    })
}
