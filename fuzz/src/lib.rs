//! What the fuzzers run: one function per target, from bytes to a checked rule.
//!
//! The functions panic where a rule is broken and return otherwise. The tests replay the collected
//! inputs with them on any toolchain; the fuzzers, with the feature `libfuzzer`, need a nightly
//! one.

#![allow(clippy::unwrap_used, clippy::panic)]

mod config;
mod control;
mod data;
mod frames;
mod inbound;
mod json;
mod queue;
mod text;
mod wire;
mod world;

#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};

/// A target: its name, which is also the name of its corpus, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 16] = [
    ("anonymous_tls", broker_tls::anonymous::fuzzing::anonymous_tls),
    ("binary", data::binary),
    ("config", config::config),
    ("control", control::control),
    ("envelopes", wire::envelopes),
    ("frames", frames::frames),
    ("handshake", wire::handshake),
    ("inbound", inbound::inbound),
    ("json", json::json),
    ("queue", queue::queue),
    ("quic", broker_transport_quic::fuzzing::quic),
    ("text", text::text),
    ("views", data::views),
    ("websocket", broker_transport_ws::fuzzing::websocket),
    ("zeek", data::zeek),
    ("zmtp", broker_zmtp::fuzzing::zmtp),
];

/// Runs targets on everything that has been collected for them, each in the folder of its name, and
/// on some of it cut anywhere.
///
/// # Panics
///
/// An input breaks a rule, or there is none.
pub fn replay(targets: &[Target], corpora: &Path) {
    for (name, target) in targets {
        let inputs = corpus(&corpora.join(name));
        assert!(!inputs.is_empty(), "{name} has no corpus");
        for (path, input) in &inputs {
            let outcome = std::panic::catch_unwind(|| target(input));
            assert!(outcome.is_ok(), "{}", path.display());
        }
        for (_, input) in inputs.iter().take(40) {
            let step = 1 + input.len() / 64;
            (0..input.len()).step_by(step).for_each(|end| target(&input[..end]));
        }
    }
}

fn corpus(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|file| file.path());
    let mut inputs: Vec<_> =
        files.filter_map(|path| fs::read(&path).ok().map(|input| (path, input))).collect();
    inputs.sort();
    inputs
}

/// Runs a target on an input.
///
/// # Panics
///
/// The input breaks a rule, or there is no such target.
pub fn run(name: &str, input: &[u8]) {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    assert!(target.is_some(), "no target is called {name}");
    if let Some((_, target)) = target {
        target(input);
    }
}
