use crate::transport::{TransportError, TransportErrorKind};
use crate::{Failure, Url};
use parking_lot::Mutex;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Places for accepted connections that are not peered, or that are being closed.
///
/// When all of them are taken a connection has to make room for the newest: the oldest of those
/// that come from where most come from. A peer that means well needs milliseconds, those that hold
/// their places are the ones that mean harm; and however fast they come anew, they only push out
/// their own as long as they have few addresses.
#[derive(Debug)]
pub struct HalfOpen {
    limit: usize,
    places: Mutex<Places>,
    given_back: Notify,
}

#[derive(Debug, Default)]
struct Places {
    last: u64,
    taken: HashMap<Origin, BTreeMap<u64, Arc<Eviction>>>,
    count: usize,
}

/// Where connections come from, as far as somebody has it for nothing: of IPv6 that is a network.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Origin {
    V4([u8; 4]),
    V6([u8; 8]),
    Other(String),
}

impl Origin {
    fn of(remote: &Url) -> Self {
        let host = remote.host();
        match host.parse().map(|address: IpAddr| address.to_canonical()) {
            Ok(IpAddr::V4(address)) => Self::V4(address.octets()),
            Ok(IpAddr::V6(address)) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Self::V6([a, b, c, d, e, f, g, h])
            }
            Err(_) => Self::Other(host.to_owned()),
        }
    }
}

/// Tells a connection that it has to go, and why.
#[derive(Debug, Default)]
struct Eviction {
    told: CancellationToken,
    /// Not for another one's place, but for its descriptor or memory.
    for_resources: AtomicBool,
}

/// The place of one connection; given back when dropped.
#[derive(Debug)]
pub struct Place {
    half_open: Arc<HalfOpen>,
    origin: Origin,
    number: u64,
    evicted: Arc<Eviction>,
}

impl HalfOpen {
    /// That many places.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, places: Mutex::default(), given_back: Notify::new() }
    }

    /// Takes a place, from another connection if need be.
    #[must_use]
    pub fn enter(self: &Arc<Self>, remote: &Url) -> Place {
        let origin = Origin::of(remote);
        let evicted = Arc::<Eviction>::default();
        let mut places = self.places.lock();
        if places.count >= self.limit {
            places.evict(Some(&origin));
        }
        let number = places.take(origin.clone(), Arc::clone(&evicted));
        Place { half_open: Arc::clone(self), origin, number, evicted }
    }

    /// Ends a connection, for its resources. Returns whether there is one.
    pub fn make_room(&self) -> bool {
        self.places.lock().evict(None)
    }

    /// Waits until a connection has given its place back, possibly a while ago. Cancel safe.
    pub async fn room_made(&self) {
        self.given_back.notified().await;
    }
}

impl Places {
    fn take(&mut self, origin: Origin, evicted: Arc<Eviction>) -> u64 {
        self.last += 1;
        self.count += 1;
        self.taken.entry(origin).or_default().insert(self.last, evicted);
        self.last
    }

    /// Takes the place of the oldest connection from where most come from, together with the one
    /// that wants to come in; of several such origins, the one that has the oldest.
    fn evict(&mut self, newcomer: Option<&Origin>) -> bool {
        let oldest =
            |places: &BTreeMap<u64, _>| places.first_key_value().map(|(number, _)| *number);
        let most = self.taken.iter().max_by_key(|(origin, places)| {
            let count = places.len() + usize::from(newcomer == Some(origin));
            (count, Reverse(oldest(places)))
        });
        let Some((origin, number)) =
            most.and_then(|(origin, places)| Some((origin.clone(), oldest(places)?)))
        else {
            return false;
        };
        let Some(evicted) = self.give_back(&origin, number) else { return false };
        evicted.for_resources.store(newcomer.is_none(), Ordering::Relaxed);
        evicted.told.cancel();
        true
    }

    fn give_back(&mut self, origin: &Origin, number: u64) -> Option<Arc<Eviction>> {
        let places = self.taken.get_mut(origin)?;
        let place = places.remove(&number)?;
        if places.is_empty() {
            self.taken.remove(origin);
        }
        self.count -= 1;
        Some(place)
    }
}

impl Place {
    /// Waits until another connection has been given this place. Cancel safe.
    pub async fn lost(&self) {
        self.evicted.told.cancelled().await;
    }

    /// Why a connection has lost its place.
    pub(super) fn failure(&self) -> Failure {
        if self.evicted.for_resources.load(Ordering::Relaxed) {
            let text = "no file descriptor is left for others: the oldest connection from the busiest \
                        address that is not peered yet went";
            return TransportError::new(TransportErrorKind::OutOfResources, text).into();
        }
        let limit = self.half_open.limit;
        Failure::LimitReached(format!(
            "too many connections that are not peered yet, the limit half-open is {limit}: the oldest \
             from the busiest address went"
        ))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // It is gone already where it was given to somebody else.
        let _ = self.half_open.places.lock().give_back(&self.origin, self.number);
        self.half_open.given_back.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_lost(place: &Place) -> bool {
        place.evicted.told.is_cancelled()
    }

    fn enter(half_open: &Arc<HalfOpen>, host: &str) -> Place {
        half_open.enter(&Url::new("tcp", host, 1))
    }

    #[test]
    fn the_oldest_gives_way_to_the_newest() {
        let half_open = Arc::new(HalfOpen::new(2));
        let enter = || enter(&half_open, "192.0.2.1");
        let [first, second] = [enter(), enter()];
        assert!(!is_lost(&first) && !is_lost(&second));
        let third = enter();
        assert!(is_lost(&first) && !is_lost(&second) && !is_lost(&third));
        drop(first);
        let fourth = enter();
        assert!(is_lost(&second), "a lost place is not given back a second time");
        drop(third);
        let fifth = enter();
        assert!(!is_lost(&fourth) && !is_lost(&fifth));
        assert!(matches!(second.failure(), Failure::LimitReached(_)));
        assert!(half_open.make_room());
        assert!(is_lost(&fourth) && !is_lost(&fifth));
        assert!(matches!(fourth.failure(), Failure::Transport(_)), "for its descriptor");
        assert!(half_open.make_room() && !half_open.make_room());
        drop((second, fourth, fifth));
        let places = half_open.places.lock();
        assert!(places.taken.is_empty() && places.count == 0);
    }

    #[test]
    fn one_address_cannot_push_out_the_others() {
        let half_open = Arc::new(HalfOpen::new(4));
        let honest = enter(&half_open, "192.0.2.1");
        let same = enter(&half_open, "::ffff:192.0.2.1");
        let flood: Vec<_> = (0..100).map(|_| enter(&half_open, "198.51.100.9")).collect();
        assert!(!is_lost(&honest) && !is_lost(&same));
        assert_eq!(flood.iter().filter(|place| !is_lost(place)).count(), 2);
        assert!(flood[98..].iter().all(|place| !is_lost(place)), "the newest are kept");
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_address() {
        let half_open = Arc::new(HalfOpen::new(3));
        let honest = enter(&half_open, "2001:db8::1");
        let flood: Vec<_> =
            (0..100).map(|n| enter(&half_open, &format!("2001:db8:0:1::{n:x}"))).collect();
        assert!(!is_lost(&honest));
        assert_eq!(flood.iter().filter(|place| !is_lost(place)).count(), 2);
    }
}
