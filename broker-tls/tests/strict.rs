//! What OpenSSL accepts and strict libraries do not: accepted and named, or refused.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod memory;
mod pki;

use broker_tls::{Passphrase, Tls, TlsOptions};
use memory::setting::{Setting, authenticated};
use memory::{handshake, run, tls};
use pki::{Authority, Files, Issued};
use rcgen::{CertificateParams, KeyPair};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// What is said of the certificates of peers.
fn said_of_peers(tls: &Tls) -> Arc<Mutex<Vec<String>>> {
    let said = Arc::new(Mutex::new(Vec::new()));
    let all = said.clone();
    tls.on_leniency(move |text| all.lock().unwrap().push(text.to_owned()));
    said
}

/// The certificate of an endpoint that is accepted by leniency, and what is said of it.
fn odd_certificates(ca: &Authority) -> [(Issued, &'static str); 2] {
    [
        (ca.issue_version_1("odd"), "is of X.509 version 1"),
        (ca.intermediate("odd").as_endpoint(), "is that of a CA"),
    ]
}

#[test]
fn an_odd_certificate_of_a_peer_is_accepted_and_named_each_time_whoever_dials() {
    let setting = Setting::new();
    let said = said_of_peers(&setting.good);
    for (issued, what) in odd_certificates(&setting.ca) {
        let odd = setting.endpoint(&issued);
        assert_eq!(handshake(&odd, &setting.good).1, authenticated("CN=odd"));
        assert_eq!(handshake(&setting.good, &odd).0, authenticated("CN=odd"));
        let said = std::mem::take(&mut *said.lock().unwrap());
        assert_eq!(said.len(), 2, "{said:?}");
        for text in said {
            assert!(text.starts_with("the certificate \"CN=odd\" of a peer "), "{text}");
            assert!(text.contains(what) && text.contains("strict"), "{text}");
        }
    }
    let plain = setting.endpoint(&setting.ca.issue("plain"));
    handshake(&plain, &setting.good).1.unwrap();
    assert!(said.lock().unwrap().is_empty());
}

#[test]
fn an_odd_certificate_of_a_peer_is_refused_if_that_is_to_be_strict() {
    let setting = Setting::new();
    let own = setting.files.options("strict", &setting.ca.issue("strict"), &setting.ca.pem);
    let strict = tls(TlsOptions { strict: true, ..own });
    let said = said_of_peers(&strict);
    for (issued, what) in odd_certificates(&setting.ca) {
        let odd = setting.endpoint(&issued);
        let reasons =
            [handshake(&odd, &strict).1.unwrap_err(), handshake(&strict, &odd).0.unwrap_err()];
        for reason in reasons {
            assert!(reason.contains("the certificate \"CN=odd\" is"), "{reason}");
            assert!(reason.contains(what), "{reason}");
            assert!(reason.contains("which the option strict refuses because"), "{reason}");
        }
    }
    assert!(said.lock().unwrap().is_empty());
    let plain = setting.endpoint(&setting.ca.issue("plain"));
    assert_eq!(handshake(&plain, &strict).1, authenticated("CN=plain"));
}

#[test]
fn a_certificate_that_signs_itself_and_is_configured_is_not_odd_unless_it_is_that_of_a_ca() {
    let files = Files::new();
    let issued = Issued::self_signed("self");
    let options = files.options("node", &issued, &issued.certificate);
    let node = tls(TlsOptions { strict: true, ..options });
    assert_eq!(handshake(&node, &node), (authenticated("CN=self"), authenticated("CN=self")));
    assert!(node.warnings().is_empty());
}

#[test]
fn an_own_odd_certificate_is_named_or_refused_with_its_file() {
    let setting = Setting::new();
    for (issued, what) in odd_certificates(&setting.ca) {
        let options = setting.files.options("own", &issued, &setting.ca.pem);
        let warnings = tls(options.clone()).warnings();
        assert!(warnings.len() == 1 && warnings[0].contains(what), "{warnings:?}");
        assert!(warnings[0].contains("own.pem"), "{warnings:?}");

        let error = Tls::new(TlsOptions { strict: true, ..options }).unwrap_err().to_string();
        assert!(error.contains(what) && error.contains("own.pem"), "{error}");
        assert!(error.contains("which the option strict refuses because"), "{error}");
    }
}

#[test]
fn a_key_in_the_legacy_encryption_is_named_or_refused_with_its_file() {
    let key_file =
        |name: &str| PathBuf::from_iter([env!("CARGO_MANIFEST_DIR"), "tests", "keys", name]);
    let key = std::fs::read_to_string(key_file("pkcs8.pem")).unwrap();
    let pair = KeyPair::from_pem(&key).unwrap();
    let certificate = CertificateParams::default().self_signed(&pair).unwrap().pem();
    let files = Files::new();
    let with = |name: &str| TlsOptions {
        key: Some(key_file(name)),
        passphrase: Some(Passphrase::from("secret".to_owned())),
        ..files.options(
            "node",
            &Issued { certificate: certificate.clone(), key: key.clone() },
            &Authority::new("ca").pem,
        )
    };
    for name in ["legacy-des3.pem", "legacy-aes128.pem", "legacy-aes192.pem", "legacy-aes256.pem"] {
        let warnings = tls(with(name)).warnings();
        assert!(warnings.len() == 1 && warnings[0].contains(name), "{warnings:?}");
        assert!(warnings[0].contains("legacy encryption of PEM"), "{warnings:?}");
        let error = Tls::new(TlsOptions { strict: true, ..with(name) }).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("which the option strict"), "{error}");
        assert!(error.contains("openssl pkcs8 -topk8 -v2 aes256"), "{error}");
    }
    let modern = tls(TlsOptions { strict: true, ..with("pkcs8-aes256.pem") });
    assert!(modern.warnings().is_empty());
}

#[test]
fn a_certificate_whose_key_is_not_proven_is_not_named() {
    let setting = Setting::new();
    let said = said_of_peers(&setting.good);
    let stolen = setting.ca.issue_version_1("odd");
    let (mut client, report) =
        setting.endpoint(&setting.ca.issue("thief")).rustls_client("host").unwrap();
    let key = KeyPair::generate().unwrap().serialize_der();
    let key = rustls::crypto::ring::sign::any_supported_type(
        &rustls::pki_types::PrivatePkcs8KeyDer::from(key).into(),
    )
    .unwrap();
    let certificate = pem::parse(&stolen.certificate).unwrap().into_contents().into();
    let presented = rustls::sign::CertifiedKey::new(vec![certificate], key);
    client.client_auth_cert_resolver = Arc::new(rustls::sign::SingleCertAndKey::from(presented));
    run((client, report), setting.good.rustls_server().unwrap()).1.unwrap_err();
    assert!(said.lock().unwrap().is_empty());
}
