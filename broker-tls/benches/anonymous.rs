//! What the anonymous mode costs, beside TLS 1.3: messages sealed by one side and opened by the
//! other, in one thread.

#![allow(missing_docs, reason = "made by the macros of criterion")]

use broker_tls::anonymous::{AnonymousConnection, AnonymousStatus};
use broker_tls::{Tls, TlsOptions};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rustls::pki_types::ServerName;
use std::io::{IoSlice, Read, Write};
use std::sync::Arc;

/// Moves what `from` has to send into `to`, and counts the plaintext that comes out.
fn carry(from: &mut AnonymousConnection, to: &mut AnonymousConnection) -> usize {
    let mut arrived = 0;
    while !from.output().is_empty() {
        let room = to.room();
        let count = room.len().min(from.output().len());
        let (head, output) = (room.get_mut(..count), from.output().get(..count));
        if let (Some(head), Some(output)) = (head, output) {
            head.copy_from_slice(output);
        }
        from.sent(count);
        to.arrived(count);
        while to.process() == Ok(AnonymousStatus::Data) {
            let count = to.plaintext().len();
            to.consume(count);
            arrived += count;
        }
    }
    arrived
}

fn send(from: &mut AnonymousConnection, to: &mut AnonymousConnection, message: &[u8]) {
    let mut arrived = 0;
    while arrived < message.len() {
        let rest = message.get(arrived..).unwrap_or_default();
        assert_ne!(from.send(&[IoSlice::new(rest)]), Ok(0));
        arrived += carry(from, to);
    }
}

fn pair() -> Option<(AnonymousConnection, AnonymousConnection)> {
    let (mut client, mut server) =
        (AnonymousConnection::client().ok()?, AnonymousConnection::server());
    while !client.is_established() || !server.is_established() {
        carry(&mut client, &mut server);
        carry(&mut server, &mut client);
    }
    Some((client, server))
}

/// Two sides of TLS 1.3 without authentication that have met.
fn tls13() -> Option<(rustls::ClientConnection, rustls::ServerConnection)> {
    let tls = Tls::new(TlsOptions::default()).ok()?;
    let (client, server) = (tls.rustls_client("x").ok()?.0, tls.rustls_server().ok()?.0);
    let name = ServerName::IpAddress(std::net::Ipv4Addr::LOCALHOST.into());
    let mut client = rustls::ClientConnection::new(Arc::new(client), name).ok()?;
    let mut server = rustls::ServerConnection::new(Arc::new(server)).ok()?;
    let mut pipe = Vec::new();
    while client.is_handshaking() || server.is_handshaking() {
        client.write_tls(&mut pipe).ok()?;
        server.read_tls(&mut pipe.as_slice()).ok()?;
        server.process_new_packets().ok()?;
        pipe.clear();
        server.write_tls(&mut pipe).ok()?;
        client.read_tls(&mut pipe.as_slice()).ok()?;
        client.process_new_packets().ok()?;
        pipe.clear();
    }
    Some((client, server))
}

fn send_tls13(
    from: &mut rustls::ClientConnection,
    to: &mut rustls::ServerConnection,
    message: &[u8],
    (pipe, plain): &mut (Vec<u8>, Vec<u8>),
) -> std::io::Result<()> {
    for part in message.chunks(1 << 16) {
        from.writer().write_all(part)?;
        while from.wants_write() {
            from.write_tls(pipe)?;
        }
        let mut arrived = pipe.as_slice();
        while !arrived.is_empty() {
            to.read_tls(&mut arrived)?;
            let state = to.process_new_packets().map_err(std::io::Error::other)?;
            plain.resize(state.plaintext_bytes_to_read(), 0);
            to.reader().read_exact(plain)?;
        }
        pipe.clear();
    }
    Ok(())
}

fn anonymous(criterion: &mut Criterion) {
    let Some((mut client, mut server)) = pair() else { return };
    let mut group = criterion.benchmark_group("anonymous");
    for (name, size) in [("1 MB message", 1_000_000), ("100 byte message", 100)] {
        let message = vec![7; size];
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| send(&mut client, &mut server, &message));
        });
        let Some((mut client, mut server)) = tls13() else { return };
        let mut buffers = (Vec::new(), Vec::new());
        group.bench_function(format!("{name}, TLS 1.3"), |bencher| {
            bencher.iter(|| send_tls13(&mut client, &mut server, &message, &mut buffers));
        });
    }
    group.finish();
    criterion.bench_function("anonymous/handshake", |bencher| bencher.iter(pair));
}

criterion_group!(benches, anonymous);
criterion_main!(benches);
