//! What an endpoint publishes in its own name.

use super::shared::To;
use super::{Batch, Endpoint, Publisher, TryPublishError};
use crate::EndpointId;
use broker_proto::data::Encode;
use broker_proto::routing::{Origin, PublishError, Published};

impl Endpoint {
    /// Publishes a value: to the peers that subscribed to a prefix of the topic, and to local hubs.
    /// Local subscribers do not see it; see [`Self::hub`] for a producer that they do see.
    ///
    /// Waits only for destinations whose overflow policy is `wait`, but lets other tasks run now
    /// and then, so that a publisher in a loop does not keep its own messages from leaving. Cancel
    /// safe: a message whose future is dropped has been handed to all its destinations or to none.
    ///
    /// # Errors
    ///
    /// The topic is reserved or too long, the message too large, or the endpoint shut down.
    ///
    /// # Examples
    ///
    /// ```
    /// # mod broker { pub use broker_core::{self as core, *, endpoint::*, transport::*}; }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let endpoint = broker_core::Endpoint::builder().build()?;
    /// use broker::data::{Value, vector};
    ///
    /// let mut hub = endpoint.hub("/numbers/");
    /// let published = endpoint.publish("/numbers/primes", &vector![2u64, 3u64, 5u64]).await?;
    /// assert_eq!(published.peers, 0, "it has none");
    ///
    /// let message = hub.recv().await.ok_or("shut down")?;
    /// assert_eq!(message.data()?, Value::from(vector![2u64, 3u64, 5u64]));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn publish(
        &self,
        topic: impl AsRef<[u8]>,
        value: &(impl Encode + ?Sized),
    ) -> Result<Published, PublishError> {
        self.shared().publish(Origin::Endpoint, To::everybody(topic.as_ref()), value).await
    }

    /// [`Self::publish`] for those who do not wait, on any thread.
    ///
    /// Who publishes more than the queues hold without ever letting the tasks of the runtime run
    /// meets full queues.
    ///
    /// # Errors
    ///
    /// As for [`Self::publish`], and if a destination whose overflow policy is `wait` has no room.
    pub fn try_publish(
        &self,
        topic: impl AsRef<[u8]>,
        value: &(impl Encode + ?Sized),
    ) -> Result<Published, TryPublishError> {
        self.shared().try_publish(Origin::Endpoint, To::everybody(topic.as_ref()), value)
    }

    /// Publishes values on topics one after the other, in much less time than [`Self::publish`]
    /// takes for each. Returns how many destinations the last one had.
    ///
    /// If the future is dropped, some of them have been published, in their order.
    ///
    /// # Errors
    ///
    /// As for [`Self::publish`]; messages before the one that it is about have been published.
    pub async fn publish_batch<T: AsRef<[u8]>, V: Encode>(
        &self,
        messages: impl IntoIterator<Item = (T, V)>,
    ) -> Result<Published, PublishError> {
        self.batch().publish(messages).await
    }

    /// Messages to be published together, for those who get them one by one.
    ///
    /// # Examples
    ///
    /// ```
    /// # mod broker { pub use broker_core::{self as core, *, endpoint::*, transport::*}; }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let endpoint = broker_core::Endpoint::builder().build()?;
    /// let mut hub = endpoint.hub("/logs/");
    /// let mut batch = endpoint.batch();
    /// for number in 0..10u64 {
    ///     batch.feed("/logs/conn", &number).await?;
    /// }
    /// batch.flush().await?;
    /// assert_eq!(hub.len(), 10);
    /// # Ok(())
    /// # }
    /// ```
    pub fn batch(&self) -> Batch {
        Batch::new(self.clone(), Origin::Endpoint)
    }

    /// Publishes a value for one endpoint: a direct peer, whatever it subscribed to, or this
    /// endpoint itself, whose subscribers and hubs then get it. To anybody else it goes nowhere.
    ///
    /// # Errors
    ///
    /// As for [`Self::publish`].
    pub async fn publish_to(
        &self,
        receiver: EndpointId,
        topic: impl AsRef<[u8]>,
        value: &(impl Encode + ?Sized),
    ) -> Result<Published, PublishError> {
        self.shared().publish(Origin::Endpoint, To::Topic(topic.as_ref(), receiver), value).await
    }

    /// A producer for one topic. What it publishes is seen like what [`Self::publish`] publishes.
    ///
    /// # Examples
    ///
    /// ```
    /// # mod broker { pub use broker_core::{self as core, *, endpoint::*, transport::*}; }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let endpoint = broker_core::Endpoint::builder().build()?;
    /// let mut hub = endpoint.hub("/count");
    /// let publisher = endpoint.publisher("/count");
    /// for number in 1..=3u64 {
    ///     publisher.publish(&number).await?;
    /// }
    /// assert_eq!(hub.recv().await.ok_or("shut down")?.view().as_count(), Some(1));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn publisher(&self, topic: impl AsRef<[u8]>) -> Publisher {
        Publisher::new(self.clone(), topic.as_ref())
    }
}
