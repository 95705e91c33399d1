use crate::wire::STREAMS;
use broker_core::transport::TransportError;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::VecDeque;
use tokio::sync::Notify;

/// Sorted bytes between the writer, which fills in, and the pump, which empties.
pub(crate) struct Outgoing {
    state: Mutex<State>,
    /// Tells the pump that there is something new.
    filled: Notify,
    /// Tells the writer that something has gone.
    emptied: Notify,
}

#[derive(Default)]
struct State {
    streams: [Vec<Bytes>; STREAMS],
    /// Bytes that the streams have not accepted, those that the pump has already fetched included.
    waiting: usize,
    /// Counts how often bytes have been accepted.
    accepted: u64,
    /// Nothing more comes.
    ending: bool,
    end: Option<Result<(), TransportError>>,
}

impl Outgoing {
    pub(crate) fn new() -> Self {
        Self { state: Mutex::default(), filled: Notify::new(), emptied: Notify::new() }
    }

    /// Adds what the streams are to carry; `ending` if it is the last.
    pub(crate) fn add(&self, sorted: impl Iterator<Item = (usize, Bytes)>, ending: bool) {
        let mut state = self.state.lock();
        for (stream, bytes) in sorted {
            state.waiting += bytes.len();
            state.streams[stream].push(bytes);
        }
        state.ending |= ending;
        drop(state);
        self.filled.notify_one();
    }

    /// Bytes that have not been accepted, or why they never will be.
    pub(crate) fn waiting(&self) -> Result<usize, TransportError> {
        let state = self.state.lock();
        match &state.end {
            Some(Err(error)) => Err(error.clone()),
            Some(Ok(())) => Err(TransportError::closed()),
            None => Ok(state.waiting),
        }
    }

    pub(crate) fn accepted(&self) -> u64 {
        self.state.lock().accepted
    }

    /// Waits until bytes have been accepted since `before`, or never will be. Cancel safe.
    pub(crate) async fn progress(&self, before: u64) {
        self.changed(|state| state.accepted != before).await;
    }

    /// Waits until the streams have ended, one way or the other. Cancel safe.
    pub(crate) async fn ended(&self) {
        self.changed(|_| false).await;
    }

    async fn changed(&self, enough: impl Fn(&State) -> bool) {
        loop {
            let emptied = self.emptied.notified();
            {
                let state = self.state.lock();
                if state.end.is_some() || enough(&state) {
                    return;
                }
            }
            emptied.await;
        }
    }

    /// For the pump: waits for something new. Cancel safe.
    pub(crate) async fn filled(&self) {
        self.filled.notified().await;
    }

    /// For the pump: moves what is new, and says whether nothing more comes.
    pub(crate) fn fetch(&self, to: &mut [VecDeque<Bytes>; STREAMS]) -> bool {
        let mut state = self.state.lock();
        for (from, to) in state.streams.iter_mut().zip(to) {
            to.extend(from.drain(..));
        }
        state.ending
    }

    /// For the pump: bytes have been accepted.
    pub(crate) fn accept(&self, bytes: usize) {
        let mut state = self.state.lock();
        state.waiting -= bytes.min(state.waiting);
        state.accepted += 1;
        drop(state);
        self.emptied.notify_waiters();
    }

    /// For the pump: the streams have ended.
    pub(crate) fn end(&self, how: Result<(), TransportError>) {
        self.state.lock().end.get_or_insert(how);
        self.emptied.notify_waiters();
    }
}
