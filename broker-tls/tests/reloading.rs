//! Certificates that are replaced while the endpoint runs.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod memory;
mod pki;

use broker_core::transport::Protection;
use broker_tls::TlsOptions;
use memory::{handshake, run, tls};
use pki::{Authority, Files, Issued, expired, not_yet_valid};

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

#[test]
fn a_certificate_that_could_not_be_started_with_does_not_replace_a_good_one() {
    let files = Files::new();
    let ca = Authority::new("ca");
    let peer = tls(files.options("peer", &ca.issue("peer"), &ca.pem));
    let node = tls(files.options("node", &ca.issue("old"), &ca.pem));
    node.check_listening().unwrap();
    let client_only = |params: &mut rcgen::CertificateParams| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    };
    let tries: [(Issued, &str); 3] = [
        (ca.issue_with("new", expired), "expired at"),
        (ca.issue_with("new", not_yet_valid), "is not valid before"),
        (ca.issue_with("new", client_only), "is not meant for accepting connections"),
    ];
    for (new, reason) in tries {
        files.options("node", &new, &ca.pem);
        let error = node.reload().unwrap_err().to_string();
        assert!(error.contains(reason), "{error}");
        let name = Ok(Protection::Authenticated("CN=old".to_owned()));
        assert_eq!(handshake(&peer, &node).0, name);
    }
}

#[test]
fn what_a_new_certificate_is_not_needed_for_does_not_count() {
    let files = Files::new();
    let ca = Authority::new("ca");
    let dialler = tls(files.options("node", &ca.issue("old"), &ca.pem));
    dialler.rustls_client("host").unwrap();
    let new = ca.issue_with("new", |params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    });
    files.options("node", &new, &ca.pem);
    dialler.reload().unwrap();
}

#[test]
fn half_written_files_keep_the_old_certificates() {
    let files = Files::new();
    let ca = Authority::new("ca");
    let below = ca.intermediate("below");
    let node = below.issue("node").with_chain(&below);
    let options = files.options("node", &node, &(ca.pem.clone() + &Authority::new("two").pem));
    let endpoint = tls(options.clone());
    for file in [options.certificate.as_ref().unwrap(), options.ca_file.as_ref().unwrap()] {
        let whole = std::fs::read_to_string(file).unwrap();
        let second = whole.rfind("-----BEGIN").unwrap();
        // In the middle of the second section, and in its last line.
        for end in [second + 100, whole.trim_end().len() - 1] {
            std::fs::write(file, &whole[..end]).unwrap();
            let error = endpoint.reload().unwrap_err().to_string();
            assert!(error.contains("half written"), "{error}");
            assert!(error.contains(&file.display().to_string()), "{error}");
            assert_eq!(broker_tls::Tls::new(options.clone()).unwrap_err().to_string(), error);
        }
        std::fs::write(file, &whole[100..]).unwrap();
        endpoint.reload().unwrap_err();
        std::fs::write(file, whole).unwrap();
    }
    endpoint.reload().unwrap();
}

#[test]
fn a_ca_directory_hides_neither_half_written_files_nor_strange_ones() {
    let (files, directory) = (Files::new(), Files::new());
    let ca = Authority::new("ca");
    directory.write("good.pem", &ca.pem);
    directory.write("README", "about these");
    let complete = files.options("node", &ca.issue("node"), &ca.pem);
    let ca_dir = Some(directory.path().to_owned());
    let options = TlsOptions { ca_file: None, ca_dir, ..complete };
    let endpoint = tls(options.clone());
    assert_eq!(endpoint.warnings(), Vec::<String>::new());

    directory.write("garbage.crt", "?");
    endpoint.reload().unwrap();
    let warnings = endpoint.warnings();
    assert!(warnings.len() == 1 && warnings[0].contains("garbage.crt"), "{warnings:?}");

    directory.write("half", &ca.pem[..200]);
    let error = endpoint.reload().unwrap_err().to_string();
    assert!(error.contains("half written") && error.contains("/half"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn the_timer_ends_with_the_last_clone_and_starts_again_after_the_end_of_a_runtime() {
    let files = Files::new();
    let ca = Authority::new("ca");
    let node = tls(files.options("node", &ca.issue("node"), &ca.pem));
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    // The first runtime of two.
    let first = node.clone();
    let ended = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async { first.watch_files() });
    });
    ended.join().unwrap();
    assert_eq!(tasks(), 0);

    node.watch_files();
    node.clone().watch_files();
    assert_eq!(tasks(), 1);
    drop(node);
    tokio::task::yield_now().await;
    assert_eq!(tasks(), 0);
}
