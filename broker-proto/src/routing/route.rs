use super::router::Router;
use super::table::{Destinations, RoutingTable};
use crate::EndpointId;
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

/// The route of somebody who always publishes on the same topic.
#[derive(Debug, Default)]
pub struct FixedRoute(Mutex<Option<Route>>);

impl FixedRoute {
    /// Everyone who wants `topic`, which is the same one in all calls.
    pub fn destinations(&self, router: &Router, topic: &[u8]) -> Arc<Destinations> {
        let mut route = self.0.lock();
        if let Some(known) = route.as_ref().and_then(|route| route.destinations(router)) {
            return known;
        }
        let (found, destinations) = Route::find(router, topic, Way::from(router.id));
        *route = Some(found);
        destinations
    }
}
