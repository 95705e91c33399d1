use crate::limits::WRITE_BATCH;
use std::cell::Cell;

/// Messages that a publisher may hand over in one turn however large they are: changing turns
/// costs about as much as copying a few of the largest.
const MESSAGES: usize = 16;

thread_local! {
    /// Messages and octets that were published on this thread since others had their turn.
    static HANDED_OVER: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

/// Lets other tasks run after every [`WRITE_BATCH`] octets that a thread has published.
///
/// A publisher that never has to wait would otherwise keep the writers it woke from running, since
/// the runtime starts them on the publisher's own thread: its queues would fill to the brim, or
/// overflow, before the first octet leaves.
pub(super) async fn take_turns(octets: usize) {
    let over = HANDED_OVER.with(|handed_over| {
        let (messages, sum) = handed_over.get();
        let (messages, sum) = (messages + 1, sum + octets);
        let over = messages >= MESSAGES && sum >= WRITE_BATCH;
        handed_over.set(if over { (0, 0) } else { (messages, sum) });
        over
    });
    if over {
        tokio::task::yield_now().await;
    }
}
