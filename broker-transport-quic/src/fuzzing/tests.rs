use std::path::Path;

#[test]
fn the_collected_inputs_are_replayed() {
    let corpora = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus"));
    broker_core::fuzzing::replay(&[("quic", super::quic)], corpora);
}
