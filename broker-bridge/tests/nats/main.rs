//! Bridges to real servers of NATS. Where there is none, each test says so in a line and passes.

#![allow(clippy::unwrap_used, clippy::panic)]

mod access;
mod circles;
mod jetstream;
mod subjects;
mod support;
