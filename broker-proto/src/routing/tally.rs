use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// What has passed on topics with one prefix. Messages count with the frames in which they are
/// handed on, lengths included.
#[derive(Debug)]
pub struct Tally {
    /// The prefix.
    pub prefix: String,
    /// Messages of peers, and those that are published here.
    pub messages_in: AtomicU64,
    /// Their bytes.
    pub bytes_in: AtomicU64,
    /// Copies that were handed to the queues of peers.
    pub messages_out: AtomicU64,
    /// Their bytes.
    pub bytes_out: AtomicU64,
}

impl Tally {
    pub(super) fn new(prefix: String) -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            prefix,
            messages_in: zero(),
            bytes_in: zero(),
            messages_out: zero(),
            bytes_out: zero(),
        }
    }

    /// Counts messages of which so many peers got a copy.
    pub(super) fn count(&self, messages: usize, bytes: usize, peers: usize) {
        let (messages, bytes, peers) = (messages as u64, bytes as u64, peers as u64);
        self.messages_in.fetch_add(messages, Relaxed);
        self.bytes_in.fetch_add(bytes, Relaxed);
        self.messages_out.fetch_add(messages * peers, Relaxed);
        self.bytes_out.fetch_add(bytes * peers, Relaxed);
    }
}
