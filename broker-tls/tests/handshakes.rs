//! Which peers are accepted, and what both sides are told when one is not.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod memory;
mod pki;

use broker_core::transport::Protection;
use broker_tls::TlsOptions;
use memory::setting::{Setting, assert_refused, authenticated, from};
use memory::{handshake, run, tls};
use pki::{Authority, Files, Issued, expired, not_yet_valid};
use rcgen::ExtendedKeyUsagePurpose;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, ServerConfig, SignatureScheme,
    SupportedProtocolVersion,
};
use std::sync::Arc;

#[test]
fn certificates_of_one_ca_authenticate_both_sides() {
    let setting = Setting::new();
    let other = setting.endpoint(&setting.ca.issue("other"));
    let outcomes = handshake(&other, &setting.good);
    assert_eq!(outcomes, (authenticated("CN=good"), authenticated("CN=other")));
}

#[test]
fn tls_1_2_and_1_3_are_spoken_with_diallers_and_with_acceptors() {
    let setting = Setting::new();
    for version in [&TLS12, &TLS13] {
        let (client, report) = setting.good.rustls_client("host").unwrap();
        let server = setting.good.rustls_server().unwrap();
        let outcomes = run((dialling_only(client, version), report), server);
        assert_eq!(outcomes.1, authenticated("CN=good"));

        let (server, report) = setting.good.rustls_server().unwrap();
        let client = setting.good.rustls_client("host").unwrap();
        let outcomes = run(client, (accepting_only(server, version), report));
        assert_eq!(outcomes.0, authenticated("CN=good"));
    }
}

/// A dialler with the same certificate that speaks one version and accepts everybody.
fn dialling_only(config: ClientConfig, version: &'static SupportedProtocolVersion) -> ClientConfig {
    ClientConfig::builder_with_provider(config.crypto_provider().clone())
        .with_protocol_versions(&[version])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_client_cert_resolver(config.client_auth_cert_resolver.clone())
}

/// An acceptor with the same certificate that speaks one version and accepts everybody.
fn accepting_only(
    config: ServerConfig,
    version: &'static SupportedProtocolVersion,
) -> ServerConfig {
    ServerConfig::builder_with_provider(config.crypto_provider().clone())
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(config.cert_resolver.clone())
}

#[test]
fn intermediate_certificates_are_presented_and_followed() {
    let setting = Setting::new();
    let below = setting.ca.intermediate("below");
    let other = setting.endpoint(&below.issue("other").with_chain(&below));
    assert_eq!(handshake(&other, &setting.good).1, authenticated("CN=other"));
    assert_eq!(handshake(&setting.good, &other).0, authenticated("CN=other"));

    // One that OpenSSL presents down to its CA, which is not known here.
    let another = Authority::new("another CA");
    let stranger = setting.endpoint(&another.issue_version_1("stranger").with_chain(&another));
    let (_, acceptor) = handshake(&stranger, &setting.good);
    let error = acceptor.unwrap_err();
    assert!(error.contains("issued by \"CN=another CA\", which is not among"), "{error}");

    let lost = setting.endpoint(&below.issue("lost"));
    assert_refused(
        handshake(&lost, &setting.good),
        "does not trust the own certificate \"CN=lost\"",
        "was issued by \"CN=below\", which is not among the configured CAs",
    );
}

#[test]
fn a_certificate_of_another_ca_is_refused() {
    let setting = Setting::new();
    let other = setting.endpoint(&Authority::new("another CA").issue("other"));
    let own = "does not trust the own certificate \"CN=other\"";
    let theirs = "issued by \"CN=another CA\", which is not among the configured CAs";
    assert_refused(handshake(&other, &setting.good), own, theirs);
    assert_refused(handshake(&setting.good, &other), theirs, own);
}

#[test]
fn a_ca_of_the_same_name_is_another_ca() {
    let setting = Setting::new();
    for issued in
        [Authority::new("the CA").issue("other"), Authority::new("the CA").issue_version_1("other")]
    {
        let (_, acceptor) = handshake(&setting.endpoint(&issued), &setting.good);
        acceptor.unwrap_err();
    }
}

#[test]
fn certificates_out_of_their_time_are_refused_with_the_time() {
    let setting = Setting::new();
    let accepting = |issued: &Issued| handshake(&setting.good, &setting.endpoint(issued));
    assert_refused(
        accepting(&setting.ca.issue_with("other", expired)),
        "the certificate \"CN=other\" expired at Jan  1 00:00:00 2001",
        "the other side finds the own certificate \"CN=other\"",
    );
    assert_refused(
        accepting(&setting.ca.issue_with("other", not_yet_valid)),
        "the certificate \"CN=other\" is not valid before Jan  1 00:00:00 3000",
        "not valid yet",
    );
}

#[test]
fn an_own_certificate_that_convinces_nobody_is_reported_before_it_is_used() {
    let setting = Setting::new();
    for (issued, reason) in [
        (setting.ca.issue_with("other", expired), "expired at"),
        (setting.ca.issue_with("other", not_yet_valid), "is not valid before"),
        (setting.ca.issue_with("other", for_signing_code), "is not meant for"),
    ] {
        let other = setting.endpoint(&issued);
        let dialling = other.rustls_client("host").unwrap_err().to_string();
        assert!(dialling.contains(reason), "{dialling}");
        let listening = other.check_listening().unwrap_err().to_string();
        assert!(listening.contains(reason), "{listening}");
    }
}

fn for_signing_code(params: &mut rcgen::CertificateParams) {
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
}

#[test]
fn an_expired_ca_is_trusted_no_longer() {
    let files = Files::new();
    let ca = Authority::with("the CA", expired);
    let node = ca.issue("node");
    let node = tls(files.options("node", &node, &ca.pem));
    let (dialler, _) = handshake(&node, &node);
    let error = dialler.unwrap_err();
    assert!(error.contains("the CA certificate \"CN=the CA\" expired at"), "{error}");
}

#[test]
fn certificates_for_another_purpose_are_refused() {
    let setting = Setting::new();
    let for_servers = |params: &mut rcgen::CertificateParams| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    };
    let other = setting.endpoint(&setting.ca.issue_with("other", for_servers));
    assert_eq!(handshake(&setting.good, &other).0, authenticated("CN=other"));
    let error = other.rustls_client("host").unwrap_err().to_string();
    assert!(error.contains("is not meant for opening connections"), "{error}");

    let other = setting.endpoint(&setting.ca.issue_with("other", for_signing_code));
    assert_refused(
        handshake(&setting.good, &other),
        "the certificate \"CN=other\" is not meant for accepting connections",
        "not to be meant for this purpose",
    );
}

#[test]
fn version_1_certificates_are_accepted_if_a_configured_ca_issued_them() {
    let setting = Setting::new();
    let other = setting.endpoint(&setting.ca.issue_version_1("other"));
    let outcomes = handshake(&other, &setting.good);
    assert_eq!(outcomes, (authenticated("CN=good"), authenticated("CN=other")));
    let outcomes = handshake(&setting.good, &other);
    assert_eq!(outcomes, (authenticated("CN=other"), authenticated("CN=good")));
    for version in [&TLS12, &TLS13] {
        let (client, report) = other.rustls_client("host").unwrap();
        let server = setting.good.rustls_server().unwrap();
        let outcomes = run((dialling_only(client, version), report), server);
        assert_eq!(outcomes.1, authenticated("CN=other"));

        let (server, report) = other.rustls_server().unwrap();
        let client = setting.good.rustls_client("host").unwrap();
        let outcomes = run(client, (accepting_only(server, version), report));
        assert_eq!(outcomes.0, authenticated("CN=other"));
    }
}

#[test]
fn version_1_certificates_below_an_intermediate_are_refused_with_the_cure() {
    let files = Files::new();
    let ca = Authority::new("the CA");
    let below = ca.intermediate("below");
    // The intermediate is no trusted CA here, but its name is known from a trusted certificate.
    let good = tls(files.options("good", &ca.issue("good"), &(ca.pem.clone() + &below.pem)));
    let other = files.options("other", &below.issue_version_1("other").with_chain(&below), &ca.pem);
    assert_eq!(handshake(&tls(other.clone()), &good).1, authenticated("CN=other"));

    let strict = tls(files.options("strict", &ca.issue("strict"), &ca.pem));
    let (_, acceptor) = handshake(&tls(other), &strict);
    let error = acceptor.unwrap_err();
    assert!(error.contains("\"CN=other\" is of X.509 version 1"), "{error}");
    assert!(error.contains("issue it again as version 3"), "{error}");
}

#[test]
fn a_self_signed_certificate_is_trusted_by_those_who_have_it_configured() {
    for issued in [Authority::new("self").as_endpoint(), Issued::self_signed("self")] {
        let files = Files::new();
        let node = tls(files.options("node", &issued, &issued.certificate));
        let outcomes = handshake(&node, &node);
        assert_eq!(outcomes, (authenticated("CN=self"), authenticated("CN=self")));

        let setting = Setting::new();
        let (_, acceptor) = handshake(&setting.endpoint(&issued), &setting.good);
        let error = acceptor.unwrap_err();
        assert!(error.contains("signs itself and is not among the configured CAs"), "{error}");
    }
}

#[test]
fn a_configured_certificate_that_is_no_ca_vouches_for_nobody_else() {
    let files = Files::new();
    let endpoint = Authority::with("endpoint", |params| params.is_ca = rcgen::IsCa::NoCa);
    let other = tls(files.options("other", &endpoint.issue("other"), &endpoint.pem));
    handshake(&other, &other).0.unwrap_err();
}

#[test]
fn a_ca_certificate_below_an_intermediate_is_refused_with_the_cure() {
    let setting = Setting::new();
    let below = setting.ca.intermediate("below");
    let further = below.intermediate("further").as_endpoint();
    let other = setting.endpoint(&further.with_chain(&below));
    let (_, acceptor) = handshake(&other, &setting.good);
    let error = acceptor.unwrap_err();
    assert!(error.contains("\"CN=further\" is that of a CA"), "{error}");
    assert!(error.contains("issue one for the endpoint"), "{error}");
}

/// Options of an endpoint with a certificate below a CA whose key is not supported.
fn below_unsupported() -> TlsOptions {
    let file = |name: &str| Some([env!("CARGO_MANIFEST_DIR"), "tests/keys", name].iter().collect());
    TlsOptions {
        certificate: file("below-p521.pem"),
        key: file("below-p521.pem"),
        ca_file: file("unsupported-p521.pem"),
        ..TlsOptions::default()
    }
}

#[test]
fn a_ca_whose_key_is_not_supported_is_named() {
    let node = tls(below_unsupported());
    let error = handshake(&node, &node).0.unwrap_err();
    assert!(
        error.contains("the key of the CA certificate \"CN=p521\" is ECDSA with P-521"),
        "{error}"
    );
    assert!(error.contains("P-256 or P-384, and Ed25519 are"), "{error}");
}

#[test]
fn flaws_of_a_chain_are_told_in_words_and_not_blamed_on_keys() {
    let setting = Setting::new();
    let critical = |params: &mut rcgen::CertificateParams| {
        let mut extension =
            rcgen::CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![0x05, 0x00]);
        extension.set_criticality(true);
        params.custom_extensions.push(extension);
    };
    let no_ca = setting.ca.intermediate_with("no CA", |params| params.is_ca = rcgen::IsCa::NoCa);
    for (issued, reason) in [
        (setting.ca.issue_with("other", critical), "an extension that is critical"),
        (no_ca.issue("other").with_chain(&no_ca), "with a certificate that is not that of a CA"),
    ] {
        let error = handshake(&setting.endpoint(&issued), &setting.good).1.unwrap_err();
        assert!(error.contains(reason), "{error}");
        assert!(!error.contains("P-256"), "{error}");
    }
}

#[test]
fn an_intermediate_of_version_1_is_told_from_the_certificate_below_it() {
    let setting = Setting::new();
    let old = setting.ca.intermediate("old").downgraded(&setting.ca);
    let other = setting.endpoint(&old.issue("other").with_chain(&old));
    let error = handshake(&other, &setting.good).1.unwrap_err();
    assert!(error.contains("\"CN=old\" of X.509 version 1"), "{error}");
}

#[test]
fn endpoints_without_certificates_encrypt_and_know_nobody() {
    let anonymous = tls(TlsOptions::default());
    let outcomes = handshake(&anonymous, &anonymous);
    assert_eq!(outcomes, (Ok(Protection::Encrypted), Ok(Protection::Encrypted)));
}

#[test]
fn endpoints_with_and_without_certificates_do_not_talk() {
    let setting = Setting::new();
    let anonymous = tls(TlsOptions::default());
    let acceptor = handshake(&anonymous, &setting.good).1.unwrap_err();
    assert!(acceptor.contains("one whose key is not supported here"), "{acceptor}");
    assert_refused(
        handshake(&anonymous, &setting.good),
        "demands a certificate, and none is configured here",
        "presented no certificate, and here certificates are configured",
    );
    assert_refused(
        handshake(&setting.good, &anonymous),
        "signs itself and is not among the configured CAs",
        "demands a certificate, and none is configured here",
    );
}

#[test]
fn cas_are_read_from_a_directory_whatever_its_files_are_called() {
    let setting = Setting::new();
    let directory = setting.files.path().join("cas");
    std::fs::create_dir(&directory).unwrap();
    let another = Authority::new("another");
    std::fs::write(directory.join("README"), "for people").unwrap();
    std::fs::write(directory.join("1.pem"), &another.pem).unwrap();
    std::fs::write(directory.join("2bc0ffee.0"), &setting.ca.pem).unwrap();
    for (ca, peer) in [(&setting.ca, &setting.good), (&another, &from(&setting.files, &another))] {
        let options = setting.files.options("node", &ca.issue("node"), "");
        let ca_dir = Some(directory.clone());
        let node = tls(TlsOptions { ca_file: None, ca_dir, ..options });
        assert_eq!(handshake(&node, peer), (authenticated("CN=good"), authenticated("CN=node")));
    }
}

#[test]
fn what_is_in_a_name_cannot_pass_for_another_name() {
    let setting = Setting::new();
    for (name, shown) in [
        ("a\nb\u{1b}[31m", "CN=a\\0Ab\\1B[31m"),
        ("x, CN=root", "CN=x\\, CN=root"),
        ("\u{202e}toor", "CN=\\E2\\80\\AEtoor"),
    ] {
        let other = setting.endpoint(&setting.ca.issue(name));
        assert_eq!(handshake(&other, &setting.good).1, authenticated(shown));
    }
}

#[test]
fn an_alternative_name_cannot_pass_for_a_subject() {
    let setting = Setting::new();
    let nameless = |params: &mut rcgen::CertificateParams| {
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.subject_alt_names = vec![rcgen::SanType::DnsName("CN=sensor".try_into().unwrap())];
    };
    let other = setting.endpoint(&setting.ca.issue_with("unused", nameless));
    assert_eq!(handshake(&other, &setting.good).1, authenticated("DNS:CN=sensor"));
}

/// A client that accepts everybody, to see what the acceptor does.
#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}
