use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Places for accepted connections that are not peered, or that are being closed.
///
/// When all of them are taken the oldest connection has to make room for the newest: a peer that
/// means well needs milliseconds, those that hold their places are the ones that mean harm.
#[derive(Debug)]
pub(super) struct HalfOpen {
    limit: usize,
    places: Mutex<Places>,
    given_back: Notify,
}

#[derive(Debug, Default)]
struct Places {
    last: u64,
    taken: BTreeMap<u64, CancellationToken>,
}

/// The place of one connection; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    half_open: Arc<HalfOpen>,
    number: u64,
    evicted: CancellationToken,
}

impl HalfOpen {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, places: Mutex::default(), given_back: Notify::new() }
    }

    /// Takes a place, from the oldest connection if need be.
    pub(super) fn enter(self: &Arc<Self>) -> Place {
        let mut places = self.places.lock();
        if places.taken.len() >= self.limit {
            places.evict_oldest();
        }
        places.last += 1;
        let (number, evicted) = (places.last, CancellationToken::new());
        places.taken.insert(number, evicted.clone());
        Place { half_open: Arc::clone(self), number, evicted }
    }

    /// Ends the oldest connection, for its resources. Returns whether there is one.
    pub(super) fn make_room(&self) -> bool {
        self.places.lock().evict_oldest()
    }

    /// Waits until a connection has given its place back, possibly a while ago. Cancel safe.
    pub(super) async fn room_made(&self) {
        self.given_back.notified().await;
    }
}

impl Places {
    fn evict_oldest(&mut self) -> bool {
        let oldest = self.taken.pop_first();
        oldest.map(|(_, oldest)| oldest.cancel()).is_some()
    }
}

impl Place {
    /// Waits until another connection has been given this place. Cancel safe.
    pub(super) async fn lost(&self) {
        self.evicted.cancelled().await;
    }

    /// Why a connection has lost its place.
    pub(super) fn reason(&self) -> String {
        let limit = self.half_open.limit;
        format!(
            "too many connections that are not peered yet, the limit is {limit}: the oldest went"
        )
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.half_open.places.lock().taken.remove(&self.number);
        self.half_open.given_back.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_lost(place: &Place) -> bool {
        place.evicted.is_cancelled()
    }

    #[test]
    fn the_oldest_gives_way_to_the_newest() {
        let half_open = Arc::new(HalfOpen::new(2));
        let [first, second] = [half_open.enter(), half_open.enter()];
        assert!(!is_lost(&first) && !is_lost(&second));
        let third = half_open.enter();
        assert!(is_lost(&first) && !is_lost(&second) && !is_lost(&third));
        drop(first);
        let fourth = half_open.enter();
        assert!(is_lost(&second), "a lost place is not given back a second time");
        drop(third);
        let fifth = half_open.enter();
        assert!(!is_lost(&fourth) && !is_lost(&fifth));
        assert!(half_open.make_room());
        assert!(is_lost(&fourth) && !is_lost(&fifth));
        assert!(half_open.make_room() && !half_open.make_room());
    }
}
