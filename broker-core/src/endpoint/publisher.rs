//! Publishing to one topic again and again, and how it shares a thread with those who write.

use super::Endpoint;
use crate::EndpointId;
use broker_proto::data::Encode;
use broker_proto::limits::WRITE_BATCH;
use broker_proto::routing::{FixedRoute, Origin, PublishError, Published};
use bytes::Bytes;
use std::cell::Cell;

/// A producer for one topic. See [`Endpoint::publisher`].
#[derive(Debug)]
pub struct Publisher {
    endpoint: Endpoint,
    topic: Bytes,
    route: FixedRoute,
}

impl Clone for Publisher {
    /// With a route of its own, so that clones in different tasks do not wait for each other.
    fn clone(&self) -> Self {
        Self {
            endpoint: self.endpoint.clone(),
            topic: self.topic.clone(),
            route: FixedRoute::default(),
        }
    }
}

impl Publisher {
    pub(super) fn new(endpoint: Endpoint, topic: &[u8]) -> Self {
        Self { endpoint, topic: Bytes::copy_from_slice(topic), route: FixedRoute::default() }
    }

    /// The topic.
    #[must_use]
    pub fn topic(&self) -> &[u8] {
        &self.topic
    }

    /// Publishes a value on the topic of this publisher, like [`Endpoint::publish`].
    ///
    /// # Errors
    ///
    /// As for [`Endpoint::publish`].
    pub async fn publish(&self, value: &(impl Encode + ?Sized)) -> Result<Published, PublishError> {
        let shared = self.endpoint.shared();
        let route = Some(&self.route);
        shared.publish(Origin::Endpoint, EndpointId::NIL, &self.topic, route, value).await
    }
}

/// Messages that a publisher may hand over in one turn however large they are: changing turns
/// costs about as much as copying a few of the largest.
const MESSAGES: usize = 16;

thread_local! {
    /// Messages and bytes that were published on this thread since others had their turn.
    static HANDED_OVER: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

/// Lets other tasks run before the next message once a thread has published [`WRITE_BATCH`] bytes.
///
/// A publisher that never has to wait would otherwise keep the writers it woke from running, since
/// the runtime starts them on the publisher's own thread: its queues would fill to the brim, or
/// overflow, before the first byte leaves. Before and not after, so that a message is never given
/// up that is already on its way.
pub(super) async fn yield_if_over_budget() {
    let over = HANDED_OVER.with(|charge_budget| {
        let (messages, bytes) = charge_budget.get();
        let over = messages >= MESSAGES && bytes >= WRITE_BATCH;
        if over {
            charge_budget.set((0, 0));
        }
        over
    });
    if over {
        tokio::task::yield_now().await;
    }
}

/// Counts a message that was handed over on this thread.
pub(super) fn charge_budget(bytes: usize) {
    HANDED_OVER.with(|charge_budget| {
        let (messages, sum) = charge_budget.get();
        charge_budget.set((messages + 1, sum + bytes));
    });
}
