//! Names and keys that peers must have beyond a certificate of a trusted CA.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod memory;
mod pki;

use broker_tls::{Pin, TlsOptions};
use memory::setting::{Setting, assert_refused, authenticated};
use memory::{handshake, handshake_at, tls};
use rcgen::SanType;

#[test]
fn the_dialled_host_is_checked_only_on_demand() {
    let setting = Setting::new();
    let acceptor = setting.endpoint(&setting.ca.issue_with("other", |params| {
        params.subject_alt_names = vec![
            SanType::DnsName("*.broker.example".try_into().unwrap()),
            SanType::IpAddress("192.0.2.1".parse().unwrap()),
        ];
    }));
    assert_eq!(handshake_at(&setting.good, &acceptor, "elsewhere").0, authenticated("CN=other"));

    let options = setting.files.options("careful", &setting.ca.issue("careful"), &setting.ca.pem);
    let careful = tls(TlsOptions { check_host: true, ..options });
    for host in ["node.broker.example", "NODE.broker.example", "192.0.2.1"] {
        let (dialler, _) = handshake_at(&careful, &acceptor, host);
        assert_eq!(dialler, authenticated("CN=other"), "{host}");
    }
    for host in ["elsewhere", "a.b.broker.example", "192.0.2.2", "other"] {
        let (dialler, _) = handshake_at(&careful, &acceptor, host);
        let error = dialler.unwrap_err();
        assert!(error.contains(&format!("\"CN=other\" is not valid for {host:?}")), "{error}");
    }
}

#[test]
fn expected_names_are_checked_at_both_sides() {
    let setting = Setting::new();
    let options = setting.files.options("careful", &setting.ca.issue("careful"), &setting.ca.pem);
    let names = vec!["good".to_owned(), "other.example".to_owned()];
    let careful = tls(TlsOptions { names, ..options });
    // Without alternative names the common name counts.
    assert_eq!(handshake(&careful, &setting.good).0, authenticated("CN=good"));
    assert_eq!(handshake(&setting.good, &careful).1, authenticated("CN=good"));

    let stranger = setting.endpoint(&setting.ca.issue("stranger"));
    assert_refused(
        handshake(&stranger, &careful),
        "refuses the own certificate \"CN=stranger\"",
        "\"CN=stranger\" is not valid for any expected name (good, other.example)",
    );
}

#[test]
fn pinned_keys_are_checked_at_both_sides() {
    let setting = Setting::new();
    let friend = setting.ca.issue("friend");
    let spki = rcgen::KeyPair::from_pem(&friend.key).unwrap().public_key_pem();
    let pin = Pin::of_public_key(pem::parse(spki).unwrap().contents());
    let options = setting.files.options("careful", &setting.ca.issue("careful"), &setting.ca.pem);
    let careful = tls(TlsOptions { pins: vec![pin], ..options });
    let friend = setting.endpoint(&friend);
    assert_eq!(handshake(&careful, &friend).0, authenticated("CN=friend"));
    assert_eq!(handshake(&friend, &careful).1, authenticated("CN=friend"));
    assert_refused(
        handshake(&setting.good, &careful),
        "is not among those that the other side expects",
        "the certificate \"CN=good\" is not pinned",
    );
}
