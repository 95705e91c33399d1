//! How publishers share a thread with those who write.

use broker_proto::limits::WRITE_BATCH;
use std::cell::Cell;

/// Messages that a publisher may hand over in one turn however large they are: changing turns
/// costs about as much as copying a few of the largest.
const MESSAGES: usize = 16;

thread_local! {
    /// Messages and bytes that were published on this thread since others had their turn.
    static HANDED_OVER: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

/// Whether this thread has published [`WRITE_BATCH`] bytes since others had their turn.
#[inline]
pub(super) fn is_over_budget() -> bool {
    let (messages, bytes) = HANDED_OVER.get();
    messages >= MESSAGES && bytes >= WRITE_BATCH
}

/// Lets other tasks run before the next message if [`is_over_budget`] says so.
///
/// A publisher that never has to wait would otherwise keep the writers it woke from running, since
/// the runtime starts them on the publisher's own thread: its queues would fill to the brim, or
/// overflow, before the first byte leaves. Before and not after, so that a message is never given
/// up that is already on its way.
pub(super) async fn yield_if_over_budget() {
    if is_over_budget() {
        HANDED_OVER.set((0, 0));
        tokio::task::yield_now().await;
    }
}

/// Counts messages that were handed over on this thread.
#[inline]
pub(super) fn charge_budget(messages: usize, bytes: usize) {
    let (messages_before, bytes_before) = HANDED_OVER.get();
    HANDED_OVER.set((messages_before + messages, bytes_before + bytes));
}
