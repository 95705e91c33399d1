use crate::other_side::Incoming;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::Notify;

/// What came from the other side and waits for the overlay, bounded.
///
/// A kind whose other side must never be slowed down reads everything at once into an inbox. When
/// that is full, the newest message is dropped and counted, and the count is told in front of what
/// comes next, as [`Incoming::Dropped`].
#[derive(Debug)]
pub(crate) struct Inbox {
    shared: Arc<Shared>,
}

/// Puts what came into an [`Inbox`]; clones put it into the same one.
#[derive(Debug, Clone)]
pub(crate) struct InboxSender {
    shared: Arc<Shared>,
    _open: Arc<Open>,
}

/// How much an inbox holds at most.
#[derive(Debug, Clone, Copy)]
pub(crate) struct InboxLimits {
    pub(crate) messages: usize,
    /// Bytes of topics and payloads. An empty inbox takes a message of any length.
    pub(crate) bytes: usize,
}

#[derive(Debug)]
struct Shared {
    limits: InboxLimits,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Incoming>,
    messages: usize,
    bytes: usize,
    dropped: u64,
    is_closed: bool,
}

/// Tells the inbox when the last sender is gone.
#[derive(Debug)]
struct Open(Arc<Shared>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.state.lock().is_closed = true;
        self.0.changed.notify_one();
    }
}

impl Inbox {
    pub(crate) fn new(limits: InboxLimits) -> (InboxSender, Self) {
        let (state, changed) = (Mutex::default(), Notify::new());
        let shared = Arc::new(Shared { limits, state, changed });
        let open = Arc::new(Open(Arc::clone(&shared)));
        (InboxSender { shared: Arc::clone(&shared), _open: open }, Self { shared })
    }

    /// The next thing that came; `None` if nothing is left and nothing more can come. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<Incoming> {
        loop {
            let changed = self.shared.changed.notified();
            {
                let mut state = self.shared.state.lock();
                if let Some(incoming) = state.take() {
                    return Some(incoming);
                }
                if state.is_closed {
                    return None;
                }
            }
            changed.await;
        }
    }
}

impl State {
    fn take(&mut self) -> Option<Incoming> {
        if self.dropped > 0 {
            return Some(Incoming::Dropped(std::mem::take(&mut self.dropped)));
        }
        let incoming = self.waiting.pop_front()?;
        if let Some(bytes) = length(&incoming) {
            self.messages -= 1;
            self.bytes -= bytes;
        }
        Some(incoming)
    }
}

impl InboxSender {
    /// Notes messages that were dropped in front of the inbox.
    #[cfg(feature = "nats")]
    pub(crate) fn note_dropped(&self, count: u64) {
        self.shared.state.lock().dropped += count;
        self.shared.changed.notify_one();
    }

    /// Puts something in, or drops it if it is a message and there is no room. Never waits.
    pub(crate) fn push(&self, incoming: Incoming) {
        let InboxLimits { messages, bytes } = self.shared.limits;
        let mut state = self.shared.state.lock();
        match length(&incoming) {
            Some(length)
                if state.messages > 0
                    && (state.messages >= messages || state.bytes + length > bytes) =>
            {
                state.dropped += 1;
            }
            length => {
                state.messages += usize::from(length.is_some());
                state.bytes += length.unwrap_or_default();
                state.waiting.push_back(incoming);
            }
        }
        drop(state);
        self.shared.changed.notify_one();
    }
}

/// The bytes of a message; everything else always has room, as there is little of it.
fn length(incoming: &Incoming) -> Option<usize> {
    match incoming {
        Incoming::Message { topic, payload } => Some(topic.len() + payload.len()),
        // Of these the other side can make as many as of messages.
        Incoming::Left { text, .. } | Incoming::Unexpected(text) => Some(text.len()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(length: usize) -> Incoming {
        Incoming::Message { topic: Vec::new(), payload: vec![0; length] }
    }

    async fn drain(inbox: &mut Inbox) -> (usize, u64) {
        let (mut messages, mut dropped) = (0, 0);
        while let Some(incoming) = inbox.next().await {
            match incoming {
                Incoming::Dropped(count) => dropped += count,
                Incoming::Message { .. } => messages += 1,
                _ => {}
            }
        }
        (messages, dropped)
    }

    #[tokio::test]
    async fn what_does_not_fit_is_dropped_and_counted() {
        for (messages, bytes, kept) in [(3, 1000, 3), (100, 50, 5), (100, 1, 1)] {
            let (sender, mut inbox) = Inbox::new(InboxLimits { messages, bytes });
            (0..20).for_each(|_| sender.push(message(10)));
            // What is no message has room.
            sender.push(Incoming::Confirmed(1));
            drop(sender);
            assert_eq!(drain(&mut inbox).await, (kept, 20 - kept as u64));
        }
    }

    #[tokio::test]
    async fn room_comes_back_with_what_is_taken() {
        let (sender, mut inbox) = Inbox::new(InboxLimits { messages: 1, bytes: 10 });
        for _ in 0..5 {
            sender.push(message(10));
            assert!(matches!(inbox.next().await, Some(Incoming::Message { .. })));
        }
        drop(sender);
        assert_eq!(drain(&mut inbox).await, (0, 0));
    }
}
