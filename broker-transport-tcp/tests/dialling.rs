//! What dialling does with names and addresses, and what it says when nobody answers.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use broker_core::transport::{Protection, Transport};
use broker_core::{Address, Reason};
use broker_transport_tcp::{Keepalive, TcpOptions, TcpTransport};
use socket2::SockRef;
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

fn url(text: &str) -> Address {
    text.parse().unwrap()
}

/// A port at which nothing listens: it was free, and nobody else is given it while it is bound.
fn unused_port() -> (socket2::Socket, u16) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    let port = socket.local_addr().unwrap().as_socket().unwrap().port();
    (socket, port)
}

#[tokio::test]
async fn a_name_reaches_a_listener_at_any_of_its_addresses() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = url("tcp://localhost:1").with_port(listener.local_addr().unwrap().port());
    let connection = TcpTransport::default().connect(&to).await.unwrap();
    assert_eq!(connection.link.remote, to);
    assert_eq!(connection.link.protection, Protection::Plain);
}

#[tokio::test]
async fn refusal_by_an_address_is_reported_with_the_address() {
    let (_keep, port) = unused_port();
    let to = url("tcp://127.0.0.1:1").with_port(port);
    let error = TcpTransport::default().connect(&to).await.err().unwrap();
    assert_eq!(error.reason(), Reason::Refused);
    let expected =
        format!("connecting to tcp://127.0.0.1:{port}: connection refused, nothing listens there");
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn refusal_by_a_name_is_reported_with_each_address_tried() {
    let (_keep, port) = unused_port();
    let to = url("tcp://localhost:1").with_port(port);
    let error = TcpTransport::default().connect(&to).await.err().unwrap();
    assert_eq!(error.reason(), Reason::Refused);
    let text = error.to_string();
    assert!(text.starts_with(&format!("connecting to tcp://localhost:{port}: ")), "{text}");
    assert!(text.contains(&format!("127.0.0.1:{port}: connection refused")), "{text}");
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_named() {
    let error = TcpTransport::default().connect(&url("tcp://broker.invalid:9999")).await;
    let error = error.err().unwrap();
    assert_eq!(error.reason(), Reason::NameResolution);
    assert!(error.to_string().contains("the name broker.invalid does not resolve"), "{error}");
}

#[tokio::test]
async fn addresses_that_cannot_be_dialled_fail_before_any_attempt() {
    for (text, reason) in [
        ("tcp://:9999", "the host is missing"),
        ("tcp://broker.invalid:0", "port 0"),
        ("tcp://127.0.0.1:9999/path", "has no path"),
        ("tcp://127.0.0.1:9999?pin=1", "no query"),
    ] {
        let error = TcpTransport::default().connect(&url(text)).await.err().unwrap();
        assert_eq!(error.reason(), Reason::InvalidAddress, "{text}");
        assert!(error.to_string().contains(reason), "{text} gave {error}");
    }
}

#[tokio::test]
async fn an_address_that_does_not_answer_is_given_up_after_the_connect_time() {
    // A listener whose backlog is full answers nothing at all.
    let full = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    full.bind(&std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    full.listen(0).unwrap();
    let port = full.local_addr().unwrap().as_socket().unwrap().port();
    let to = url("tcp://127.0.0.1:1").with_port(port);
    let time = Duration::from_millis(100);
    let transport = TcpTransport::new(TcpOptions { connect_time: time, ..TcpOptions::default() });
    let mut waiting = Vec::new();
    let error = loop {
        match transport.dial(&to).await {
            Ok(stream) => waiting.push(stream),
            Err(error) => break error,
        }
        assert!(waiting.len() < 100, "the backlog never fills");
    };
    assert_eq!(error.reason(), Reason::TimedOut);
    assert!(error.to_string().ends_with("no answer within 100ms"), "{error}");
}

#[tokio::test]
async fn options_are_set_on_dialled_and_on_accepted_sockets() {
    let keepalive =
        Keepalive { idle: Duration::from_secs(7), interval: Duration::from_secs(3), count: 4 };
    let options = TcpOptions { keepalive: Some(keepalive), ..TcpOptions::default() };
    let transport = TcpTransport::new(options);
    let mut acceptor = transport.bind(&url("tcp://127.0.0.1:0")).await.unwrap();
    let dialled = transport.dial(acceptor.url()).await.unwrap();
    let (accepted, _) = acceptor.accept().await.unwrap();
    for socket in [SockRef::from(&dialled), SockRef::from(&accepted)] {
        assert!(socket.tcp_nodelay().unwrap());
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), keepalive.idle);
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), keepalive.interval);
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), keepalive.count);
    }

    let bare = TcpOptions { keepalive: None, nodelay: false, ..TcpOptions::default() };
    let dialled = TcpTransport::new(bare).dial(acceptor.url()).await.unwrap();
    assert!(!SockRef::from(&dialled).keepalive().unwrap());
    assert!(!SockRef::from(&dialled).tcp_nodelay().unwrap());
}
