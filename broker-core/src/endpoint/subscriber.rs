use super::Message;
use super::consumer::{Consumer, topics};
use crate::SubscriberPolicy;
use broker_proto::SubscribeError;

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
