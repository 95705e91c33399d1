//! Private keys in every form in which OpenSSL writes them. The ones in `keys/` are all the same
//! key, which protects nothing but these tests.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod pki;

use broker_tls::{Passphrase, Tls, TlsOptions};
use pki::{Authority, Files, Issued};
use rcgen::{CertificateParams, KeyPair};
use std::path::PathBuf;

fn key_file(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/keys", name].iter().collect()
}

/// Loads a certificate of the key with the key in the given file.
fn load(name: &str, passphrase: Option<&str>) -> Result<Tls, String> {
    let key = std::fs::read_to_string(key_file("pkcs8.pem")).unwrap();
    let pair = KeyPair::from_pem(&key).unwrap();
    let certificate = CertificateParams::default().self_signed(&pair).unwrap().pem();
    let files = Files::new();
    let mut options =
        files.options("node", &Issued { certificate, key }, &Authority::new("ca").pem);
    options.key = Some(key_file(name));
    options.passphrase = passphrase.map(|text| Passphrase::from(text.to_owned()));
    Tls::new(options).map_err(|error| error.to_string())
}

const PROTECTED: [&str; 7] = [
    "legacy-des3.pem",
    "legacy-aes128.pem",
    "legacy-aes192.pem",
    "legacy-aes256.pem",
    "pkcs8-aes256.pem",
    "pkcs8-des3-sha1.pem",
    "pkcs8-scrypt.pem",
];

#[test]
fn plain_keys_are_read_with_and_without_a_passphrase() {
    for name in ["pkcs8.pem", "sec1.pem"] {
        load(name, None).unwrap();
        load(name, Some("not needed")).unwrap();
    }
}

#[test]
fn protected_keys_are_read_with_their_passphrase() {
    for name in PROTECTED {
        load(name, Some("secret")).unwrap();
    }
}

#[test]
fn a_wrong_or_missing_passphrase_is_said_to_be_so() {
    for name in PROTECTED {
        let wrong = load(name, Some("Secret")).unwrap_err();
        assert!(wrong.contains("the passphrase is wrong ("), "{name} gave {wrong}");
        let missing = load(name, None).unwrap_err();
        assert!(
            missing.contains("no passphrase is set (option passphrase, or BROKER_TLS_PASSPHRASE"),
            "{name} gave {missing}"
        );
    }
}

#[test]
fn unsupported_protection_is_said_to_be_so() {
    for name in ["legacy-camellia128.pem", "pkcs8-pbes1.pem"] {
        let error = load(name, Some("secret")).unwrap_err();
        assert!(error.contains("supported"), "{name} gave {error}");
        assert!(error.contains("openssl pkcs8 -topk8 -v2 aes256"), "{name} gave {error}");
    }
}

#[test]
fn the_key_must_be_that_of_the_certificate() {
    // This file also has the parameters in front of the key, as `openssl ecparam` writes it.
    let error = load("other-with-parameters.pem", None).unwrap_err();
    assert!(error.contains("is not that of the certificate"), "{error}");
}

#[test]
fn incomplete_options_are_refused_with_what_is_missing() {
    let files = Files::new();
    let authority = Authority::new("ca");
    let complete = files.options("node", &authority.issue("node"), &authority.pem);
    Tls::new(complete.clone()).unwrap();
    for (options, missing) in [
        (TlsOptions { certificate: None, ..complete.clone() }, "the certificate is missing"),
        (TlsOptions { key: None, ..complete.clone() }, "the key of the certificate is missing"),
        (TlsOptions { ca_file: None, ..complete.clone() }, "no CA is set"),
        (TlsOptions { check_host: true, ..TlsOptions::default() }, "need certificates"),
        (TlsOptions { names: vec!["two words".to_owned()], ..complete.clone() }, "two words"),
    ] {
        let error = Tls::new(options).unwrap_err().to_string();
        assert!(error.contains(missing), "{error}");
    }
}

#[test]
fn files_that_do_not_hold_what_they_should_are_named() {
    let files = Files::new();
    let authority = Authority::new("ca");
    let node = authority.issue("node");
    let complete = files.options("node", &node, &authority.pem);
    let broken = "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n";
    let empty = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (name, text) in
        [("text", "hello"), ("broken", broken), ("empty", empty), ("key", &node.key)]
    {
        let file = files.write(name, text);
        for options in [
            TlsOptions { certificate: Some(file.clone()), ..complete.clone() },
            TlsOptions { ca_file: Some(file.clone()), ..complete.clone() },
        ] {
            let error = Tls::new(options).unwrap_err().to_string();
            assert!(error.contains(&file.display().to_string()), "{name} gave {error}");
        }
    }
    for (file, reason) in [
        (files.write("certificate", &node.certificate), "no private key is in"),
        (files.write("two", &(node.key.clone() + &node.key)), "more than one private key"),
        (files.path().join("absent"), "cannot be read"),
    ] {
        let options = TlsOptions { key: Some(file.clone()), ..complete.clone() };
        let error = Tls::new(options).unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
        assert!(error.contains(&file.display().to_string()), "{error}");
    }
}

#[test]
fn der_is_recognised_with_how_to_convert_it() {
    let files = Files::new();
    let authority = Authority::new("ca");
    let complete = files.options("node", &authority.issue("node"), &authority.pem);
    let der = files.path().join("ca.der");
    std::fs::write(&der, pem::parse(&authority.pem).unwrap().contents()).unwrap();
    let options = TlsOptions { ca_file: Some(der), ..complete };
    let error = Tls::new(options).unwrap_err().to_string();
    assert!(error.contains("openssl x509 -inform der"), "{error}");
}

#[test]
fn files_that_are_too_large_are_not_read() {
    let files = Files::new();
    let authority = Authority::new("ca");
    let complete = files.options("node", &authority.issue("node"), &authority.pem);
    let large = files.path().join("large");
    std::fs::File::create(&large).unwrap().set_len(1 << 40).unwrap();
    let error = Tls::new(TlsOptions { key: Some(large), ..complete }).unwrap_err().to_string();
    assert!(error.contains("too many"), "{error}");
}

#[cfg(target_os = "linux")]
#[test]
fn what_is_not_a_regular_file_is_refused_at_once_at_the_start_and_when_read_again() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let files = Files::new();
    let authority = Authority::new("ca");
    let node = authority.issue("node");
    let complete = files.options("node", &node, &authority.pem);
    let pipe = files.path().join("pipe");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    for file in [pipe, "/dev/zero".into(), files.path().to_owned()] {
        for options in [
            TlsOptions { certificate: Some(file.clone()), ..complete.clone() },
            TlsOptions { key: Some(file.clone()), ..complete.clone() },
            TlsOptions { ca_file: Some(file.clone()), ..complete.clone() },
            TlsOptions { self_signed: Some(file.clone()), ..TlsOptions::default() },
        ] {
            let error = Tls::new(options).unwrap_err().to_string();
            assert!(error.contains("is not a regular file"), "{error}");
            assert!(error.contains(&file.display().to_string()), "{error}");
        }
        let tls = Tls::new(complete.clone()).unwrap();
        let key = complete.key.as_ref().unwrap();
        std::fs::remove_file(key).unwrap();
        std::os::unix::fs::symlink(&file, key).unwrap();
        let error = tls.reload().unwrap_err().to_string();
        assert!(error.contains("is not a regular file"), "{error}");
        std::fs::remove_file(key).unwrap();
        std::fs::write(key, &node.key).unwrap();
        tls.reload().unwrap();
    }
}

#[test]
fn kinds_of_keys_that_are_not_supported_are_named_with_the_file_and_those_that_are() {
    let files = Files::new();
    let authority = Authority::new("ca");
    let complete = files.options("node", &authority.issue("node"), &authority.pem);
    for (name, kind) in [
        ("unsupported-p521.pem", "ECDSA with P-521"),
        ("unsupported-secp256k1.pem", "ECDSA with secp256k1"),
        ("unsupported-ed448.pem", "Ed448"),
        ("unsupported-rsa1024.pem", "RSA with 1024 bits"),
    ] {
        let file = Some(key_file(name));
        let own = TlsOptions { certificate: file.clone(), key: file.clone(), ..complete.clone() };
        let error = Tls::new(own).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains(kind), "{error}");
        assert!(error.contains("P-256 or P-384"), "{error}");

        // Nobody is trusted because of such a CA, which is worth a word, but no reason to stop.
        let trusting = Tls::new(TlsOptions { ca_file: file, ..complete.clone() }).unwrap();
        let warnings = trusting.warnings();
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].contains(name) && warnings[0].contains(kind), "{warnings:?}");
    }
}
