//! Bounded queues of frames: one per peer between routing and its writer, one per local consumer.

mod bounded;
mod frames;
#[cfg(test)]
mod testing;
mod waits;
mod wakers;

pub use bounded::{BoundedQueue, Bounds, Closing, Push, QueueStats, Taken};
pub use frames::Piece;
pub use waits::{Clock, WAIT_BOUNDS, WAIT_CLASSES, Waits};
