//! What the anonymous mode costs: messages sealed by one side and opened by the other.

#![allow(missing_docs, reason = "made by the macros of criterion")]

use broker_tls::anonymous::{Connection, Status};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::io::IoSlice;

/// Moves what `from` has to send into `to`, and counts the plaintext that comes out.
fn carry(from: &mut Connection, to: &mut Connection) -> usize {
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
        while to.process() == Ok(Status::Data) {
            let count = to.plaintext().len();
            to.consume(count);
            arrived += count;
        }
    }
    arrived
}

fn send(from: &mut Connection, to: &mut Connection, message: &[u8]) {
    let mut arrived = 0;
    while arrived < message.len() {
        let rest = message.get(arrived..).unwrap_or_default();
        assert_ne!(from.send(&[IoSlice::new(rest)]), Ok(0));
        arrived += carry(from, to);
    }
}

fn pair() -> Option<(Connection, Connection)> {
    let (mut client, mut server) = (Connection::client().ok()?, Connection::server());
    while !client.is_established() || !server.is_established() {
        carry(&mut client, &mut server);
        carry(&mut server, &mut client);
    }
    Some((client, server))
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
    }
    group.finish();
    criterion.bench_function("anonymous/handshake", |bencher| bencher.iter(pair));
}

criterion_group!(benches, anonymous);
criterion_main!(benches);
