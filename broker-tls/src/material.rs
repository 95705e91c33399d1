use crate::authorities::Authorities;
use crate::errors::OWN_KEY;
use crate::identity::Identity;
use crate::self_signed::SelfSigned;
use crate::x509::Usage;
use crate::{CertificateEnd, HandshakeReport, Pin, TlsError, TlsOptions};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::UnixTime;
use rustls::sign::SingleCertAndKey;
use std::sync::Arc;

/// What configurations are made of.
pub(crate) enum Material {
    Certificates { identity: Identity, authorities: Arc<Authorities> },
    SelfSigned { resolver: Arc<SingleCertAndKey>, pin: Option<Pin> },
    Anonymous { resolver: Arc<SingleCertAndKey>, pin: Option<Pin> },
}

impl Material {
    pub(crate) fn load(options: &TlsOptions, provider: &CryptoProvider) -> Result<Self, TlsError> {
        if let Some(file) = &options.self_signed {
            if options.has_certificates() {
                return Err(TlsError::new(
                    "self-signed is for endpoints without certificates of a CA: set either it, or \
                     certificate, key and a CA",
                ));
            }
            let own = SelfSigned::load_or_generate(file)?;
            return Ok(Self::SelfSigned { resolver: own.resolver(provider)?, pin: own.pin() });
        }
        if options.is_anonymous() {
            let throwaway = SelfSigned::throwaway()?;
            return Ok(Self::Anonymous {
                resolver: throwaway.resolver(provider)?,
                pin: throwaway.pin(),
            });
        }
        let identity = Identity::load(options, provider)?;
        let authorities = Arc::new(Authorities::load(options)?);
        Ok(Self::Certificates { identity, authorities })
    }

    pub(crate) fn report(&self) -> HandshakeReport {
        HandshakeReport::new(match self {
            Self::Certificates { identity, .. } => Some(identity.describe()),
            Self::SelfSigned { pin, .. } => {
                Some(pin.map_or_else(|| OWN_KEY.to_owned(), |pin| format!("{OWN_KEY} {pin}")))
            }
            Self::Anonymous { .. } => None,
        })
    }

    /// Whether the own certificate can convince anybody now.
    pub(crate) fn check(&self, usage: Usage) -> Result<(), TlsError> {
        match self {
            Self::Certificates { identity, .. } => {
                identity.check(usage, UnixTime::now()).map_err(TlsError::new)
            }
            Self::SelfSigned { .. } | Self::Anonymous { .. } => Ok(()),
        }
    }

    /// When the own certificate becomes valid, if that is after `now`.
    pub(crate) fn valid_from(&self, now: UnixTime) -> Option<UnixTime> {
        match self {
            Self::Certificates { identity, .. } => identity.valid_from(now),
            Self::SelfSigned { .. } | Self::Anonymous { .. } => None,
        }
    }

    /// What is odd about the files, though they can be used.
    pub(crate) fn warnings(&self) -> Vec<String> {
        match self {
            Self::Certificates { identity, authorities } => {
                [&identity.warnings, authorities.warnings()].concat()
            }
            Self::SelfSigned { .. } | Self::Anonymous { .. } => Vec::new(),
        }
    }

    pub(crate) fn ends(&self) -> Vec<CertificateEnd> {
        match self {
            Self::Certificates { identity, authorities } => {
                identity.ends().chain(authorities.ends()).collect()
            }
            Self::SelfSigned { .. } | Self::Anonymous { .. } => Vec::new(),
        }
    }

    pub(crate) fn own_pin(&self) -> Option<Pin> {
        match self {
            Self::Certificates { identity, .. } => identity.pin(),
            Self::SelfSigned { pin, .. } | Self::Anonymous { pin, .. } => *pin,
        }
    }
}
