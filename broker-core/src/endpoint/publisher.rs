use super::Endpoint;
use crate::EndpointId;
use broker_proto::data::Encode;
use broker_proto::routing::{FixedRoute, Origin, PublishError, Published};
use bytes::Bytes;

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
