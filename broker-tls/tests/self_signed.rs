//! Endpoints without a CA that know each other by their keys.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod memory;
mod pki;

use broker_core::transport::Protection;
use broker_tls::{Pin, Tls, TlsOptions};
use memory::{Outcome, handshake, run, tls};
use pki::{Authority, Files};

fn endpoint(files: &Files, name: &str, pins: &[Pin]) -> Tls {
    let self_signed = Some(files.path().join(name));
    tls(TlsOptions { self_signed, pins: pins.to_vec(), ..TlsOptions::default() })
}

fn pin_of(files: &Files, name: &str) -> Pin {
    endpoint(files, name, &[]).own_pin().unwrap()
}

fn authenticated(pin: Pin) -> Outcome {
    Ok(Protection::Authenticated(format!("key {pin}")))
}

#[track_caller]
fn assert_says(outcome: &Outcome, words: &str) {
    let said = outcome.as_ref().unwrap_err();
    assert!(said.contains(words), "{said:?}");
}

#[test]
fn endpoints_that_pin_each_other_are_authenticated_by_their_keys() {
    let files = Files::new();
    let (a, b) = (pin_of(&files, "a"), pin_of(&files, "b"));
    let outcomes = handshake(&endpoint(&files, "a", &[b]), &endpoint(&files, "b", &[a]));
    assert_eq!(outcomes, (authenticated(b), authenticated(a)));
}

#[test]
fn a_key_that_is_not_pinned_is_refused_by_either_side() {
    let files = Files::new();
    let (a, b, c) = (pin_of(&files, "a"), pin_of(&files, "b"), pin_of(&files, "c"));
    let (dialler, acceptor) = handshake(&endpoint(&files, "a", &[c]), &endpoint(&files, "b", &[]));
    assert_says(&dialler, &format!("its key is {b}, which is not pinned here"));
    assert_says(&acceptor, &format!("the own key {b} is not among those"));

    let (dialler, acceptor) = handshake(&endpoint(&files, "a", &[b]), &endpoint(&files, "b", &[c]));
    assert_says(&dialler, &format!("the own key {a} is not among those"));
    assert_says(&acceptor, &format!("its key is {a}, which is not pinned here"));
}

#[test]
fn an_acceptor_without_pins_accepts_every_key_and_knows_nobody() {
    let files = Files::new();
    let b = pin_of(&files, "b");
    let outcomes = handshake(&endpoint(&files, "a", &[b]), &endpoint(&files, "b", &[]));
    assert_eq!(outcomes, (authenticated(b), Ok(Protection::Encrypted)));
}

#[test]
fn nobody_is_dialled_without_a_pin_and_pins_of_one_dial_replace_the_others() {
    let files = Files::new();
    let (b, c) = (pin_of(&files, "b"), pin_of(&files, "c"));
    let error = endpoint(&files, "a", &[]).rustls_client("host").unwrap_err().to_string();
    assert!(error.contains("no key is pinned"), "{error}");

    let dialler = endpoint(&files, "a", &[c]);
    let acceptor = endpoint(&files, "b", &[]);
    let client = dialler.rustls_client_pinned("host", &[b]).unwrap();
    assert_eq!(run(client, acceptor.rustls_server().unwrap()).0, authenticated(b));
}

#[test]
fn pins_of_one_dial_count_in_the_other_modes_too() {
    let anonymous = tls(TlsOptions::default());
    let pin = anonymous.own_pin().unwrap();
    let dial = |dialler: &Tls, pin| {
        let client = dialler.rustls_client_pinned("host", &[pin]).unwrap();
        run(client, anonymous.rustls_server().unwrap())
    };
    assert_eq!(dial(&anonymous, pin), (authenticated(pin), Ok(Protection::Encrypted)));
    let (dialler, acceptor) = dial(&anonymous, Pin::of_public_key(b"another"));
    assert_says(&dialler, "not pinned here");
    assert_says(&acceptor, "the other side expects another key");

    let (files, ca) = (Files::new(), Authority::new("the CA"));
    let node = tls(files.options("node", &ca.issue("node"), &ca.pem));
    let dial = |pin| {
        let client = node.rustls_client_pinned("host", &[pin]).unwrap();
        run(client, node.rustls_server().unwrap()).0
    };
    let named = Ok(Protection::Authenticated("CN=node".to_owned()));
    assert_eq!(dial(node.own_pin().unwrap()), named);
    assert_says(&dial(pin), "is not pinned");
}

#[test]
fn the_key_is_made_once_and_nobody_else_can_read_it() {
    let files = Files::new();
    let pin = pin_of(&files, "a");
    assert_eq!(pin_of(&files, "a"), pin);
    assert_ne!(pin_of(&files, "b"), pin);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = files.path().join("a").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    let files = Files::new();
    let path = files.path().join("a");
    let own = || TlsOptions { self_signed: Some(path.clone()), ..TlsOptions::default() };
    for (options, words) in [
        (TlsOptions { ca_file: Some(path.clone()), ..own() }, "set either it, or certificate"),
        (TlsOptions { check_host: true, ..own() }, "need certificates of a CA"),
        (TlsOptions { names: vec!["a".to_owned()], ..own() }, "need certificates of a CA"),
        (
            TlsOptions { self_signed: Some(path.join("below")), ..TlsOptions::default() },
            "cannot be written",
        ),
    ] {
        let error = Tls::new(options).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn whoever_has_no_key_is_told_about_self_signed() {
    let files = Files::new();
    let self_signed = Some(files.path().join("key"));
    let acceptor = tls(TlsOptions { self_signed, ..TlsOptions::default() });
    let (dialler, accepted) = handshake(&tls(TlsOptions::default()), &acceptor);
    let error = dialler.unwrap_err();
    assert!(error.contains("or self-signed, if that is what the other side has"), "{error}");
    let error = accepted.unwrap_err();
    assert!(error.contains("presented no key, and here self-signed is set"), "{error}");
}
