use broker_proto::queue::BoundedQueue;
use broker_proto::routing::{Peer, Sink};
use bytes::Bytes;
use std::sync::Arc;

/// A queue, and how many messages it has to be offered.
pub(super) struct Target {
    pub(super) to: To,
    filter: Vec<Bytes>,
    pub(super) before: u64,
    pub(super) expected: u64,
}

pub(super) enum To {
    Peer(Arc<Peer>),
    Sink(Arc<Sink>),
}

impl Target {
    pub(super) fn new(to: To, filter: Vec<Bytes>) -> Self {
        Self { to, filter, before: 0, expected: 0 }
    }

    fn queue(&self) -> &BoundedQueue {
        match &self.to {
            To::Peer(peer) => &peer.queue,
            To::Sink(sink) => &sink.queue,
        }
    }

    pub(super) fn offered(&self) -> u64 {
        let stats = self.queue().stats();
        stats.pushed + stats.refused + stats.late - stats.control
    }

    pub(super) fn wants(&self, topic: &[u8]) -> bool {
        self.filter.iter().any(|prefix| topic.starts_with(prefix))
    }
}
