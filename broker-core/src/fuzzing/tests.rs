//! The collected inputs, replayed.

use super::TARGETS;
use std::fs;
use std::path::{Path, PathBuf};

fn corpus(target: &str) -> Vec<PathBuf> {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    let folder = corpora.join(target);
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut files: Vec<PathBuf> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn every_target_has_a_corpus_and_gets_through_it() {
    for (name, target) in TARGETS {
        let inputs = corpus(name);
        assert!(!inputs.is_empty(), "{name} has no corpus");
        for path in inputs {
            let input = fs::read(&path).unwrap();
            let outcome = std::panic::catch_unwind(|| target(&input));
            assert!(outcome.is_ok(), "{}", path.display());
        }
    }
}

#[test]
fn every_target_gets_through_inputs_that_end_anywhere() {
    for (name, target) in TARGETS {
        for path in corpus(name).iter().take(40) {
            let input = fs::read(path).unwrap();
            let step = 1 + input.len() / 64;
            (0..input.len()).step_by(step).for_each(|end| target(&input[..end]));
        }
    }
}

#[test]
fn every_target_is_a_fuzzer() {
    let fuzzers = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/fuzz_targets");
    let files = fs::read_dir(fuzzers).unwrap();
    let mut fuzzers: Vec<String> =
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    fuzzers.sort();
    assert_eq!(fuzzers, TARGETS.map(|(name, _)| format!("{name}.rs")));
}
