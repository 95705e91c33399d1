use super::Endpoint;
use crate::EndpointId;
use crate::data::Encode;
use crate::routing::{Origin, PublishError, Published};
use bytes::Bytes;

/// A producer for one topic. See [`Endpoint::publisher`].
#[derive(Debug, Clone)]
pub struct Publisher {
    endpoint: Endpoint,
    topic: Bytes,
}

impl Publisher {
    pub(super) fn new(endpoint: Endpoint, topic: &[u8]) -> Self {
        Self { endpoint, topic: Bytes::copy_from_slice(topic) }
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
        shared.publish(Origin::Endpoint, EndpointId::NIL, &self.topic, value).await
    }
}
