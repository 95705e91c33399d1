use crate::authorities::Authorities;
use crate::expectations::Expectations;
use crate::material::Material;
use crate::reload::Stamps;
use crate::verifier::{ClientVerifier, KeyVerifier, PeerVerifier};
use crate::x509::Usage;
use crate::{HandshakeReport, Pin, TlsError, TlsOptions};
use arc_swap::ArcSwap;
use broker_core::transport::ListenerProtection;
use parking_lot::Mutex;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::UnixTime;
use rustls::server::NoServerSessionStorage;
use rustls::{ClientConfig, ServerConfig};
use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};

/// The encryption of an endpoint: configurations for each connection, from certificates that can be
/// replaced at any time.
///
/// Clones share the certificates.
#[derive(Clone)]
pub struct Tls(Arc<Shared>);

type Observer = Box<dyn Fn(Result<&[String], &TlsError>) + Send + Sync>;

struct Shared {
    options: TlsOptions,
    expectations: Arc<Expectations>,
    provider: Arc<CryptoProvider>,
    material: ArcSwap<Material>,
    roles: Roles,
    reload: Mutex<Reload>,
    observer: OnceLock<Observer>,
}

/// What has been read last, and what became of it.
struct Reload {
    stamps: Stamps,
    error: Option<TlsError>,
    /// When certificates that were not valid yet become so, to be looked at again.
    valid_from: Option<UnixTime>,
}

/// What the own certificate has been needed for so far.
#[derive(Default)]
struct Roles {
    listens: AtomicBool,
    dials: AtomicBool,
}

impl Roles {
    fn of(&self, usage: Usage) -> &AtomicBool {
        match usage {
            Usage::Server => &self.listens,
            Usage::Client => &self.dials,
        }
    }
}

impl Tls {
    /// Reads the files that `options` name. Blocks while it does.
    ///
    /// # Errors
    ///
    /// Options that belong together are incomplete, a file is not readable or not what it should
    /// be, the passphrase is wrong or missing, or the key is not that of the certificate.
    pub fn new(options: TlsOptions) -> Result<Self, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let expectations = Arc::new(Expectations::new(&options)?);
        let stamps = Stamps::of(&options);
        let material = ArcSwap::from_pointee(Material::load(&options, &provider)?);
        let reload = Mutex::new(Reload { stamps, error: None, valid_from: None });
        let observer = OnceLock::new();
        let roles = Roles::default();
        Ok(Self(Arc::new(Shared {
            options,
            expectations,
            provider,
            material,
            roles,
            reload,
            observer,
        })))
    }

    /// Whether links are encrypted without anybody proving who they are.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        self.0.options.is_anonymous()
    }

    /// Whether the sides of a link know each other by pins alone.
    #[must_use]
    pub fn is_self_signed(&self) -> bool {
        self.0.options.self_signed.is_some()
    }

    /// Reads the files again. Connections made from now on use what they hold; those that exist are
    /// not touched. Blocks while it reads.
    ///
    /// # Errors
    ///
    /// As for [`Self::new`]; or the own certificate is not valid now, or not meant for what it has
    /// been needed for so far. What has been read before stays in use.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.read_again(&mut self.0.reload.lock())
    }

    /// Reads the files again if one of them has changed since they were last read, successfully or
    /// not. Blocks while it looks.
    ///
    /// # Errors
    ///
    /// As for [`Self::reload`], once for each change.
    pub fn reload_if_changed(&self) -> Result<(), TlsError> {
        let mut reload = self.0.reload.lock();
        let waits = reload.valid_from.is_none_or(|from| UnixTime::now() < from);
        if waits && Stamps::of(&self.0.options) == reload.stamps {
            return Ok(());
        }
        self.read_again(&mut reload)
    }

    /// Why the files could not be read the last time, if they could not: what is in use is older.
    #[must_use]
    pub fn reload_error(&self) -> Option<TlsError> {
        self.0.reload.lock().error.clone()
    }

    /// Lets somebody know what became of it whenever the files have been read again: a failure
    /// would go unnoticed until the certificates in use expire. A success comes with what
    /// [`Self::warnings`] gives from then on. The first observer counts; it must not call back.
    pub fn on_reload(
        &self,
        observer: impl Fn(Result<&[String], &TlsError>) + Send + Sync + 'static,
    ) {
        // A second one has been told that it does not count.
        let _ = self.0.observer.set(Box::new(observer));
    }

    fn read_again(&self, reload: &mut Reload) -> Result<(), TlsError> {
        if self.0.options.is_anonymous() {
            return Ok(());
        }
        reload.stamps = Stamps::of(&self.0.options);
        reload.valid_from = None;
        let read = Material::load(&self.0.options, &self.0.provider).and_then(|material| {
            if let Err(error) = self.check_new(&material) {
                reload.valid_from = material.valid_from(UnixTime::now());
                return Err(error);
            }
            self.0.material.store(Arc::new(material));
            Ok(())
        });
        if let Some(observer) = self.0.observer.get() {
            let warnings = self.warnings();
            observer(read.as_ref().map(|()| warnings.as_slice()));
        }
        reload.error = read.as_ref().err().cloned();
        read
    }

    /// Whether certificates can take the place of those in use.
    fn check_new(&self, material: &Material) -> Result<(), TlsError> {
        let needed = |usage: &Usage| self.0.roles.of(*usage).load(Relaxed);
        let usages = [Usage::Server, Usage::Client];
        usages.into_iter().filter(needed).try_for_each(|usage| material.check(usage))
    }

    /// What is odd about the files that are in use, though they can be used: each is a sentence
    /// that names a file.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        self.0.material.load().warnings().to_vec()
    }

    /// The pin of the own certificate: what others may pin to know this endpoint. In the anonymous
    /// mode it is that of a key which lives as long as this process.
    #[must_use]
    pub fn own_pin(&self) -> Option<Pin> {
        self.0.material.load().own_pin()
    }

    /// What protects the links that an endpoint accepts with this encryption.
    #[must_use]
    pub fn listener_protection(&self) -> ListenerProtection {
        let options = &self.0.options;
        if options.has_certificates() {
            ListenerProtection::Authenticated("certificates")
        } else if self.is_self_signed() && !options.pins.is_empty() {
            ListenerProtection::Authenticated("pinned keys")
        } else {
            ListenerProtection::Encrypted
        }
    }

    /// Whether the own certificate can convince those who dial; the anonymous mode needs none.
    ///
    /// # Errors
    ///
    /// It has expired, is not valid yet, or is not meant for this.
    pub fn check_listening(&self) -> Result<(), TlsError> {
        self.check_own(Usage::Server)
    }

    fn check_own(&self, usage: Usage) -> Result<(), TlsError> {
        self.0.roles.of(usage).store(true, Relaxed);
        self.0.material.load().check(usage)
    }

    /// The configuration for dialling `host` once, and the report of that one handshake.
    ///
    /// It sends no server name and resumes no session, as acceptors of the C++ Broker cannot stand
    /// resumption; versions 1.2 and 1.3 are on.
    ///
    /// # Errors
    ///
    /// The own certificate has expired, is not valid yet, or is not meant for dialling.
    pub fn rustls_client(&self, host: &str) -> Result<(ClientConfig, HandshakeReport), TlsError> {
        self.rustls_client_pinned(host, &[])
    }

    /// As [`Self::rustls_client`], but if there are `pins`, the key of the other side has to be one
    /// of them, instead of one of those in the options. Without certificates of a CA nothing else
    /// is asked of it.
    ///
    /// # Errors
    ///
    /// As for [`Self::rustls_client`]; or the own certificate signs itself, and no key is pinned.
    pub fn rustls_client_pinned(
        &self,
        host: &str,
        pins: &[Pin],
    ) -> Result<(ClientConfig, HandshakeReport), TlsError> {
        self.check_own(Usage::Client)?;
        let material = self.0.material.load();
        let report = material.report();
        let pins = if pins.is_empty() { self.0.expectations.pins() } else { pins };
        let builder = ClientConfig::builder_with_provider(self.0.provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::new(error.to_string()))?
            .dangerous();
        let mut config = match &**material {
            Material::Certificates { identity, authorities } => {
                let host = self.0.options.check_host.then(|| host.to_owned());
                let expectations = self.0.expectations.with_pins(pins);
                let verifier = self.verifier(authorities, expectations, host, &report);
                builder
                    .with_custom_certificate_verifier(Arc::new(verifier))
                    .with_client_cert_resolver(identity.resolver.clone())
            }
            Material::SelfSigned { .. } if pins.is_empty() => {
                return Err(TlsError::new(
                    "no key is pinned, so the other side could be anybody: with self-signed the \
                     option pins, or the URL, has to say which key the other side has",
                ));
            }
            Material::SelfSigned { resolver, .. } => builder
                .with_custom_certificate_verifier(Arc::new(self.key_verifier(pins, &report)))
                .with_client_cert_resolver(resolver.clone()),
            Material::Anonymous { .. } => builder
                .with_custom_certificate_verifier(Arc::new(self.key_verifier(pins, &report)))
                .with_no_client_auth(),
        };
        config.enable_sni = false;
        config.resumption = Resumption::disabled();
        Ok((config, report))
    }

    /// The configuration for accepting one connection, and the report of its handshake.
    ///
    /// # Errors
    ///
    /// None that the caller could do something about.
    pub fn rustls_server(&self) -> Result<(ServerConfig, HandshakeReport), TlsError> {
        self.server(true)
    }

    /// Like [`Self::rustls_server`], for services whose clients need not have certificates, as
    /// browsers have none: the own one is presented, and a client that presents one has to present
    /// a good one.
    ///
    /// # Errors
    ///
    /// As for [`Self::rustls_server`].
    pub fn rustls_server_for_anyone(&self) -> Result<(ServerConfig, HandshakeReport), TlsError> {
        self.server(false)
    }

    fn server(&self, mandatory: bool) -> Result<(ServerConfig, HandshakeReport), TlsError> {
        let material = self.0.material.load();
        let report = material.report();
        let builder = ServerConfig::builder_with_provider(self.0.provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsError::new(error.to_string()))?;
        let mut config = match &**material {
            Material::Certificates { identity, authorities } => {
                let expectations = self.0.expectations.clone();
                let verifier = self.verifier(authorities, expectations, None, &report);
                builder
                    .with_client_cert_verifier(Arc::new(ClientVerifier { verifier, mandatory }))
                    .with_cert_resolver(identity.resolver.clone())
            }
            Material::SelfSigned { resolver, .. } => {
                let verifier = self.key_verifier(self.0.expectations.pins(), &report);
                builder
                    .with_client_cert_verifier(Arc::new(ClientVerifier { verifier, mandatory }))
                    .with_cert_resolver(resolver.clone())
            }
            Material::Anonymous { resolver, .. } => {
                builder.with_no_client_auth().with_cert_resolver(resolver.clone())
            }
        };
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok((config, report))
    }

    fn verifier(
        &self,
        authorities: &Arc<Authorities>,
        expectations: Arc<Expectations>,
        host: Option<String>,
        report: &HandshakeReport,
    ) -> PeerVerifier {
        PeerVerifier {
            authorities: authorities.clone(),
            expectations,
            host,
            report: report.clone(),
            algorithms: self.0.provider.signature_verification_algorithms,
        }
    }

    fn key_verifier(&self, pins: &[Pin], report: &HandshakeReport) -> KeyVerifier {
        KeyVerifier {
            pins: pins.to_vec(),
            report: report.clone(),
            algorithms: self.0.provider.signature_verification_algorithms,
        }
    }

    /// In the anonymous mode, the session of OpenSSL for dialling once; `None` otherwise.
    ///
    /// # Errors
    ///
    /// OpenSSL has no memory left.
    #[cfg(feature = "anon-tls")]
    pub fn openssl_client(&self) -> Option<Result<(openssl::ssl::Ssl, HandshakeReport), TlsError>> {
        self.openssl(crate::anonymous_openssl::Contexts::client)
    }

    /// In the anonymous mode, the session of OpenSSL for accepting one connection; `None`
    /// otherwise.
    ///
    /// # Errors
    ///
    /// OpenSSL has no memory left.
    #[cfg(feature = "anon-tls")]
    pub fn openssl_server(&self) -> Option<Result<(openssl::ssl::Ssl, HandshakeReport), TlsError>> {
        self.openssl(crate::anonymous_openssl::Contexts::server)
    }

    #[cfg(feature = "anon-tls")]
    fn openssl(
        &self,
        session: impl Fn(&crate::anonymous_openssl::Contexts) -> Result<openssl::ssl::Ssl, TlsError>,
    ) -> Option<Result<(openssl::ssl::Ssl, HandshakeReport), TlsError>> {
        match &**self.0.material.load() {
            Material::Anonymous { openssl, .. } => {
                Some(session(openssl).map(|ssl| (ssl, HandshakeReport::new(None))))
            }
            Material::Certificates { .. } | Material::SelfSigned { .. } => None,
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tls").field(&self.0.options).finish()
    }
}
