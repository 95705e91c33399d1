//! Certificates that are replaced while the endpoint runs.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod memory;
mod pki;

use broker_core::transport::Protection;
use memory::{handshake, run, tls};
use pki::{Authority, Files};

#[test]
fn new_certificates_serve_the_connections_after_them() {
    let files = Files::new();
    let ca = Authority::new("ca");
    let peer = tls(files.options("peer", &ca.issue("peer"), &ca.pem));
    let node = tls(files.options("node", &ca.issue("old"), &ca.pem));
    let name = |protection: &str| Ok(Protection::Authenticated(format!("CN={protection}")));
    assert_eq!(handshake(&peer, &node).0, name("old"));

    // A handshake that has begun keeps what it began with.
    let begun = node.rustls_server().unwrap();
    files.options("node", &ca.issue("new"), &ca.pem);
    node.reload().unwrap();
    assert_eq!(run(peer.rustls_client("host").unwrap(), begun).0, name("old"));
    assert_eq!(handshake(&peer, &node).0, name("new"));
}

#[test]
fn changes_are_noticed_and_a_failure_keeps_the_old_certificates() {
    let files = Files::new();
    let ca = Authority::new("ca");
    let peer = tls(files.options("peer", &ca.issue("peer"), &ca.pem));
    let node = tls(files.options("node", &ca.issue("old"), &ca.pem));
    let name = |protection: &str| Ok(Protection::Authenticated(format!("CN={protection}")));

    let new = ca.issue("another name");
    // First the certificate without its key, as the one is replaced after the other.
    files.write("node.pem", &new.certificate);
    let error = node.reload_if_changed().unwrap_err();
    assert!(error.to_string().contains("is not that of the certificate"), "{error}");
    node.reload_if_changed().unwrap();
    assert_eq!(node.reload_error(), Some(error));
    assert_eq!(handshake(&peer, &node).0, name("old"));

    // Keys of one kind have one length, so the time of the change has to tell it.
    files.write("node.key", &format!("{}\n", new.key));
    node.reload_if_changed().unwrap();
    assert_eq!(node.reload_error(), None);
    assert_eq!(handshake(&peer, &node).0, name("another name"));
}
