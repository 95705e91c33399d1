//! Producers and consumers in one.

use super::batch::Batch;
use super::consumer::{Consumer, SubscriberOptions, TryRecvError};
use super::message::{Message, Messages};
use super::publisher::TryPublishError;
use super::shared::To;
use super::{Endpoint, IntoTopics};
use broker_proto::SubscribeError;
use broker_proto::data::Encode;
use broker_proto::routing::{Origin, PublishError, Published, SinkKind};
use bytes::Bytes;
use futures_core::Stream;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// A producer and consumer in one. See [`Endpoint::hub`].
#[derive(Debug)]
pub struct Hub {
    consumer: Consumer,
}

impl Hub {
    pub(super) fn new(
        endpoint: Endpoint,
        topics: Vec<Bytes>,
        options: SubscriberOptions,
    ) -> Result<Self, SubscribeError> {
        Consumer::new(endpoint, SinkKind::Hub, topics, options).map(|consumer| Self { consumer })
    }

    /// Like [`Self::new`]. If that fails, it has ended from the start, and the log says why.
    pub(super) fn or_ended(
        endpoint: Endpoint,
        topics: Vec<Bytes>,
        options: SubscriberOptions,
    ) -> Self {
        Self { consumer: Consumer::or_ended(endpoint, SinkKind::Hub, topics, options) }
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
        let to = To::everybody(topic.as_ref());
        self.consumer.shared().publish(Origin::Hub(self.consumer.id()), to, value).await
    }

    /// [`Self::publish`] for those who do not wait, like [`Endpoint::try_publish`].
    ///
    /// # Errors
    ///
    /// As for [`Endpoint::try_publish`].
    pub fn try_publish(
        &self,
        topic: impl AsRef<[u8]>,
        value: &(impl Encode + ?Sized),
    ) -> Result<Published, TryPublishError> {
        self.consumer.endpoint().shared().try_publish(
            Origin::Hub(self.consumer.id()),
            To::everybody(topic.as_ref()),
            value,
        )
    }

    /// Publishes values on topics one after the other, like [`Endpoint::publish_batch`].
    ///
    /// # Errors
    ///
    /// As for [`Endpoint::publish_batch`].
    pub async fn publish_batch<T: AsRef<[u8]>, V: Encode>(
        &self,
        messages: impl IntoIterator<Item = (T, V)>,
    ) -> Result<Published, PublishError> {
        self.batch().publish(messages).await
    }

    /// Messages to be published together in the name of the hub. It does not keep the hub's
    /// subscriptions alive.
    pub fn batch(&self) -> Batch {
        Batch::new(self.consumer.endpoint().clone(), Origin::Hub(self.consumer.id()))
    }

    /// A handle that publishes in the name of this hub, from any task. It does not keep the hub's
    /// subscriptions alive.
    #[must_use]
    pub fn sender(&self) -> HubSender {
        HubSender { endpoint: self.consumer.endpoint().clone(), id: self.consumer.id() }
    }
}

impl Hub {
    /// Waits for the next message; `None` after the endpoint has shut down and everything
    /// has been received. Cancel safe.
    pub async fn recv(&mut self) -> Option<Message> {
        poll_fn(|context| self.consumer.poll_recv(context)).await
    }

    /// The next message, if one is there.
    ///
    /// # Errors
    ///
    /// There is none now, or there will never be one again because the endpoint has shut
    /// down.
    pub fn try_recv(&mut self) -> Result<Message, TryRecvError> {
        self.consumer.try_recv()
    }

    /// Waits until a message is there, and moves as many as are there, at most `limit`, to
    /// the end of `buffer`. Returns how many; 0 only if the endpoint has shut down and
    /// everything has been received, or if `limit` is 0.
    ///
    /// Cancel safe: as long as this waits it has received nothing.
    pub async fn recv_many(&mut self, buffer: &mut Vec<Message>, limit: usize) -> usize {
        self.consumer.recv_many(buffer, limit).await
    }

    /// Waits until a message is there, and lends as many as have arrived together: the fastest way
    /// to receive. `None` after the endpoint has shut down and everything has been received.
    /// Cancel safe.
    ///
    /// # Examples
    ///
    /// ```
    /// # mod broker { pub use broker_core::{self as core, *, endpoint::*, transport::*}; }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let endpoint = broker_core::Endpoint::builder().build()?;
    /// let mut hub = endpoint.hub("/count");
    /// endpoint.publisher("/count").publish_batch(1..=3u64).await?;
    /// let mut sum = 0;
    /// for message in hub.recv_batch().await.ok_or("shut down")? {
    ///     sum += message.view().as_count().unwrap_or(0);
    /// }
    /// assert_eq!(sum, 6);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn recv_batch(&mut self) -> Option<Messages<'_>> {
        self.consumer.recv_batch().await
    }

    /// [`Self::recv_many`] for threads of other runtimes or of none: puts the thread to
    /// sleep while nothing is there, for `timeout` at most if there is one, and returns 0
    /// when that is over.
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

    /// Waits until [`Self::try_recv`] has something to say: a message, or that the endpoint
    /// has shut down and nothing is left. For loops of other kinds; on Unix see `ReadyFd`.
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

    /// Receives these topics as well. Peers hear of it soon; see [`Endpoint::flush`].
    ///
    /// # Errors
    ///
    /// As for [`Endpoint::try_subscribe`]; then none of them is received.
    pub fn add(&mut self, topics: impl IntoTopics) -> Result<(), SubscribeError> {
        self.consumer.add(topics.into_topics())
    }

    /// No longer receives these topics. Peers are told if nobody else wants them.
    pub fn remove(&mut self, topics: impl IntoTopics) {
        self.consumer.remove(topics.into_topics());
    }

    /// How many messages were dropped because this was too slow.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.consumer.dropped()
    }
}

impl Stream for Hub {
    type Item = Message;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Message>> {
        self.get_mut().consumer.poll_recv(context)
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
        let to = To::everybody(topic.as_ref());
        self.endpoint.shared().publish(Origin::Hub(self.id), to, value).await
    }

    /// [`Self::publish`] for those who do not wait, like [`Endpoint::try_publish`].
    ///
    /// # Errors
    ///
    /// As for [`Endpoint::try_publish`].
    pub fn try_publish(
        &self,
        topic: impl AsRef<[u8]>,
        value: &(impl Encode + ?Sized),
    ) -> Result<Published, TryPublishError> {
        self.endpoint.shared().try_publish(
            Origin::Hub(self.id),
            To::everybody(topic.as_ref()),
            value,
        )
    }

    /// Publishes values on topics one after the other, like [`Endpoint::publish_batch`].
    ///
    /// # Errors
    ///
    /// As for [`Endpoint::publish_batch`].
    pub async fn publish_batch<T: AsRef<[u8]>, V: Encode>(
        &self,
        messages: impl IntoIterator<Item = (T, V)>,
    ) -> Result<Published, PublishError> {
        self.batch().publish(messages).await
    }

    /// Messages to be published together in the name of the hub. It does not keep the hub's
    /// subscriptions alive.
    pub fn batch(&self) -> Batch {
        Batch::new(self.endpoint.clone(), Origin::Hub(self.id))
    }
}
