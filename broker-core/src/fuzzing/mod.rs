//! What the fuzzers run: one function per target, from octets to a checked rule.
//!
//! The functions panic where a rule is broken and return otherwise. They are here, and not with the
//! fuzzers, because some of them need the inside of this crate, and because the tests replay the
//! collected inputs with the same functions on any toolchain.

mod config;
mod control;
mod data;
mod frames;
mod inbound;
mod input;
mod json;
mod queue;
mod text;
mod wire;
mod world;

#[cfg(test)]
mod tests;

/// A target: its name, which is also the name of its corpus, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: [Target; 12] = [
    ("binary", data::binary),
    ("config", config::config),
    ("control", control::control),
    ("envelopes", wire::envelopes),
    ("frames", frames::frames),
    ("handshake", wire::handshake),
    ("inbound", inbound::inbound),
    ("json", json::json),
    ("queue", queue::queue),
    ("text", text::text),
    ("views", data::views),
    ("zeek", data::zeek),
];

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
