//! `unix://`: whom a socket lets in, and what becomes of its file.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use broker_core::endpoint::Retry;
use broker_core::transport::{Protection, Transport};
use broker_core::{Address, Endpoint, Reason};
use broker_transport_tcp::UnixTransport;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn url(path: &Path) -> Address {
    format!("unix://{}", path.display()).parse().unwrap()
}

#[tokio::test]
async fn messages_go_both_ways_and_the_system_says_who_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let at = url(&folder.path().join("broker.sock"));
    let build = || Endpoint::builder().transport(UnixTransport).build().unwrap();
    let (a, b) = (build(), build());
    assert_eq!(a.listen(&at).await.unwrap(), at);
    let (mut at_a, mut at_b) = (a.subscribe(["/a"]), b.subscribe(["/b"]));
    b.peer(&at, Retry::never()).await.unwrap();
    assert!(a.await_peer(b.id()).await);
    a.publish("/b", &1_u64).await.unwrap();
    b.publish("/a", &2_u64).await.unwrap();
    assert_eq!(at_b.recv().await.unwrap().data().unwrap().to_string(), "1");
    assert_eq!(at_a.recv().await.unwrap().data().unwrap().to_string(), "2");
    let (user, process) = (rustix::process::getuid().as_raw(), std::process::id());
    let shown = format!("same host, user {user}, process {process}");
    let peers = [a.peers(), b.peers()];
    for peer in peers.iter().flatten() {
        assert_eq!(peer.protection.as_ref().map(Protection::to_string), Some(shown.clone()));
    }
}

#[tokio::test]
async fn a_socket_is_for_its_user_unless_the_address_says_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broker.sock");
    for (query, mode) in [("", 0o600), ("?mode=660", 0o660), ("?mode=0777", 0o777)] {
        let at = format!("{}{query}", url(&path)).parse().unwrap();
        let listener = UnixTransport.listen(&at).await.unwrap();
        assert_eq!(listener.url(), &at);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, mode);
    }
    for query in ["?mode=999", "?mode=1777", "?mode", "?owner=1"] {
        let at: Address = format!("{}{query}", url(&path)).parse().unwrap();
        let error = UnixTransport.listen(&at).await.map(drop).unwrap_err();
        assert_eq!(error.reason(), Reason::InvalidAddress, "{error}");
    }
}

#[tokio::test]
async fn a_socket_left_behind_is_replaced_and_nothing_else_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broker.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "left behind");
    let listener = UnixTransport.listen(&url(&path)).await.unwrap();
    let error = UnixTransport.listen(&url(&path)).await.map(drop).unwrap_err();
    assert_eq!(error.reason(), Reason::AddressInUse, "{error}");
    drop(listener);
    assert!(!path.exists(), "taken away");
    std::fs::write(&path, "a file").unwrap();
    assert!(UnixTransport.listen(&url(&path)).await.is_err());
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "a file");
}

#[tokio::test]
async fn a_listener_leaves_alone_what_took_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broker.sock");
    let listener = UnixTransport.listen(&url(&path)).await.unwrap();
    std::fs::remove_file(&path).unwrap();
    let second = UnixTransport.listen(&url(&path)).await.unwrap();
    drop(listener);
    assert!(path.exists());
    drop(second);
    assert!(!path.exists());
}

#[tokio::test]
async fn without_anybody_a_connection_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broker.sock");
    let error = UnixTransport.connect(&url(&path)).await.map(drop).unwrap_err();
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    for text in ["unix://host/path", "unix://", "unix:///", "unix://127.0.0.1:1/x"] {
        assert!(text.parse::<Address>().is_err(), "{text}");
    }
}
