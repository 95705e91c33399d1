use super::{TARGETS, replay};
use std::fs;
use std::path::Path;

#[test]
fn the_collected_inputs_are_replayed() {
    replay(&TARGETS, &Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus"));
}

#[test]
fn every_target_is_a_fuzzer() {
    let fuzzers = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz_targets");
    let files = fs::read_dir(fuzzers).unwrap().map(|file| file.unwrap().path());
    let mut fuzzers: Vec<String> =
        files.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    fuzzers.sort();
    assert_eq!(fuzzers, TARGETS.map(|(name, _)| format!("{name}.rs")));
}
