use super::consumer::{Consumer, topics};
use super::{Endpoint, Message};
use crate::EndpointId;
use broker_proto::SubscribeError;
use broker_proto::data::Encode;
use broker_proto::routing::{Origin, PublishError, Published};
use std::task::{Context, Poll};
use std::time::Duration;

/// A producer and consumer in one. See [`Endpoint::hub`].
#[derive(Debug)]
pub struct Hub {
    consumer: Consumer,
}

impl Hub {
    pub(super) fn new(consumer: Consumer) -> Self {
        Self { consumer }
    }

    /// Waits for the next message; `None` after the endpoint has shut down and everything has been
    /// received. Cancel safe.
    pub async fn recv(&mut self) -> Option<Message> {
        self.consumer.recv().await
    }

    /// The next message, if one is there.
    pub fn try_recv(&mut self) -> Option<Message> {
        self.consumer.try_recv().ok()
    }

    /// Waits until a message is there, and moves as many as are there, at most `limit`, to the end
    /// of `buffer`. Returns how many; 0 only if the endpoint has shut down and everything has been
    /// received, or if `limit` is 0.
    ///
    /// Cancel safe: as long as this waits it has received nothing.
    pub async fn recv_many(&mut self, buffer: &mut Vec<Message>, limit: usize) -> usize {
        self.consumer.recv_many(buffer, limit).await
    }

    /// [`Self::recv_many`] for threads of other runtimes or of none: puts the thread to sleep while
    /// nothing is there, for `timeout` at most if there is one, and returns 0 when that is over.
    ///
    /// It needs no runtime, and blocks tasks of the same thread if there are any.
    pub fn blocking_recv_many(
        &mut self,
        buffer: &mut Vec<Message>,
        limit: usize,
        timeout: Option<Duration>,
    ) -> usize {
        self.consumer.blocking_recv_many(buffer, limit, timeout)
    }

    /// Waits until [`Self::try_recv`] has something to say: a message, or that the endpoint has
    /// shut down and nothing is left. For other kinds of loops; on Unix see `ReadyFd`.
    pub fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.consumer.poll_ready(context)
    }

    /// How many messages have arrived that have not been received.
    #[must_use]
    pub fn len(&self) -> usize {
        self.consumer.len()
    }

    /// Whether [`Self::len`] is 0.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Publishes a value to peers, to the subscribers of this endpoint and to its other hubs.
    ///
    /// # Errors
    ///
    /// As for [`Endpoint::publish`].
    pub async fn publish(
        &self,
        topic: impl AsRef<[u8]>,
        value: &(impl Encode + ?Sized),
    ) -> Result<Published, PublishError> {
        publish(self.consumer.endpoint(), self.consumer.id(), topic.as_ref(), value).await
    }

    /// A handle that publishes in the name of this hub, from any task. It does not keep the hub's
    /// subscriptions alive.
    #[must_use]
    pub fn sender(&self) -> HubSender {
        HubSender { endpoint: self.consumer.endpoint().clone(), id: self.consumer.id() }
    }

    /// Receives these topics as well.
    ///
    /// # Errors
    ///
    /// As for [`Endpoint::try_subscribe`]; then none of them is received.
    pub fn add<T: AsRef<[u8]>>(
        &mut self,
        prefixes: impl IntoIterator<Item = T>,
    ) -> Result<(), SubscribeError> {
        self.consumer.add(topics(prefixes))
    }

    /// No longer receives these topics.
    pub fn remove<T: AsRef<[u8]>>(&mut self, prefixes: impl IntoIterator<Item = T>) {
        self.consumer.remove(topics(prefixes));
    }

    /// How many messages were dropped because this hub was too slow.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.consumer.dropped()
    }
}

/// Publishes in the name of a [`Hub`]: the hub itself does not see it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct HubSender {
    endpoint: Endpoint,
    id: u64,
}

impl HubSender {
    /// Publishes a value like [`Hub::publish`].
    ///
    /// # Errors
    ///
    /// As for [`Endpoint::publish`].
    pub async fn publish(
        &self,
        topic: impl AsRef<[u8]>,
        value: &(impl Encode + ?Sized),
    ) -> Result<Published, PublishError> {
        publish(&self.endpoint, self.id, topic.as_ref(), value).await
    }
}

async fn publish(
    endpoint: &Endpoint,
    hub: u64,
    topic: &[u8],
    value: &(impl Encode + ?Sized),
) -> Result<Published, PublishError> {
    endpoint.shared().publish(Origin::Hub(hub), EndpointId::NIL, topic, None, value).await
}
