//! Servers of the JSON API as peers: this one, and a scripted one that behaves like Zeek's.

#![allow(clippy::unwrap_used, clippy::panic)]

mod circles;
mod delivery;
mod directions;
mod peering;
mod support;
