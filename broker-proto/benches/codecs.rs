//! The codecs, for each shape of event: `cargo bench -p broker-core --bench codecs`.

#![allow(missing_docs, clippy::unwrap_used)]

mod shapes;

use broker_data::{DecodeLimits, Encode, Value, View, json, validate};
use broker_proto::EndpointId;
use broker_proto::wire::envelope::{Envelope, EnvelopeType};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;

/// Runs `work` for the value and the bytes of every shape.
fn each(criterion: &mut Criterion, name: &str, mut work: impl FnMut(&Value, &[u8])) {
    let mut group = criterion.benchmark_group(name);
    for (shape, value) in shapes::all() {
        let bytes = value.encode();
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(BenchmarkId::from_parameter(shape), |bencher| {
            bencher.iter(|| work(black_box(&value), black_box(&bytes)));
        });
    }
    group.finish();
}

fn binary(criterion: &mut Criterion) {
    let mut out = Vec::new();
    each(criterion, "encode a value", |value, _| {
        out.clear();
        Encode::encode_into(value, &mut out);
        black_box(&out);
    });
    each(criterion, "frame an encoded value", |_, payload| {
        out.clear();
        let envelope = Envelope {
            sender: EndpointId::NIL,
            receiver: EndpointId::NIL,
            kind: EnvelopeType::Data,
            ttl: 16,
            topic: b"/benchmark/events",
            payload,
        };
        envelope.put_frame(&mut out).unwrap();
        black_box(&out);
    });
    each(criterion, "validate", |_, bytes| {
        validate(bytes, DecodeLimits::default()).unwrap();
    });
    each(criterion, "decode into an owned value", |_, bytes| {
        black_box(Value::decode(bytes).unwrap());
    });
    each(criterion, "parse a view and read the last argument", |_, bytes| {
        let view = View::parse(bytes).unwrap();
        let arguments = view.path([2, 1]).unwrap();
        black_box(arguments.get(arguments.len() - 1));
    });
}

fn text(criterion: &mut Criterion) {
    let mut out = Vec::new();
    each(criterion, "value to JSON", |value, _| {
        out.clear();
        json::write_value(value, &mut out);
        black_box(&out);
    });
    each(criterion, "view to JSON", |_, bytes| {
        out.clear();
        json::write_value(&View::parse(bytes).unwrap(), &mut out);
        black_box(&out);
    });
    let mut group = criterion.benchmark_group("value from JSON");
    for (shape, value) in shapes::all() {
        let text = json::to_string(&value);
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(BenchmarkId::from_parameter(shape), |bencher| {
            bencher.iter(|| json::from_str(black_box(&text)).unwrap());
        });
    }
    group.finish();
}

criterion_group!(benches, binary, text);
criterion_main!(benches);
