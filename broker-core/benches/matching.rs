//! What finding the destinations of a message costs, beside subscriptions that do not match:
//! `cargo bench -p broker-core --bench matching`.
//!
//! Local hubs stand for peers: their subscriptions are in the same table.

#![allow(missing_docs, clippy::unwrap_used)]

use broker_core::Endpoint;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use tokio::runtime::Builder;

/// Prefixes of each subscriber.
const PREFIXES: usize = 1000;

/// More topics than are remembered.
const TOPICS: usize = 10_000;

fn publish(criterion: &mut Criterion) {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let _context = runtime.enter();
    let mut group = criterion.benchmark_group("publish a number that nobody wants");
    for subscribers in [0, 1, 10, 100] {
        let endpoint = Endpoint::builder().build().unwrap();
        let prefixes = |hub: usize| {
            (0..PREFIXES).map(|number| format!("/wanted/{hub}/{number}/")).collect::<Vec<_>>()
        };
        let _hubs: Vec<_> = (0..subscribers).map(|hub| endpoint.hub(prefixes(hub))).collect();
        let publisher = endpoint.publisher("/wanted/no");
        group.bench_function(BenchmarkId::new("on one topic", subscribers), |bencher| {
            bencher.iter(|| runtime.block_on(publisher.publish(&1_u64)).unwrap());
        });
        let publishers: Vec<_> =
            (0..TOPICS).map(|number| endpoint.publisher(format!("/wanted/no/{number}"))).collect();
        let mut next = publishers.iter().cycle();
        group.bench_function(BenchmarkId::new("on ever new topics", subscribers), |bencher| {
            bencher.iter(|| runtime.block_on(next.next().unwrap().publish(&1_u64)).unwrap());
        });
    }
    group.finish();
}

criterion_group!(benches, publish);
criterion_main!(benches);
