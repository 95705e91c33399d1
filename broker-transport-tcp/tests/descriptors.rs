//! Alone in its process, because it takes all descriptors away from it.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use broker_core::transport::Transport;
use broker_core::{Address, Reason};
use broker_transport_tcp::TcpTransport;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

#[tokio::test]
async fn a_listener_out_of_descriptors_says_so_and_recovers() {
    let transport = TcpTransport::default();
    let mut listener = transport.listen(&Address::new("tcp", "127.0.0.1", 0)).await.unwrap();
    let _client = transport.dial(listener.url()).await.unwrap();

    let normal = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(3), ..normal }).unwrap();
    let error = listener.accept().await.err().unwrap();
    assert_eq!(error.reason(), Reason::OutOfResources);
    assert!(error.to_string().ends_with("no file descriptor is left"), "{error}");

    setrlimit(Resource::Nofile, normal).unwrap();
    listener.accept().await.unwrap();
}
