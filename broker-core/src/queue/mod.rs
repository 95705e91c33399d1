//! Bounded queues of frames: one per peer between routing and its writer, one per local consumer.

mod bounded;
mod frames;
mod policy;
#[cfg(test)]
mod testing;
mod waits;

#[cfg(any(test, feature = "sim"))]
pub(crate) use bounded::QueueStats;
pub(crate) use bounded::{BoundedQueue, Bounds, Closing, Push, Taken};
pub(crate) use frames::Piece;
pub use policy::{OverflowPolicy, SubscriberPolicy, UnknownPolicy};
pub(crate) use waits::{Clock, WAIT_BOUNDS, WAIT_CLASSES, Waits};
