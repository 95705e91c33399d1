//! What both sides are told when TLS does not come about.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../../broker-tls/tests/pki/mod.rs"]
mod pki;
#[path = "support/tls.rs"]
mod tls_support;

use broker_core::transport::{ReadBuffer, Transport, TransportError};
use broker_core::{Address, Reason};
use broker_transport_tcp::TcpTransport;
use broker_transport_tcp::tls::{TlsOptions, TlsTransport};
use pki::{Authority, expired, not_yet_valid};
use std::time::Duration;
use tls_support::{Setting, accept, listen, meet, transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[track_caller]
fn assert_says(error: &TransportError, reason: Reason, words: &str) {
    assert_eq!(error.reason(), reason, "{error}");
    assert!(error.to_string().contains(words), "{error}");
}

const HELLO: &[u8] = b"\0\0\0\x17\x06ZEEK0123456789abcdef\x01\x01";
const PROBE: &[u8] = b"\0\0\0\x05\x07ZEEK";

/// Endpoints with certificates and without.
fn both_kinds() -> [TlsTransport; 2] {
    [Setting::new().endpoint("node"), transport(TlsOptions::default())]
}

/// The same, which give up soon.
fn both_impatient() -> [TlsTransport; 2] {
    both_kinds().map(|node| node.with_handshake_time(Duration::from_millis(100)))
}

/// What a listener makes of a client that sends `bytes`, and what the client receives.
async fn accept_from(
    acceptor: &TlsTransport,
    bytes: &'static [u8],
    and_close: bool,
) -> (TransportError, Vec<u8>) {
    let mut listener = listen(acceptor).await;
    let url = listener.url().clone();
    let client = async {
        let mut client = TcpStream::connect((url.host(), url.port())).await.unwrap();
        client.write_all(bytes).await.unwrap();
        if and_close {
            client.shutdown().await.unwrap();
        }
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        answer
    };
    let (answer, accepted) = tokio::join!(client, accept(&mut *listener));
    (accepted.err().unwrap(), answer)
}

#[tokio::test]
async fn a_plain_peer_at_an_encrypted_address_is_recognised_and_gets_no_alert() {
    for node in both_kinds() {
        let (error, answer) = accept_from(&node, HELLO, false).await;
        assert_says(&error, Reason::PeerIsPlain, "Broker without encryption");
        assert_says(&error, Reason::PeerIsPlain, "this address is encrypted");
        assert_eq!(answer, b"", "a plain peer would take an alert for the length of a frame");
    }
}

#[tokio::test]
async fn others_at_an_encrypted_address_are_recognised_or_at_least_refused() {
    for node in both_kinds() {
        for (bytes, words) in [
            (&b"GET / HTTP/1.1\r\n\r\n"[..], "speaks HTTP"),
            (b"SSH-2.0-OpenSSH_9.2\r\n", "speaks SSH"),
            (b"\xff\xff\xff\xff garbage", "does not speak TLS"),
        ] {
            let (error, _) = accept_from(&node, bytes, false).await;
            assert_says(&error, Reason::NotBroker, words);
        }
        // A record like that of a hello, with nothing of the kind in it.
        let (error, _) = accept_from(&node, b"\x16\x03\x01\x00\x05hello", false).await;
        assert_says(&error, Reason::NotBroker, "not valid TLS");
    }
}

#[tokio::test]
async fn a_client_that_stops_in_the_middle_is_given_up() {
    for node in both_kinds() {
        let (error, _) = accept_from(&node, b"\x16\x03\x01\x02", true).await;
        assert_says(
            &error,
            Reason::Closed,
            "closed the connection in the middle of the TLS handshake",
        );
        let (error, _) = accept_from(&node, b"", true).await;
        assert_says(&error, Reason::Closed, "before it said anything");
    }
    for node in both_impatient() {
        let (error, _) = accept_from(&node, b"\x16\x03\x01\x02", false).await;
        assert_says(&error, Reason::TimedOut, "did not finish the TLS handshake within 100ms");
    }
}

#[tokio::test]
async fn a_client_that_speaks_only_tls_1_1_is_refused_with_an_alert() {
    for node in both_kinds() {
        for hello in [TLS_1_1_HELLO, TLS_1_1_HELLO_WITH_SIGNATURES] {
            let (error, answer) = accept_from(&node, hello, false).await;
            assert_says(&error, Reason::Tls, "speaks no TLS version from 1.2 on");
            assert!(matches!(answer[..], [0x15, 3, _, 0, 2, 2, _]), "{answer:?}");
        }
    }
}

/// A complete hello of TLS 1.1 with one cipher (AES-128 with RSA) and no extensions.
const TLS_1_1_HELLO: &[u8] = b"\x16\x03\x01\x00\x2d\x01\x00\x00\x29\x03\x02\
    0123456789abcdef0123456789abcdef\x00\x00\x02\x00\x2f\x01\x00";

/// The same with the signature algorithms that clients of later versions offer.
const TLS_1_1_HELLO_WITH_SIGNATURES: &[u8] = b"\x16\x03\x01\x00\x37\x01\x00\x00\x33\x03\x02\
    0123456789abcdef0123456789abcdef\x00\x00\x02\x00\x2f\x01\x00\
    \x00\x08\x00\x0d\x00\x04\x00\x02\x04\x01";

/// What a dialler makes of an acceptor that answers whatever it gets with `answer`.
async fn dial_to(dialler: &TlsTransport, answer: &'static [u8]) -> TransportError {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Address::new("tls", "127.0.0.1", listener.local_addr().unwrap().port());
    let server = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        socket.read_u8().await.unwrap();
        socket.write_all(answer).await.unwrap();
        socket
    };
    let (dialled, _socket) = tokio::join!(dialler.connect(&url), server);
    dialled.err().unwrap()
}

#[tokio::test]
async fn a_plain_acceptor_is_recognised_by_its_first_frame() {
    for node in both_kinds() {
        let error = dial_to(&node, PROBE).await;
        assert_says(
            &error,
            Reason::PeerIsPlain,
            "speaks Broker without encryption: use tcp:// here",
        );
        assert!(error.to_string().starts_with("connecting to tls://127.0.0.1:"), "{error}");
        let error = dial_to(&node, b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        assert_says(&error, Reason::NotBroker, "speaks HTTP");
    }
}

#[tokio::test]
async fn an_acceptor_that_says_nothing_is_given_up() {
    for node in both_impatient() {
        let error = dial_to(&node, b"").await;
        assert_says(&error, Reason::TimedOut, "did not answer the TLS handshake within 100ms");
    }
}

#[tokio::test]
async fn garbage_from_an_acceptor_is_refused() {
    for node in both_kinds() {
        let error = dial_to(&node, b"\x16\x03\x03\x00\x05hello").await;
        assert_says(&error, Reason::NotBroker, "not valid TLS");
    }
}

#[tokio::test]
async fn a_plain_acceptor_hands_the_hello_on_and_the_dialler_fails() {
    let setting = Setting::new();
    let mut plain =
        TcpTransport::default().listen(&Address::new("tcp", "127.0.0.1", 0)).await.unwrap();
    let to = Address::new("tls", "127.0.0.1", plain.url().port());
    let accepting = async {
        let mut connection = accept(&mut *plain).await.unwrap();
        let mut received = ReadBuffer::new();
        connection.reader.recv(&mut received).await.unwrap();
        // It is the endpoint that recognises this, for every transport.
        received.pending().starts_with(b"\x16\x03")
    };
    let dialler = setting.endpoint("dialler");
    let (dialled, accepted) = tokio::join!(dialler.connect(&to), accepting);
    assert!(accepted, "the plain side got something else than a TLS hello");
    let error = dialled.err().unwrap();
    assert!(matches!(error.reason(), Reason::Closed | Reason::Reset), "{error}");
}

#[tokio::test]
async fn a_refused_dialler_is_told_why_by_its_first_read() {
    let setting = Setting::new();
    let stranger = setting.presenting("stranger", &Authority::new("another CA").issue("stranger"));
    let (dialled, accepted) = meet(&stranger, &setting.endpoint("acceptor")).await;
    let error = accepted.err().unwrap();
    assert_says(&error, Reason::PeerCertificate, "issued by \"CN=another CA\", which is not among");
    // In TLS 1.3 the dialler is done before the acceptor has seen its certificate.
    let error = dialled.unwrap().reader.recv(&mut ReadBuffer::new()).await.unwrap_err();
    assert_says(
        &error,
        Reason::OwnCertificate,
        "receiving: the other side does not trust the own certificate",
    );
}

#[tokio::test]
async fn a_refused_acceptor_is_told_why() {
    let setting = Setting::new();
    let stranger = setting.presenting("stranger", &Authority::new("another CA").issue("stranger"));
    let (dialled, accepted) = meet(&setting.endpoint("dialler"), &stranger).await;
    assert_says(&dialled.err().unwrap(), Reason::PeerCertificate, "issued by \"CN=another CA\"");
    let error = accepted.err().unwrap();
    assert_says(
        &error,
        Reason::OwnCertificate,
        "the other side does not trust the own certificate",
    );
}

#[tokio::test]
async fn an_own_certificate_out_of_its_time_is_reported_before_anybody_else_sees_it() {
    let setting = Setting::new();
    let url = Address::new("tls", "127.0.0.1", 9);
    for (issued, words) in [
        (setting.ca.issue_with("node", expired), "expired at"),
        (setting.ca.issue_with("node", not_yet_valid), "is not valid before"),
    ] {
        let node = setting.presenting("node", &issued);
        let error = node.listen(&url).await.err().unwrap();
        assert_says(&error, Reason::OwnCertificate, words);
        assert!(error.to_string().starts_with("listening on tls://127.0.0.1:9: "), "{error}");
    }
}

#[tokio::test]
async fn endpoints_with_and_without_certificates_tell_each_other_so() {
    let setting = Setting::new();
    let (dialled, accepted) =
        meet(&transport(TlsOptions::default()), &setting.endpoint("acceptor")).await;
    assert!(accepted.is_err());
    if let Ok(mut dialled) = dialled {
        let error = dialled.reader.recv(&mut ReadBuffer::new()).await.unwrap_err();
        assert_says(
            &error,
            Reason::OwnCertificate,
            "demands a certificate, and none is configured here",
        );
    }
    let (dialled, accepted) =
        meet(&setting.endpoint("dialler"), &transport(TlsOptions::default())).await;
    assert_says(
        &dialled.err().unwrap(),
        Reason::PeerCertificate,
        "is not among the configured CAs",
    );
    let error = accepted.err().unwrap();
    assert_says(
        &error,
        Reason::OwnCertificate,
        "demands a certificate, and none is configured here",
    );
}
