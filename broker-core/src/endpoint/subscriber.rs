use super::Message;
use super::consumer::{Consumer, topics};
use crate::SubscriberPolicy;
use broker_proto::SubscribeError;
use std::task::{Context, Poll};
use std::time::Duration;

/// Bounds and policy of a local consumer's queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SubscriberOptions {
    /// Messages that may wait. Default: the limit of the endpoint.
    pub messages: Option<usize>,
    /// Bytes of memory that may wait. Default: the limit of the endpoint.
    pub bytes: Option<usize>,
    /// What happens to the rest.
    pub policy: SubscriberPolicy,
}

impl SubscriberOptions {
    /// The default bounds with the given policy.
    #[must_use]
    pub fn with_policy(policy: SubscriberPolicy) -> Self {
        Self { policy, ..Self::default() }
    }
}

/// Receives messages on topics with certain prefixes. See
/// [`Endpoint::subscribe`](super::Endpoint::subscribe).
///
/// Dropping it takes its subscriptions back.
#[derive(Debug)]
pub struct Subscriber {
    consumer: Consumer,
}

impl Subscriber {
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

    /// Receives these topics as well.
    ///
    /// # Errors
    ///
    /// As for [`Endpoint::try_subscribe`](super::Endpoint::try_subscribe); then none of them is
    /// received.
    pub fn add<T: AsRef<[u8]>>(
        &mut self,
        prefixes: impl IntoIterator<Item = T>,
    ) -> Result<(), SubscribeError> {
        self.consumer.add(topics(prefixes))
    }

    /// No longer receives these topics. Peers are told if nobody else wants them.
    pub fn remove<T: AsRef<[u8]>>(&mut self, prefixes: impl IntoIterator<Item = T>) {
        self.consumer.remove(topics(prefixes));
    }

    /// How many messages were dropped because this subscriber was too slow.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.consumer.dropped()
    }
}
