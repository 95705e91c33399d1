use super::outbound::{PublishError, start};
use super::router::Router;
use super::table::{Destinations, RoutingTable};
use crate::EndpointId;
use bytes::Bytes;
use parking_lot::Mutex;
use std::sync::{Arc, Weak};

/// How a message has come here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Way {
    /// The relay at which it entered the overlay.
    pub(super) entry: EndpointId,
    pub(super) publisher: EndpointId,
    /// Who handed it over.
    pub(super) hop: EndpointId,
}

impl Way {
    /// That of a message that this endpoint publishes.
    pub(super) fn from(own: EndpointId) -> Self {
        Self { entry: own, publisher: own, hop: own }
    }
}

/// Where messages on one topic go, for as long as nobody changes a subscription.
#[derive(Debug)]
pub(super) struct Route {
    /// Weak, so that whoever has become silent keeps no outdated table.
    table: Weak<RoutingTable>,
    destinations: Arc<Destinations>,
}

impl Route {
    /// The route of a message that has come this way and, for now, where it leads.
    pub(super) fn find(router: &Router, topic: &[u8], way: Way) -> (Self, Arc<Destinations>) {
        let table = router.table();
        let scope = table.scope(way.entry, way.publisher, way.hop);
        let destinations = table.destinations(topic, scope);
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
    /// Without and with a passage.
    heads: Result<[Vec<u8>; 2], PublishError>,
    route: Mutex<Option<Route>>,
}

impl FixedTopic {
    /// A topic on which the endpoint with this router publishes for everybody.
    pub fn new(router: &Router, topic: Bytes) -> Self {
        let head = |has_passage| {
            let mut head = Vec::new();
            start(&mut head, router, EndpointId::NIL, &topic, has_passage).map(|()| head)
        };
        let heads = head(false).and_then(|plain| Ok([plain, head(true)?]));
        Self { topic, heads, route: Mutex::default() }
    }

    /// The same topic with a route of its own, so that two threads do not wait for each other.
    #[must_use]
    pub fn detached(&self) -> Self {
        let (topic, heads) = (self.topic.clone(), self.heads.clone());
        Self { topic, heads, route: Mutex::default() }
    }

    /// The topic.
    pub fn topic(&self) -> &[u8] {
        &self.topic
    }

    /// Everything up to the payload.
    pub(super) fn head(&self, has_passage: bool) -> Result<&[u8], PublishError> {
        let [plain, passage] = self.heads.as_ref().map_err(PublishError::clone)?;
        Ok(if has_passage { passage } else { plain })
    }

    /// Everyone who wants it.
    pub(super) fn destinations(&self, router: &Router) -> Arc<Destinations> {
        let mut route = self.route.lock();
        if let Some(known) = route.as_ref().and_then(|route| route.destinations(router)) {
            return known;
        }
        let (found, destinations) = Route::find(router, &self.topic, Way::from(router.id));
        *route = Some(found);
        destinations
    }
}
