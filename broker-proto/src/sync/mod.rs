//! The primitives that the queues and the routing table are made of.
//!
//! They are the usual ones, except in tests with `--cfg shuttle`: then they are models that let a
//! scheduler try what the threads can do in which order. Run these tests with
//! `RUSTFLAGS="--cfg shuttle" cargo test -p broker-proto --lib shuttle`.

#[cfg(all(test, shuttle))]
mod model;
#[cfg(all(test, shuttle))]
pub use model::{ArcSwap, AtomicBool, AtomicUsize, Guard, Mutex, MutexGuard};

#[cfg(not(all(test, shuttle)))]
pub(crate) use arc_swap::{ArcSwap, Guard};
#[cfg(not(all(test, shuttle)))]
pub(crate) use parking_lot::{Mutex, MutexGuard};
#[cfg(not(all(test, shuttle)))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicUsize};
