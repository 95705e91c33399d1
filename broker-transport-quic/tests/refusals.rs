//! Connections that do not come about, and what both sides are told.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../../broker-tls/tests/pki/mod.rs"]
mod pki;
mod support;

use broker_core::transport::{Connection, Protection, Transport, TransportError};
use broker_core::{Address, Reason};
use broker_transport_quic::{ALPN, Pin, QuicOptions, QuicTransport, Tls, TlsOptions};
use pki::{Authority, Files, expired};
use std::net::SocketAddr;
use std::time::Duration;
use support::proxy::Proxy;
use support::{accept, anonymous, listen, local, meet, patient, raw, with_options};
use tokio::net::UdpSocket;

fn transport(options: TlsOptions) -> QuicTransport {
    QuicTransport::new(Tls::new(options).unwrap(), patient())
}

type Outcome = Result<Connection, TransportError>;

/// Checks that both sides failed, with these words in their messages.
#[track_caller]
fn assert_refused(outcomes: (Outcome, Outcome), dialler: &str, acceptor: &str) {
    let dialled = outcomes.0.err().expect("the dialler failed");
    let accepted = outcomes.1.err().expect("the acceptor failed");
    // One refused the certificate of the other, or missed it.
    let blamed = [dialled.reason(), accepted.reason()];
    assert!(blamed.contains(&Reason::PeerCertificate), "{dialled}; {accepted}");
    assert!(blamed.contains(&Reason::OwnCertificate), "{dialled}; {accepted}");
    assert!(dialled.to_string().contains(dialler), "the dialler says {dialled}");
    assert!(accepted.to_string().contains(acceptor), "the acceptor says {accepted}");
}

#[track_caller]
fn assert_reason(outcome: Outcome, reason: Reason, words: &str) {
    let error = outcome.err().expect("it failed");
    assert!(
        error.reason() == reason && error.to_string().contains(words),
        "{:?}: {error}",
        error.reason()
    );
}

#[tokio::test]
async fn certificates_of_one_ca_authenticate_both_sides_and_others_are_refused() {
    let (files, ca, other) = (Files::new(), Authority::new("the CA"), Authority::new("other CA"));
    let good = transport(files.options("good", &ca.issue("good"), &ca.pem));
    let peer = transport(files.options("peer", &ca.issue("peer"), &ca.pem));
    let (dialled, accepted) = meet(&peer, &good).await;
    assert_eq!(dialled.unwrap().link.protection, Protection::Authenticated("CN=good".into()));
    assert_eq!(accepted.unwrap().link.protection, Protection::Authenticated("CN=peer".into()));

    let stranger = transport(files.options("stranger", &other.issue("stranger"), &ca.pem));
    let not_ours = "issued by \"CN=other CA\", which is not among the configured CAs";
    assert_refused(meet(&stranger, &good).await, "does not trust the own certificate", not_ours);
    assert_refused(meet(&good, &stranger).await, not_ours, "does not trust the own certificate");

    // Another key under the name of a configured CA.
    let forged = Authority::new("the CA").issue("forged");
    let forger = transport(files.options("forger", &forged, &ca.pem));
    let another_key = "a signature in the chain of the certificate \"CN=forged\" is wrong";
    let (dialled, accepted) = meet(&forger, &good).await;
    assert!(dialled.is_err());
    assert_reason(accepted, Reason::PeerCertificate, another_key);
    let (dialled, accepted) = meet(&good, &forger).await;
    assert!(accepted.is_err());
    assert_reason(dialled, Reason::PeerCertificate, another_key);

    let late = transport(files.options("late", &ca.issue_with("late", expired), &ca.pem));
    let error = late.listen(&local()).await.err().unwrap();
    assert!(error.to_string().contains("expired"), "{error}");
}

#[tokio::test]
async fn a_side_without_a_certificate_is_refused_by_one_that_demands_it() {
    let (files, ca) = (Files::new(), Authority::new("the CA"));
    let good = transport(files.options("good", &ca.issue("good"), &ca.pem));
    assert_refused(
        meet(&anonymous(), &good).await,
        "the other side demands a certificate",
        "the other side presented no certificate",
    );
    let outcomes = meet(&good, &anonymous()).await;
    assert_reason(outcomes.0, Reason::PeerCertificate, "the other side is not trusted");
}

#[tokio::test]
async fn pins_tell_the_right_key_from_a_wrong_one() {
    let files = Files::new();
    let pinning = |name: &str, pins: Vec<Pin>| {
        let self_signed = Some(files.path().join(name));
        transport(TlsOptions { self_signed, pins, ..TlsOptions::default() })
    };
    let pin_of = |name: &str| {
        let self_signed = Some(files.path().join(name));
        let tls = Tls::new(TlsOptions { self_signed, ..TlsOptions::default() });
        tls.unwrap().own_pin().unwrap()
    };
    let (a, b, c) = (pin_of("a"), pin_of("b"), pin_of("c"));

    let (dialled, accepted) = meet(&pinning("a", vec![b]), &pinning("b", vec![a, c])).await;
    assert_eq!(dialled.unwrap().link.protection, Protection::Authenticated(format!("key {b}")));
    assert_eq!(accepted.unwrap().link.protection, Protection::Authenticated(format!("key {a}")));

    let outcomes = meet(&pinning("a", vec![c]), &pinning("b", vec![])).await;
    assert_refused(outcomes, "which is not pinned here", "is not among those");
    let outcomes = meet(&pinning("a", vec![b]), &pinning("b", vec![c])).await;
    assert_refused(outcomes, "is not among those", "which is not pinned here");
    assert_reason(
        meet_dialler(&pinning("a", vec![]), &pinning("b", vec![])).await,
        Reason::OwnCertificate,
        "no key is pinned",
    );
}

async fn meet_dialler(dialler: &QuicTransport, acceptor: &QuicTransport) -> Outcome {
    let listener = listen(acceptor).await;
    dialler.connect(&listener.url().clone().with_query("")).await
}

#[tokio::test]
async fn the_url_can_pin_the_key_of_the_side_that_is_dialled() {
    let tls = Tls::new(TlsOptions::default()).unwrap();
    let pin = tls.own_pin().unwrap();
    let mut listener = listen(&QuicTransport::new(tls, patient())).await;
    let with =
        |query: String| -> Address { format!("{}?{query}", listener.url()).parse().unwrap() };
    let wrong = Pin::of_public_key(b"another");
    let (right, wrong) =
        (with(format!("pin={wrong}&pin=sha256:{pin}")), with(format!("pin={wrong}")));
    let anonymous = anonymous();
    let (dialled, accepted) = tokio::join!(anonymous.connect(&right), accept(&mut *listener));
    assert_eq!(dialled.unwrap().link.protection, Protection::Authenticated(format!("key {pin}")));
    assert_eq!(accepted.unwrap().link.protection, Protection::Encrypted);

    let outcomes = tokio::join!(anonymous.connect(&wrong), accept(&mut *listener));
    assert_refused(outcomes, "which is not pinned here", "expects another key");
}

#[tokio::test]
async fn a_listener_with_a_key_of_its_own_tells_the_url_that_pins_it() {
    let files = Files::new();
    let with_key = |name: &str| {
        let self_signed = Some(files.path().join(name));
        transport(TlsOptions { self_signed, ..TlsOptions::default() })
    };
    let mut listener = listen(&with_key("acceptor")).await;
    let url: Address = listener.url().to_string().parse().unwrap();
    let dialler = with_key("dialler");
    let (dialled, accepted) = tokio::join!(dialler.connect(&url), accept(&mut *listener));
    assert!(matches!(dialled.unwrap().link.protection, Protection::Authenticated(_)));
    accepted.unwrap();
    assert_eq!(listen(&anonymous()).await.url().query(), "");
}

#[tokio::test]
async fn urls_that_cannot_be_meant_are_refused_with_a_reason() {
    for (url, words) in [
        ("quic://127.0.0.1:1/path", "no path"),
        ("quic://127.0.0.1:1?pin=12", "is not a pin"),
        ("quic://127.0.0.1:1?pim=12", "only pin is"),
        ("quic://127.0.0.1:0", "port 0"),
        ("quic://:1", "host is missing"),
    ] {
        assert_reason(
            anonymous().connect(&url.parse().unwrap()).await,
            Reason::InvalidAddress,
            words,
        );
    }
    for (url, words) in
        [("quic://127.0.0.1:1/path", "no path"), ("quic://127.0.0.1:1?pin=1", "no query")]
    {
        let error = anonymous().listen(&url.parse().unwrap()).await.err().unwrap();
        assert!(error.to_string().contains(words), "{error}");
    }
}

#[tokio::test]
async fn another_protocol_over_quic_is_recognised_from_both_sides() {
    let server = raw::server(&[b"h3"]);
    let url = local().with_port(server.local_addr().unwrap().port());
    let serve = async {
        server.accept().await.unwrap().await.unwrap_err();
    };
    let anonymous = anonymous();
    let (dialled, ()) = tokio::join!(anonymous.connect(&url), serve);
    assert_reason(dialled, Reason::NotBroker, "but not Broker");

    // TLS does not mind a side that names no protocol at all.
    let server = raw::server(&[]);
    let url = local().with_port(server.local_addr().unwrap().port());
    let serve = async { server.accept().await.unwrap().await };
    let (dialled, served) = tokio::join!(anonymous.connect(&url), serve);
    assert_reason(dialled, Reason::NotBroker, "but not Broker");
    drop(served);

    for alpn in [&[b"h3".as_slice()][..], &[]] {
        let mut listener = listen(&anonymous).await;
        let to = SocketAddr::from(([127, 0, 0, 1], listener.url().port()));
        let client = raw::client();
        let dial =
            async { client.connect_with(raw::client_config(alpn), to, "host").unwrap().await };
        let (dialled, accepted) = tokio::join!(dial, accept(&mut *listener));
        drop(dialled);
        assert_reason(accepted, Reason::NotBroker, "but not Broker");
    }
}

#[tokio::test]
async fn dialling_where_nobody_listens_says_so() {
    let free = UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let outcome = anonymous().connect(&local().with_port(free)).await;
    assert_reason(outcome, Reason::Refused, "nothing listens there for QUIC");
}

#[tokio::test]
async fn dialling_what_does_not_answer_ends_in_time_and_says_what_may_be_wrong() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let connect_time = Duration::from_millis(200);
    let dialler = with_options(QuicOptions { connect_time, ..patient() });
    let url = local().with_port(silent.local_addr().unwrap().port());
    assert_reason(dialler.connect(&url).await, Reason::TimedOut, "no answer within 200ms");

    // It takes part in the handshake of QUIC, and is mute after it.
    let mute = raw::server(&[ALPN]);
    let url = local().with_port(mute.local_addr().unwrap().port());
    let handshake_time = Duration::from_millis(200);
    let dialler = with_options(QuicOptions { handshake_time, ..patient() });
    let accept = async { mute.accept().await.unwrap().await };
    let (dialled, _accepted) = tokio::join!(dialler.connect(&url), accept);
    assert_reason(dialled, Reason::TimedOut, "answered, but did not finish");
}

#[tokio::test]
async fn whoever_is_not_admitted_is_refused_and_told() {
    let mut listener = listen(&anonymous()).await;
    let url = listener.url().clone();
    let refuse = async { drop(listener.accept().await.unwrap()) };
    let dialler = anonymous();
    let (dialled, ()) = tokio::join!(dialler.connect(&url), refuse);
    assert_reason(dialled, Reason::Refused, "accepts no more connections at present");
}

#[tokio::test]
async fn when_many_handshakes_hang_newcomers_have_to_prove_their_address() {
    /// The first byte of a packet that asks for the proof.
    const RETRY: u8 = 0xf0;
    let mut listener = listen(&anonymous()).await;
    let dialler = anonymous();
    let quiet = Proxy::to(listener.url()).await;
    let (dialled, accepted) = tokio::join!(dialler.connect(&quiet.url), accept(&mut *listener));
    let _pair = (dialled.unwrap(), accepted.unwrap());
    assert_ne!(quiet.first_answer().unwrap() & RETRY, RETRY);

    let silent = Proxy::to(listener.url()).await;
    silent.lose_answers();
    let client = raw::client();
    let to = SocketAddr::from(([127, 0, 0, 1], silent.url.port()));
    let mut hanging = Vec::new();
    for _ in 0..32 {
        let dial = client.connect_with(raw::client_config(&[ALPN]), to, "host").unwrap();
        let in_progress = tokio::spawn(listener.accept().await.unwrap().establish);
        hanging.push((dial, in_progress));
    }
    // The tasks count as soon as they run.
    tokio::task::yield_now().await;
    let busy = Proxy::to(listener.url()).await;
    let (dialled, accepted) = tokio::join!(dialler.connect(&busy.url), accept(&mut *listener));
    let _pair = (dialled.unwrap(), accepted.unwrap());
    assert_eq!(busy.first_answer().unwrap() & RETRY, RETRY);
}

#[tokio::test]
async fn garbage_does_not_disturb_a_listener() {
    let mut listener = listen(&anonymous()).await;
    let url = listener.url().clone();
    let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    stranger.connect(("127.0.0.1", url.port())).await.unwrap();
    let mut rng = fastrand::Rng::with_seed(1);
    for _ in 0..2000 {
        let mut datagram: Vec<u8> = (0..rng.usize(..1500)).map(|_| rng.u8(..)).collect();
        // Half of them look like the first packet of a connection.
        if rng.bool() && datagram.len() > 6 {
            datagram[0] |= 0xc0;
            datagram[1..6].copy_from_slice(&[0, 0, 0, 1, 8]);
        }
        let _ = stranger.send(&datagram).await;
    }
    let dialler = anonymous();
    let established = async {
        loop {
            // Whatever of it was taken for a connection fails.
            if let Ok(connection) = accept(&mut *listener).await {
                break connection;
            }
        }
    };
    let (dialled, _accepted) = tokio::join!(dialler.connect(&url), established);
    dialled.unwrap();
}

#[tokio::test]
async fn a_port_in_use_is_named_and_port_0_becomes_a_real_one() {
    let transport = anonymous();
    let listener = listen(&transport).await;
    assert_ne!(listener.url().port(), 0);
    let error = transport.listen(listener.url()).await.err().unwrap();
    assert_eq!(error.reason(), Reason::AddressInUse);
    let port = listener.url().port().to_string();
    assert!(error.to_string().contains(&port), "{error}");
}

#[tokio::test]
async fn both_ip_versions_are_served_at_every_address() {
    let transport = anonymous();
    let mut listener = transport.listen(&Address::new("quic", "", 0)).await.unwrap();
    let url = listener.url().clone();
    let mut hosts = vec!["127.0.0.1", "localhost"];
    if std::net::UdpSocket::bind("[::1]:0").is_ok() {
        hosts.push("::1");
    }
    for host in hosts {
        let to = url.clone().with_host(host);
        let (dialled, accepted) = tokio::join!(transport.connect(&to), accept(&mut *listener));
        assert_eq!(dialled.unwrap().link.remote, to);
        accepted.unwrap();
    }
}
