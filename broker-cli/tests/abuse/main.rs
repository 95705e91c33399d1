//! What strangers can do to a node, as a node with real sockets meets it: in every test a healthy
//! pair of peers exchanges numbered messages through the node all the time, without a gap, the
//! memory and the descriptors of the node stay within its limits, and every attacker is cut with
//! a reason.
//!
//! Everything is scaled down by small limits. `BROKER_ABUSE=10` makes it ten times as heavy.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;

mod attacker;
mod healthy;
mod stage;

mod descriptors;
mod handshakes;
mod lengths;
mod messages;
mod readers;
#[cfg(all(feature = "http", feature = "ws"))]
mod web;

/// How much heavier than usual everything is.
fn scale() -> usize {
    std::env::var("BROKER_ABUSE").map_or(1, |times| times.parse().expect("BROKER_ABUSE=number"))
}
