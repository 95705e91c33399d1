mod expiry;
mod reload;

use crate::authorities::Authorities;
use crate::expectations::Expectations;
use crate::material::Material;
use crate::observer::TextObserver;
use crate::turns::Turns;
use crate::verifier::{ClientVerifier, KeyVerifier, PeerVerifier};
use crate::x509::Usage;
use crate::{HandshakeReport, Pin, TlsError, TlsOptions, anonymous};
use arc_swap::ArcSwap;
use broker_core::transport::ListenerProtection;
use parking_lot::Mutex;
use reload::{Reload, Stamps, Watch};
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::server::NoServerSessionStorage;
use rustls::{ClientConfig, ServerConfig};
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};

/// The encryption of an endpoint: configurations for each connection, from certificates that can be
/// replaced at any time.
///
/// Clones share the certificates. While a transport uses them, files that change are read again
/// within two seconds ([`Tls::watch_files`]).
#[derive(Clone)]
pub struct Tls(pub(crate) Arc<Shared>);

type Observer = Box<dyn Fn(Result<&[String], &TlsError>) + Send + Sync>;

pub(crate) struct Shared {
    pub(crate) options: TlsOptions,
    expectations: Arc<Expectations>,
    pub(crate) provider: Arc<CryptoProvider>,
    pub(crate) material: ArcSwap<Material>,
    pub(crate) roles: Roles,
    pub(crate) reload: Mutex<Reload>,
    pub(crate) observer: OnceLock<Observer>,
    leniency_observer: TextObserver,
    anonymous_observer: TextObserver,
    pub(crate) watch: Watch,
    turns: Turns,
}

/// What the own certificate has been needed for so far.
#[derive(Default)]
pub(crate) struct Roles {
    listens: AtomicBool,
    dials: AtomicBool,
}

impl Roles {
    pub(crate) fn of(&self, usage: Usage) -> &AtomicBool {
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
        let reload = Mutex::new(Reload::new(stamps));
        Ok(Self(Arc::new(Shared {
            options,
            expectations,
            provider,
            material,
            roles: Roles::default(),
            reload,
            observer: OnceLock::new(),
            leniency_observer: TextObserver::default(),
            anonymous_observer: TextObserver::default(),
            watch: Watch::default(),
            turns: Turns::for_this_machine(),
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

    /// What is odd about the files that are in use, though they can be used: files in the CA
    /// directory that hold no certificate, CAs whose keys are not supported, and what
    /// [`TlsOptions::strict`] would refuse. Each is a sentence that names a file.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        self.0.material.load().warnings()
    }

    /// Lets somebody know, with a sentence that names its certificate, whenever a peer has proven
    /// itself with one that [`TlsOptions::strict`] would refuse. The first observer counts; it must
    /// not block, nor call back.
    pub fn on_leniency(&self, observer: impl Fn(&str) + Send + Sync + 'static) {
        self.0.leniency_observer.set(observer);
    }

    /// Lets somebody know, with a sentence that names it, when a listener turns out to speak
    /// nothing but anonymous TLS. The first observer counts; it must not block, nor call back.
    pub fn on_anonymous_listener(&self, observer: impl Fn(&str) + Send + Sync + 'static) {
        self.0.anonymous_observer.set(observer);
    }

    /// Tells the observer of [`Self::on_anonymous_listener`]; for transports.
    pub fn found_anonymous_listener(&self, sentence: &str) {
        self.0.anonymous_observer.tell(sentence);
    }

    /// What a client wants that has begun with these bytes: whether it is one for
    /// [`anonymous`](crate::anonymous) or for rustls.
    #[must_use]
    pub fn inspect_hello(&self, bytes: &[u8]) -> anonymous::Hello {
        let suites: Vec<_> =
            self.0.provider.cipher_suites.iter().map(|suite| suite.suite()).collect();
        anonymous::inspect(bytes, &suites)
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
    /// It has expired, is not valid yet, or is not meant for servers.
    pub fn check_listening(&self) -> Result<(), TlsError> {
        self.check_own(Usage::Server)
    }

    /// Runs the handshake of an accepted connection from `address` so that what it computes leaves
    /// the processor to others: at most half of the processors compute handshakes at the same time,
    /// for all listeners with this encryption together, and those that wait for it take turns by
    /// address. Time in which the handshake waits for the other side does not count. Cancel safe if
    /// the handshake is.
    pub async fn in_turn<F: Future>(&self, address: IpAddr, handshake: F) -> F::Output {
        self.0.turns.run(address, handshake).await
    }

    fn check_own(&self, usage: Usage) -> Result<(), TlsError> {
        self.0.roles.of(usage).store(true, Relaxed);
        self.0.material.load().check(usage)
    }

    /// The configuration for dialling `host` once, and the report of that one handshake.
    ///
    /// It sends no server name and resumes no session, as acceptors of the C++ Broker fail on
    /// resumption. TLS 1.2 and 1.3 are on. The report belongs to one handshake: do not use the
    /// configuration for a second one.
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
    /// rustls refuses the configuration, which would be a defect of this crate.
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
            strict: self.0.options.strict,
            report: report.clone(),
            leniency_observer: self.0.leniency_observer.clone(),
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
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tls").field(&self.0.options).finish()
    }
}
