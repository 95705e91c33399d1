//! Publishing to one topic again and again.

use super::Endpoint;
use super::shared::{Shared, To};
use broker_proto::data::Encode;
use broker_proto::routing::{FixedTopic, Frames, Origin, PublishError, Published};
use bytes::Bytes;
use std::sync::Arc;

/// Why a message was not published at once.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TryPublishError {
    /// A destination whose overflow policy is `wait` has no room.
    #[error("a destination that is waited for has no room")]
    Full,
    /// The message cannot be published.
    #[error(transparent)]
    Refused(#[from] PublishError),
}

/// A producer for one topic. See [`Endpoint::publisher`].
#[derive(Debug)]
pub struct Publisher {
    endpoint: Endpoint,
    topic: FixedTopic,
    /// What was fed and not flushed.
    fed: Frames,
}

impl Clone for Publisher {
    /// With a route of its own, so that clones in different tasks do not wait for each other, and
    /// without what was fed and not flushed.
    fn clone(&self) -> Self {
        let (endpoint, topic) = (self.endpoint.clone(), self.topic.detached());
        Self { endpoint, topic, fed: Frames::default() }
    }
}

impl Publisher {
    pub(super) fn new(endpoint: Endpoint, topic: &[u8]) -> Self {
        let topic = FixedTopic::new(&endpoint.shared().router, Bytes::copy_from_slice(topic));
        Self { endpoint, topic, fed: Frames::default() }
    }

    /// The topic.
    #[must_use]
    pub fn topic(&self) -> &[u8] {
        self.topic.topic()
    }

    /// Publishes a value on the topic of this publisher, like [`Endpoint::publish`].
    ///
    /// # Errors
    ///
    /// As for [`Endpoint::publish`].
    pub async fn publish(&self, value: &(impl Encode + ?Sized)) -> Result<Published, PublishError> {
        self.shared().publish(Origin::Endpoint, To::Fixed(&self.topic), value).await
    }

    /// [`Self::publish`] for those who do not wait, like [`Endpoint::try_publish`].
    ///
    /// # Errors
    ///
    /// As for [`Endpoint::try_publish`].
    pub fn try_publish(
        &self,
        value: &(impl Encode + ?Sized),
    ) -> Result<Published, TryPublishError> {
        self.shared().try_publish(Origin::Endpoint, To::Fixed(&self.topic), value)
    }

    /// Publishes values one after the other, in much less time than [`Self::publish`] takes for
    /// each: they are encoded behind each other and handed over together. Returns how many
    /// destinations the last one had.
    ///
    /// If the future is dropped, some of them have been published, in their order.
    ///
    /// # Errors
    ///
    /// As for [`Endpoint::publish`]; values before the one that it is about have been published.
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
    /// publisher.publish_batch(1..=1000u64).await?;
    /// let mut received = Vec::new();
    /// assert_eq!(hub.recv_many(&mut received, 2000).await, 1000);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn publish_batch<V: Encode>(
        &self,
        values: impl IntoIterator<Item = V>,
    ) -> Result<Published, PublishError> {
        let (shared, to) = (self.shared(), To::Fixed(&self.topic));
        let mut frames = Frames::scratch();
        for value in values {
            if let Err(error) = shared.feed(&mut frames, to, &value) {
                shared.publish_frames(Origin::Endpoint, to, &mut frames).await?;
                return Err(error);
            }
            if frames.is_full() {
                shared.publish_frames(Origin::Endpoint, to, &mut frames).await?;
            }
        }
        let published = shared.publish_frames(Origin::Endpoint, to, &mut frames).await?;
        frames.keep();
        Ok(published)
    }

    /// Adds a value to those that [`Self::flush`] publishes, and publishes them if they have become
    /// many: about 64 KiB. What is fed and never flushed is never published.
    ///
    /// Cancel safe: the value has been added in any case.
    ///
    /// # Errors
    ///
    /// As for [`Endpoint::publish`].
    pub async fn feed(&mut self, value: &(impl Encode + ?Sized)) -> Result<(), PublishError> {
        self.endpoint.shared().feed(&mut self.fed, To::Fixed(&self.topic), value)?;
        if self.fed.is_full() {
            self.flush().await?;
        }
        Ok(())
    }

    /// Publishes what was fed, and returns how many destinations the last message had.
    ///
    /// Cancel safe: what has not been published by then waits for the next call.
    ///
    /// # Errors
    ///
    /// As for [`Endpoint::publish`].
    pub async fn flush(&mut self) -> Result<Published, PublishError> {
        let (shared, to) = (self.endpoint.shared(), To::Fixed(&self.topic));
        shared.publish_frames(Origin::Endpoint, to, &mut self.fed).await
    }

    fn shared(&self) -> &Arc<Shared> {
        self.endpoint.shared()
    }
}
