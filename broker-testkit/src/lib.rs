//! What tests of several crates share. Not published.

#![allow(missing_docs, clippy::panic, clippy::unwrap_used)]

pub mod nats;
pub mod tools;
pub mod websocket;
