use super::{TARGETS, replay};
use std::fs;
use std::path::Path;

#[test]
fn the_collected_inputs_are_replayed() {
    replay(&TARGETS, &Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus"));
}

#[test]
fn every_target_is_a_fuzzer() {
    let fuzzers = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/fuzz_targets");
    let files = fs::read_dir(fuzzers).unwrap().map(|file| file.unwrap().path());
    let runs = |path: &Path| fs::read_to_string(path).unwrap().contains("broker_core::fuzzing::");
    // The others belong to other crates.
    let files = files.filter(|path| runs(path));
    let mut fuzzers: Vec<String> =
        files.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    fuzzers.sort();
    assert_eq!(fuzzers, TARGETS.map(|(name, _)| format!("{name}.rs")));
}
