use super::outbound::{PublishError, start};
use super::router::Router;
use super::table::{Destinations, RoutingTable};
use crate::EndpointId;
use bytes::Bytes;
use parking_lot::Mutex;
use std::sync::{Arc, Weak};

/// Where messages on one topic go, for as long as nobody changes a subscription.
#[derive(Debug)]
pub(super) struct Route {
    /// Weak, so that whoever has become silent keeps no outdated table.
    table: Weak<RoutingTable>,
    destinations: Arc<Destinations>,
}

impl Route {
    /// The route and, for now, where it leads.
    pub(super) fn find(router: &Router, topic: &[u8]) -> (Self, Arc<Destinations>) {
        let table = router.table();
        let destinations = table.destinations(topic);
        let route = Self { table: Arc::downgrade(&table), destinations: Arc::clone(&destinations) };
        (route, destinations)
    }

    /// Nothing if the subscriptions have changed since the route was found.
    #[inline]
    pub(super) fn destinations(&self, router: &Router) -> Option<Arc<Destinations>> {
        router.is_current(&self.table).then(|| Arc::clone(&self.destinations))
    }
}

/// A topic that is published on again and again: what stands in front of every message, and where
/// the messages go.
#[derive(Debug)]
pub struct FixedTopic {
    topic: Bytes,
    head: Result<Vec<u8>, PublishError>,
    route: Mutex<Option<Route>>,
}

impl FixedTopic {
    /// A topic on which the endpoint `own` publishes for everybody.
    pub fn new(own: EndpointId, topic: Bytes) -> Self {
        let mut head = Vec::new();
        let started = start(&mut head, own, EndpointId::NIL, &topic);
        Self { topic, head: started.map(|_| head), route: Mutex::default() }
    }

    /// The same topic with a route of its own, so that two threads do not wait for each other.
    #[must_use]
    pub fn detached(&self) -> Self {
        let (topic, head) = (self.topic.clone(), self.head.clone());
        Self { topic, head, route: Mutex::default() }
    }

    /// The topic.
    pub fn topic(&self) -> &[u8] {
        &self.topic
    }

    /// Everything up to the payload.
    pub(super) fn head(&self) -> Result<&[u8], PublishError> {
        self.head.as_deref().map_err(PublishError::clone)
    }

    /// Everyone who wants it.
    pub(super) fn destinations(&self, router: &Router) -> Arc<Destinations> {
        let mut route = self.route.lock();
        if let Some(known) = route.as_ref().and_then(|route| route.destinations(router)) {
            return known;
        }
        let (found, destinations) = Route::find(router, &self.topic);
        *route = Some(found);
        destinations
    }
}
