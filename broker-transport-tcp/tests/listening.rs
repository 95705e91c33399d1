//! Where a listener can be, and what is said when it cannot be there.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use broker_core::transport::{Listener, Protection, Transport};
use broker_core::{Address, Reason};
use broker_transport_tcp::TcpTransport;
use std::net::TcpListener;

async fn listen(host: &str) -> Box<dyn Listener> {
    TcpTransport::default().listen(&Address::new("tcp", host, 0)).await.unwrap()
}

/// Connects to `host` at the listener's port and returns what the listener sees of the client.
async fn remote_of_client(listener: &mut dyn Listener, host: &str) -> String {
    let to = listener.url().clone().with_host(host);
    let _client = TcpTransport::default().connect(&to).await.unwrap();
    let incoming = listener.accept().await.unwrap();
    let connection = incoming.establish.await.unwrap().into_peer().unwrap();
    assert_eq!(connection.link.remote, incoming.remote);
    assert_eq!(connection.link.protection, Protection::Plain);
    incoming.remote.host().to_owned()
}

async fn is_refused(listener: &dyn Listener, host: &str) -> bool {
    let to = listener.url().clone().with_host(host);
    let error = TcpTransport::default().connect(&to).await.err();
    error.is_some_and(|error| error.reason() == Reason::Refused)
}

fn ipv6_is_available() -> bool {
    TcpListener::bind("[::1]:0").is_ok()
}

#[tokio::test]
async fn the_url_of_a_listener_has_the_port_it_was_given() {
    let listener = listen("127.0.0.1").await;
    assert_ne!(listener.url().port(), 0);
    assert_eq!(listener.url().host(), "127.0.0.1");
}

#[tokio::test]
async fn no_host_means_every_address() {
    let mut listener = listen("").await;
    if ipv6_is_available() {
        assert_eq!(remote_of_client(&mut *listener, "127.0.0.1").await, "::ffff:127.0.0.1");
        assert_eq!(remote_of_client(&mut *listener, "::1").await, "::1");
    } else {
        assert_eq!(remote_of_client(&mut *listener, "127.0.0.1").await, "127.0.0.1");
    }
}

#[tokio::test]
async fn the_ipv6_wildcard_serves_both_ip_versions() {
    if ipv6_is_available() {
        let mut listener = listen("::").await;
        assert_eq!(remote_of_client(&mut *listener, "127.0.0.1").await, "::ffff:127.0.0.1");
        assert_eq!(remote_of_client(&mut *listener, "::1").await, "::1");
    }
}

#[tokio::test]
async fn the_ipv4_wildcard_serves_ipv4_alone() {
    let mut listener = listen("0.0.0.0").await;
    assert_eq!(remote_of_client(&mut *listener, "127.0.0.1").await, "127.0.0.1");
    if ipv6_is_available() {
        assert!(is_refused(&*listener, "::1").await);
    }
}

#[tokio::test]
async fn a_literal_address_is_bound_alone() {
    let mut listener = listen("127.0.0.1").await;
    assert_eq!(remote_of_client(&mut *listener, "127.0.0.1").await, "127.0.0.1");
    assert!(is_refused(&*listener, "127.0.0.2").await);
    if ipv6_is_available() {
        let mut listener = listen("::1").await;
        assert_eq!(remote_of_client(&mut *listener, "::1").await, "::1");
        assert!(is_refused(&*listener, "127.0.0.1").await);
    }
}

#[tokio::test]
async fn a_mapped_ipv4_address_is_the_ipv4_address() {
    let mut listener = listen("::ffff:127.0.0.1").await;
    assert_eq!(remote_of_client(&mut *listener, "127.0.0.1").await, "127.0.0.1");
}

#[tokio::test]
async fn a_name_is_served_at_all_its_addresses_on_one_port() {
    let addresses = tokio::net::lookup_host(("localhost", 0)).await.unwrap();
    let mut listener = listen("localhost").await;
    assert_eq!(listener.url().host(), "localhost");
    for address in addresses {
        let host = address.ip().to_string();
        assert_eq!(remote_of_client(&mut *listener, &host).await, host);
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_name_of_an_interface_is_served_at_all_its_addresses_on_one_port() {
    let mut listener = listen("lo").await;
    assert_eq!(remote_of_client(&mut *listener, "127.0.0.1").await, "127.0.0.1");
    if ipv6_is_available() {
        assert_eq!(remote_of_client(&mut *listener, "::1").await, "::1");
    }
}

#[tokio::test]
async fn each_reason_not_to_listen_has_its_own_message() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    for (at, reason, text) in [
        (
            format!("tcp://127.0.0.1:{port}"),
            Reason::AddressInUse,
            format!("127.0.0.1:{port} is already in use, by another process or another listener"),
        ),
        (
            format!("tcp://localhost:{port}"),
            Reason::AddressInUse,
            format!("127.0.0.1:{port} is already in use, by another process or another listener"),
        ),
        (
            "tcp://192.0.2.1:0".to_owned(),
            Reason::AddressNotAvailable,
            "192.0.2.1 is not an address of this machine".to_owned(),
        ),
    ] {
        let error = TcpTransport::default().listen(&at.parse().unwrap()).await.err().unwrap();
        assert_eq!(error.reason(), reason);
        assert_eq!(error.to_string(), format!("listening on {at}: {text}"));
    }
}

#[tokio::test]
async fn a_name_that_is_neither_interface_nor_host_is_refused() {
    let at = Address::new("tcp", "eth9.invalid", 0);
    let error = TcpTransport::default().listen(&at).await.err().unwrap();
    assert_eq!(error.reason(), Reason::NameResolution);
    assert!(error.to_string().contains("no network interface is called eth9.invalid"), "{error}");
}

#[tokio::test]
async fn a_port_is_free_again_when_its_listener_is_dropped() {
    let mut listener = listen("127.0.0.1").await;
    // The connection that outlives its listener keeps the port busy unless reuse is allowed.
    let at = listener.url().clone();
    let _client = TcpTransport::default().dial(&at).await.unwrap();
    let _accepted = listener.accept().await.unwrap();
    drop(listener);
    TcpTransport::default().listen(&at).await.unwrap();
}

#[tokio::test]
async fn clients_of_all_addresses_are_accepted_in_turn() {
    let mut acceptor =
        TcpTransport::default().bind(&Address::new("tcp", "localhost", 0)).await.unwrap();
    let addresses: Vec<_> = tokio::net::lookup_host(("localhost", 0)).await.unwrap().collect();
    let mut clients = Vec::new();
    for address in &addresses {
        let to = acceptor.url().clone().with_host(&address.ip().to_string());
        for _ in 0..3 {
            clients.push(TcpTransport::default().dial(&to).await.unwrap());
        }
    }
    for _ in 0..clients.len() {
        let (_, remote) = acceptor.accept().await.unwrap();
        let own = |client: &tokio::net::TcpStream| client.local_addr().unwrap().port();
        let before = clients.len();
        clients.retain(|client| own(client) != remote.port());
        assert_eq!(clients.len(), before - 1);
    }
}
