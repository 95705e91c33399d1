//! Handshakes between two endpoints without a network.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

pub mod setting;

use broker_core::transport::Protection;
use broker_tls::{HandshakeReport, Tls, TlsOptions};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, ServerConfig, ServerConnection};
use std::io;
use std::sync::Arc;

/// How a handshake ended at one side.
pub type Outcome = Result<Protection, String>;

pub fn tls(options: TlsOptions) -> Tls {
    Tls::new(options).unwrap()
}

/// What the dialling and the accepting side make of each other.
pub fn handshake(dialler: &Tls, acceptor: &Tls) -> (Outcome, Outcome) {
    handshake_at(dialler, acceptor, "node.example")
}

pub fn handshake_at(dialler: &Tls, acceptor: &Tls, host: &str) -> (Outcome, Outcome) {
    let client = dialler.rustls_client(host).unwrap();
    let server = acceptor.rustls_server().unwrap();
    run(client, server)
}

/// Carries bytes to and fro until neither side has any left.
pub fn run(
    (client, client_report): (ClientConfig, HandshakeReport),
    (server, server_report): (ServerConfig, HandshakeReport),
) -> (Outcome, Outcome) {
    let name = ServerName::try_from("unused").unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
    let mut server = ServerConnection::new(Arc::new(server)).unwrap();
    let (mut client_end, mut server_end) = (None, None);
    loop {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        let mut moved = !bytes.is_empty();
        feed(bytes, &mut server_end, |rest| {
            server.read_tls(rest)?;
            server.process_new_packets().map(drop).map_err(io::Error::other)
        });
        let mut bytes = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        moved |= !bytes.is_empty();
        feed(bytes, &mut client_end, |rest| {
            client.read_tls(rest)?;
            client.process_new_packets().map(drop).map_err(io::Error::other)
        });
        if !moved {
            break;
        }
    }
    let outcome = |end: Option<io::Error>, report: &HandshakeReport, unfinished| match end {
        Some(error) => Err(report.explain(&error, "handshake").to_string()),
        None if unfinished => Err("unfinished".to_owned()),
        None => Ok(report.protection()),
    };
    (
        outcome(client_end, &client_report, client.is_handshaking()),
        outcome(server_end, &server_report, server.is_handshaking()),
    )
}

fn feed(
    bytes: Vec<u8>,
    end: &mut Option<io::Error>,
    mut read: impl FnMut(&mut &[u8]) -> io::Result<()>,
) {
    let mut rest = bytes.as_slice();
    while end.is_none() && !rest.is_empty() {
        *end = read(&mut rest).err();
    }
}
