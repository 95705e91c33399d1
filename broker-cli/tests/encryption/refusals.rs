use super::{Setting, listener, said, with};
use crate::common::{Cli, End};
use crate::pki::{Authority, expired, not_yet_valid};
use rcgen::ExtendedKeyUsagePurpose;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Dials once and has to fail.
async fn refused(url: &str, options: &[String]) -> End {
    Cli::start(&with(&["sub", "/t", "--peer", url, "--retry", "0"], options)).end().await
}

#[tokio::test]
async fn an_own_certificate_or_key_that_cannot_be_used_is_named_before_anybody_is_asked() {
    let setting = Setting::new();
    let good = setting.node("good");
    let (_tls, tls) = listener("tls", &good).await;
    let (_quic, quic) = listener("quic", &good).await;
    setting.node("other");
    setting.presenting("expired", &setting.ca.issue_with("expired", expired));
    setting.presenting("early", &setting.ca.issue_with("early", not_yet_valid));
    let for_code = |params: &mut rcgen::CertificateParams| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
    };
    setting.presenting("code", &setting.ca.issue_with("code", for_code));
    let protected =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../broker-tls/tests/keys/pkcs8-aes256.pem");
    std::fs::copy(protected, setting.files.path().join("protected.key")).unwrap();
    for (certificate, key, code, words) in [
        (
            "expired.pem",
            "expired.key",
            1,
            "expired.pem expired at Jan  1 00:00:00 2001 +00:00; put a new one there",
        ),
        (
            "early.pem",
            "early.key",
            1,
            "early.pem is not valid before Jan  1 00:00:00 3000 +00:00, is the clock right?",
        ),
        ("code.pem", "code.key", 1, "code.pem is not meant for opening connections"),
        ("good.pem", "absent.key", 2, "absent.key: No such file"),
        ("good.pem", "other.key", 2, "other.key is not that of the certificate \"CN=good\" in "),
        (
            "good.pem",
            "protected.key",
            2,
            "protected.key cannot be used: it is protected, and no passphrase is set",
        ),
        ("good.key", "good.key", 2, "no certificate is in "),
    ] {
        for (scheme, url) in [("tls", &tls), ("quic", &quic)] {
            let options = setting.options(certificate, key);
            refused(url["url"].as_str().unwrap(), &options).await.expect(code).says(words);
            let at = format!("{scheme}://127.0.0.1:0");
            let listening = Cli::start(&with(&["node", "--listen", &at], &options)).end().await;
            listening.expect(code).says(&words.replace("opening", "accepting"));
            if code == 2 {
                let doctor = with(&["doctor", url["url"].as_str().unwrap()], &options);
                Cli::start(&doctor).end().await.expect(code);
            }
        }
    }
    let key_only = setting.option("certificate", "good.pem");
    let end = refused("tls://127.0.0.1:1", &key_only).await;
    end.expect(2).says("the key of the certificate is missing (option key)");
}

#[tokio::test]
async fn a_wrong_passphrase_is_said_to_be_wrong() {
    let setting = Setting::new();
    setting.node("good");
    let protected =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../broker-tls/tests/keys/pkcs8-aes256.pem");
    std::fs::copy(protected, setting.files.path().join("protected.key")).unwrap();
    let options = setting.options("good.pem", "protected.key");
    let command = ["env", "BROKER_TLS_PASSPHRASE=wrong"];
    let args = with(&["node", "--listen", "tls://127.0.0.1:0"], &options);
    let end = Cli::start_by(&command, &args).end().await;
    end.expect(2).says("protected.key cannot be used: the passphrase is wrong");
}

#[tokio::test]
async fn a_passphrase_in_the_environment_counts_only_where_there_is_a_key() {
    let setting = Setting::new();
    for (value, scheme) in [("secret", "tcp"), ("secret", "tls"), ("", "tls")] {
        let command = ["env", &format!("BROKER_TLS_PASSPHRASE={value}")];
        let at = format!("{scheme}://127.0.0.1:0");
        let mut node = Cli::start_by(&command, &["node", "--listen", &at]);
        node.event("listening").await;
    }
    let protected =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../broker-tls/tests/keys/pkcs8-aes256.pem");
    setting.node("good");
    std::fs::copy(protected, setting.files.path().join("protected.key")).unwrap();
    let options = setting.options("good.pem", "protected.key");
    let args = with(&["node", "--listen", "tls://127.0.0.1:0"], &options);
    let end = Cli::start_by(&["env", "BROKER_TLS_PASSPHRASE="], &args).end().await;
    end.expect(2).says("no passphrase is set (option passphrase, or BROKER_TLS_PASSPHRASE");
}

#[tokio::test]
async fn a_certificate_that_the_other_side_refuses_is_named_at_both_sides() {
    let setting = Setting::new();
    let stranger = Authority::new("another CA").issue("stranger");
    let stranger = setting.presenting("stranger", &stranger);
    for scheme in ["tls", "quic"] {
        let (mut node, listening) = listener(scheme, &setting.node("node")).await;
        let url = listening["url"].as_str().unwrap();
        for (options, dialler, acceptor) in [
            (
                &stranger[..],
                "does not trust the own certificate \"CN=stranger\" in ",
                "the certificate \"CN=stranger\" was issued by \"CN=another CA\", which is not among the configured CAs",
            ),
            (
                &[],
                "the other side demands a certificate, and none is configured here (set certificate, key and ca-file",
                "the other side presented no certificate, and here certificates are configured",
            ),
        ] {
            refused(url, options).await.expect(4).says(dialler);
            let said = node.diagnosis().await;
            assert!(said.contains(acceptor), "{scheme}: {said}");
        }
    }
}

#[tokio::test]
async fn whoever_stops_in_the_middle_or_talks_nonsense_keeps_nobody_waiting() {
    let setting = Setting::new();
    let verbose = ["--log-level".to_owned(), "debug".to_owned()];
    let options = [&setting.node("node")[..], &verbose].concat();
    let (mut node, listening) = listener("tls", &options).await;
    let url = listening["url"].as_str().unwrap();
    let address = url.strip_prefix("tls://").unwrap();
    let mut stopped = Vec::new();
    for _ in 0..32 {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(b"\x16\x03\x01\x02\x00\x01").await.unwrap();
        stopped.push(socket);
    }
    let mut garbage = TcpStream::connect(address).await.unwrap();
    garbage.write_all(b"\xff\xff\xff\xff garbage").await.unwrap();
    assert_eq!(garbage.read(&mut [0; 64]).await.unwrap(), 0, "nothing is answered to nonsense");
    said(&mut node, "the other side does not speak TLS").await;
    let good = setting.node("good");
    Cli::start(&with(&["ping", url, "--count", "1"], &good)).end().await.expect(0);
    drop(stopped);
    said(&mut node, "in the middle of the TLS handshake").await;
}

#[tokio::test]
async fn a_scheme_that_does_not_fit_the_listener_is_recognised() {
    for (listens, dials, dialler, acceptor) in [
        (
            "tcp",
            "tls",
            "speaks Broker without encryption: use tcp:// here",
            "it started a TLS handshake",
        ),
        (
            "tls",
            "tcp",
            "perhaps it expects TLS (tls://)",
            "speaks Broker without encryption, and this address is encrypted",
        ),
        (
            "ws",
            "tls",
            "speaks HTTP without encryption; a WebSocket server of Broker belongs to ws://",
            "use ws:// there, or listen at wss:// here",
        ),
        (
            "ws",
            "wss",
            "speaks HTTP without encryption: use ws:// here",
            "use ws:// there, or listen at wss:// here",
        ),
        (
            "wss",
            "ws",
            "This address is encrypted: use wss://",
            "This address is encrypted: use wss://",
        ),
        (
            "wss",
            "tcp",
            "perhaps it expects TLS (tls://)",
            "speaks Broker without encryption, and this address is encrypted",
        ),
        (
            "wss",
            "tls",
            "closed the connection before the handshake was done",
            "without WebSocket: use wss:// there, or listen at tls:// here",
        ),
        ("tls", "wss", "tls://", "belongs on a ws:// listener"),
        (
            "tcp",
            "wss",
            "speaks Broker without encryption: use tcp:// here",
            "it started a TLS handshake",
        ),
    ] {
        let (mut node, listening) = listener(listens, &[]).await;
        let url = listening["url"].as_str().unwrap();
        let url = url.replacen(listens, dials, 1);
        refused(&url, &[]).await.expect(4).says(dialler);
        let said = node.diagnosis().await;
        assert!(said.contains(acceptor), "{dials} at {listens}: {said}");
    }
    // What is spoken over UDP and over TCP does not meet.
    let (_node, listening) = listener("tcp", &[]).await;
    let url = listening["url"].as_str().unwrap().replacen("tcp", "quic", 1);
    refused(&url, &[]).await.expect(3).says("nothing listens there for QUIC");
}

#[tokio::test]
async fn what_strict_libraries_refuse_is_named_in_the_log_or_refused() {
    let setting = Setting::new();
    let odd = setting.presenting("odd", &setting.ca.issue_version_1("odd"));
    let good = setting.node("good");
    let strict = [&good[..], &["--tls-strict".to_owned()]].concat();
    for scheme in ["tls", "quic"] {
        let (mut node, listening) = listener(scheme, &good).await;
        let mut sub = Cli::start(&with(
            &["sub", "/t", "--peer", listening["url"].as_str().unwrap(), "--events"],
            &odd,
        ));
        assert_eq!(sub.event("peer_added").await["protection"], "authenticated as CN=good");
        let named = said(&mut node, "certificates-odd").await;
        assert!(named.contains("\"CN=odd\" of a peer is of X.509 version 1"), "{named}");

        let (mut node, listening) = listener(scheme, &strict).await;
        refused(listening["url"].as_str().unwrap(), &odd).await;
        let named = said(&mut node, "which the option strict refuses").await;
        assert!(named.contains("\"CN=odd\" is of X.509 version 1"), "{named}");
    }
    let own = [&odd[..], &["--tls-strict".to_owned()]].concat();
    let end = Cli::start(&with(&["node", "--listen", "tls://127.0.0.1:0"], &own)).end().await;
    end.expect(2).says("is of X.509 version 1, which the option strict refuses");
}
