//! Which accepted connections may stay when there are too many of them.

use crate::Address;
use broker_proto::Origin;
use parking_lot::Mutex;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, OnceLock};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Places for accepted connections, shared out fairly between the addresses they come from.
///
/// A connection is *half open* until it is a peer or a client, and again while it is being closed.
/// Of these there is a bounded number; when all their places are taken, the oldest half-open
/// connection of the address that has most of them gives way to the newest. An honest peer needs
/// its place for milliseconds; and a flood, however fast, only pushes out its own connections as
/// long as it comes from few addresses.
///
/// The number of all connections that hold a descriptor is bounded as well. Where that is reached,
/// the address with most connections gives way: first its half-open ones, then its newest
/// established one, and a newcomer from that very address is not let in.
#[derive(Debug)]
pub struct Admission {
    half_open_max: usize,
    connections_max: usize,
    state: Mutex<State>,
    given_back: Notify,
}

#[derive(Debug, Default)]
struct State {
    last: u64,
    half_open: ByOrigin,
    /// Every connection that holds a descriptor, half open or not.
    connections: ByOrigin,
    /// Connections that have lost their places and are still there.
    leaving: usize,
}

/// Connections by where they come from, and who has most of them.
#[derive(Debug, Default)]
struct ByOrigin {
    origins: HashMap<Origin, BTreeMap<u64, Arc<Eviction>>>,
    ranks: BTreeSet<(Rank, Origin)>,
    count: usize,
}

/// How many connections an origin has; of two with the same number, the one that has the oldest
/// counts as the larger.
type Rank = (usize, Reverse<u64>);

/// Tells a connection that it has to go, and why.
#[derive(Debug, Default)]
struct Eviction {
    told: CancellationToken,
    why: OnceLock<Evicted>,
}

impl Eviction {
    fn tell(&self, why: Evicted) {
        // The first reason counts.
        let _ = self.why.set(why);
        self.told.cancel();
    }
}

/// Why a connection has lost its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Evicted {
    /// This many connections are half open, the limit.
    HalfOpen(usize),
    /// This many connections are open, the limit.
    Connections(usize),
    /// No descriptor was left for others.
    Descriptors,
}

impl fmt::Display for Evicted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HalfOpen(limit) => write!(
                f,
                "too many connections that are not peered yet, the limit half-open is {limit}: the \
                 oldest from the busiest address went"
            ),
            Self::Connections(limit) => write!(
                f,
                "too many connections, {limit} are possible with the descriptors of this process: \
                 the busiest address gives way"
            ),
            Self::Descriptors => {
                f.write_str("no file descriptor is left for others: the busiest address gives way")
            }
        }
    }
}

/// The place of one connection; given back when dropped.
#[derive(Debug)]
pub struct Place {
    admission: Arc<Admission>,
    origin: Origin,
    number: u64,
    eviction: Arc<Eviction>,
    is_half_open: bool,
}

impl Admission {
    /// Room for `half_open` connections that are neither peer nor client, and for `connections`
    /// that hold a descriptor.
    #[must_use]
    pub fn new(half_open: usize, connections: usize) -> Self {
        Self {
            half_open_max: half_open,
            connections_max: connections,
            state: Mutex::default(),
            given_back: Notify::new(),
        }
    }

    /// Takes a place for a half-open connection, from another connection if need be. The place is
    /// lost already if the newcomer is the one that has to give way.
    #[must_use]
    pub fn enter(self: &Arc<Self>, remote: &Address, holds_descriptor: bool) -> Place {
        let origin = Origin::of(remote);
        let eviction = Arc::<Eviction>::default();
        let mut state = self.state.lock();
        state.last += 1;
        let number = state.last;
        let full = holds_descriptor && state.connections.count >= self.connections_max;
        let why = Evicted::Connections(self.connections_max);
        if full && !state.make_way(&origin, why) {
            eviction.tell(why);
            state.leaving += 1;
        } else {
            if state.half_open.count >= self.half_open_max {
                state.evict_half_open(&origin, self.half_open_max);
            }
            state.half_open.insert(&origin, number, &eviction);
            if holds_descriptor {
                state.connections.insert(&origin, number, &eviction);
            }
        }
        drop(state);
        Place { admission: Arc::clone(self), origin, number, eviction, is_half_open: true }
    }

    /// Whether a connection from there would get a place that it need not take from its own
    /// address.
    #[must_use]
    pub fn has_room_for(&self, remote: &Address) -> bool {
        let state = self.state.lock();
        let has_room = state.connections.count < self.connections_max;
        has_room || state.victim(&Origin::of(remote)).is_some()
    }

    /// Ends a half-open connection, for its descriptor. Returns whether there is one.
    ///
    /// Established ones stay: their number is bounded, so what has used up the descriptors is
    /// something else.
    pub fn make_room(&self) -> bool {
        let mut state = self.state.lock();
        let (_, busiest) = state.half_open.busiest(None);
        let Some(origin) = busiest else { return false };
        let Some(number) = state.oldest_half_open(&origin) else { return false };
        state.evict(&origin, number, Evicted::Descriptors);
        true
    }

    /// Waits while many connections that have lost their places are still there: they hold
    /// descriptors, and who lets others in faster than they end has ever more of them. Cancel safe.
    pub(crate) async fn keep_up(&self) {
        let is_behind = || self.state.lock().leaving > LEAVING_MAX;
        if is_behind() {
            while is_behind() {
                self.room_made().await;
            }
            // Other listeners may have waited for the same.
            self.given_back.notify_one();
        }
    }

    /// Waits until a connection has given its place back, possibly a while ago. Cancel safe.
    pub async fn room_made(&self) {
        self.given_back.notified().await;
    }
}

impl State {
    /// Takes the place of the oldest half-open connection from where most of them come from,
    /// together with the one that wants to come in.
    fn evict_half_open(&mut self, newcomer: &Origin, limit: usize) {
        let (_, busiest) = self.half_open.busiest(Some(newcomer));
        let oldest = busiest.as_ref().and_then(|busiest| self.half_open.oldest(busiest));
        if let (Some(origin), Some(number)) = (busiest, oldest) {
            self.evict(&origin, number, Evicted::HalfOpen(limit));
        }
    }

    /// Takes the place of a connection with a descriptor for a newcomer, unless that has to give
    /// way itself; returns whether there is a place now.
    fn make_way(&mut self, newcomer: &Origin, why: Evicted) -> bool {
        let Some((origin, number)) = self.victim(newcomer) else { return false };
        self.evict(&origin, number, why);
        true
    }

    fn victim(&self, newcomer: &Origin) -> Option<(Origin, u64)> {
        let (count, busiest) = self.connections.busiest(Some(newcomer));
        let busiest = busiest?;
        let half_open = self.oldest_half_open(&busiest);
        // An established one goes only if its address has more than the newcomer's will have.
        let (own, _) = self.connections.rank(newcomer);
        let has_more = count > own + 1 && *newcomer != busiest;
        let newest = || self.connections.newest(&busiest).filter(|_| has_more);
        let number = half_open.or_else(newest)?;
        Some((busiest, number))
    }

    /// The oldest half-open connection of an origin that holds a descriptor.
    fn oldest_half_open(&self, origin: &Origin) -> Option<u64> {
        let connections = self.connections.origins.get(origin)?;
        let half_open = self.half_open.origins.get(origin)?;
        half_open.keys().copied().find(|number| connections.contains_key(number))
    }

    fn evict(&mut self, origin: &Origin, number: u64, why: Evicted) {
        let eviction = self.half_open.remove(origin, number);
        let eviction = self.connections.remove(origin, number).or(eviction);
        if let Some(eviction) = eviction {
            eviction.tell(why);
            self.leaving += 1;
        }
    }
}

impl ByOrigin {
    fn rank(&self, origin: &Origin) -> Rank {
        let numbers = self.origins.get(origin);
        let oldest = numbers.and_then(|numbers| numbers.first_key_value());
        (numbers.map_or(0, BTreeMap::len), Reverse(oldest.map_or(u64::MAX, |(number, _)| *number)))
    }

    /// Who has most, and how many, with the newcomer counted.
    fn busiest(&self, newcomer: Option<&Origin>) -> (usize, Option<Origin>) {
        let top = self.ranks.last();
        let own = newcomer.map(|origin| {
            let (count, oldest) = self.rank(origin);
            ((count + 1, oldest), origin)
        });
        match (top, own) {
            (Some((top, _)), Some((rank, origin))) if rank >= *top => {
                (rank.0, Some(origin.clone()))
            }
            (Some((top, origin)), _) => (top.0, Some(origin.clone())),
            (None, own) => (1, own.map(|(_, origin)| origin.clone())),
        }
    }

    fn oldest(&self, origin: &Origin) -> Option<u64> {
        self.origins.get(origin)?.first_key_value().map(|(number, _)| *number)
    }

    fn newest(&self, origin: &Origin) -> Option<u64> {
        self.origins.get(origin)?.last_key_value().map(|(number, _)| *number)
    }

    fn insert(&mut self, origin: &Origin, number: u64, eviction: &Arc<Eviction>) {
        self.ranks.remove(&(self.rank(origin), origin.clone()));
        let numbers = self.origins.entry(origin.clone()).or_default();
        if numbers.insert(number, Arc::clone(eviction)).is_none() {
            self.count += 1;
        }
        self.ranks.insert((self.rank(origin), origin.clone()));
    }

    fn remove(&mut self, origin: &Origin, number: u64) -> Option<Arc<Eviction>> {
        let rank = self.rank(origin);
        let numbers = self.origins.get_mut(origin)?;
        let eviction = numbers.remove(&number)?;
        let is_empty = numbers.is_empty();
        self.count -= 1;
        self.ranks.remove(&(rank, origin.clone()));
        if is_empty {
            self.origins.remove(origin);
        } else {
            self.ranks.insert((self.rank(origin), origin.clone()));
        }
        Some(eviction)
    }
}

impl Place {
    /// The connection has become a peer or a client.
    pub fn establish(&mut self) {
        if std::mem::take(&mut self.is_half_open) {
            self.admission.state.lock().half_open.remove(&self.origin, self.number);
        }
    }

    /// The connection is being closed, for which time it counts as half open: otherwise those who
    /// come and leave as fast as they can would have any number of them.
    pub fn close(&mut self) {
        if self.is_half_open || self.evicted().is_some() {
            return;
        }
        self.is_half_open = true;
        let limit = self.admission.half_open_max;
        let mut state = self.admission.state.lock();
        if state.half_open.count >= limit {
            state.evict_half_open(&self.origin, limit);
        }
        // It has a new number, since it is the newest of those that are half open.
        state.last += 1;
        let number = std::mem::replace(&mut self.number, state.last);
        if state.connections.remove(&self.origin, number).is_some() {
            state.connections.insert(&self.origin, self.number, &self.eviction);
        }
        if self.eviction.why.get().is_none() {
            state.half_open.insert(&self.origin, self.number, &self.eviction);
        }
    }

    /// Waits until this place has been given to another connection, and says why. Cancel safe.
    pub async fn lost(&self) -> Evicted {
        self.eviction.told.cancelled().await;
        self.evicted().unwrap_or(Evicted::Descriptors)
    }

    /// Why this place has been given to another connection, if it has.
    #[must_use]
    pub fn evicted(&self) -> Option<Evicted> {
        self.eviction.why.get().copied()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        {
            let mut state = self.admission.state.lock();
            // It is gone already where it was given to somebody else.
            state.half_open.remove(&self.origin, self.number);
            state.connections.remove(&self.origin, self.number);
            if self.eviction.why.get().is_some() {
                state.leaving -= 1;
            }
        }
        self.admission.given_back.notify_one();
    }
}

/// Connections that have lost their places and may still be there when the next one comes.
const LEAVING_MAX: usize = 32;

/// How many connections may hold a descriptor so that some are left for everything else: files,
/// dials, listeners, and the look at an address before it is decided who gives way.
pub(crate) fn connections_max() -> usize {
    #[cfg(unix)]
    {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
        limit - (limit / 8).clamp(RESERVE_MIN, RESERVE_MAX).min(limit / 2)
    }
    #[cfg(not(unix))]
    usize::MAX
}

/// Descriptors that connections leave alone, at least, unless that is more than half of all.
#[cfg(unix)]
const RESERVE_MIN: usize = 32;

/// Descriptors that connections leave alone, at most.
#[cfg(unix)]
const RESERVE_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    const MANY: usize = usize::MAX;

    fn is_lost(place: &Place) -> bool {
        place.eviction.told.is_cancelled()
    }

    fn enter(admission: &Arc<Admission>, host: &str) -> Place {
        admission.enter(&Address::new("tcp", host, 1), true)
    }

    fn established(admission: &Arc<Admission>, host: &str) -> Place {
        let mut place = enter(admission, host);
        place.establish();
        place
    }

    fn assert_is_empty(admission: &Admission) {
        let state = admission.state.lock();
        assert_eq!(state.leaving, 0);
        for all in [&state.half_open, &state.connections] {
            assert!(all.origins.is_empty() && all.ranks.is_empty() && all.count == 0, "{all:?}");
        }
    }

    #[test]
    fn the_oldest_gives_way_to_the_newest() {
        let admission = Arc::new(Admission::new(2, MANY));
        let enter = || enter(&admission, "192.0.2.1");
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
        assert_eq!(second.evicted(), Some(Evicted::HalfOpen(2)));
        assert!(admission.make_room());
        assert!(is_lost(&fourth) && !is_lost(&fifth));
        assert_eq!(fourth.evicted(), Some(Evicted::Descriptors));
        assert!(admission.make_room() && !admission.make_room());
        drop((second, fourth, fifth));
        assert_is_empty(&admission);
    }

    #[test]
    fn one_address_cannot_push_out_the_others() {
        let admission = Arc::new(Admission::new(4, MANY));
        let honest = enter(&admission, "192.0.2.1");
        let same = enter(&admission, "::ffff:192.0.2.1");
        let flood: Vec<_> = (0..100).map(|_| enter(&admission, "198.51.100.9")).collect();
        assert!(!is_lost(&honest) && !is_lost(&same));
        assert_eq!(flood.iter().filter(|place| !is_lost(place)).count(), 2);
        assert!(flood[98..].iter().all(|place| !is_lost(place)), "the newest are kept");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_let_in_faster_than_others_leave() {
        let admission = Arc::new(Admission::new(1, MANY));
        let mut places: Vec<_> =
            (0..LEAVING_MAX + 2).map(|_| enter(&admission, "192.0.2.1")).collect();
        let wait = Duration::from_secs(60);
        assert!(timeout(wait, admission.keep_up()).await.is_err());
        places.remove(0);
        assert!(timeout(wait, admission.keep_up()).await.is_ok());
        drop(places);
        assert_is_empty(&admission);
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_address() {
        let admission = Arc::new(Admission::new(3, MANY));
        let honest = enter(&admission, "2001:db8::1");
        let flood: Vec<_> =
            (0..100).map(|n| enter(&admission, &format!("2001:db8:0:1::{n:x}"))).collect();
        assert!(!is_lost(&honest));
        assert_eq!(flood.iter().filter(|place| !is_lost(place)).count(), 2);
    }

    #[test]
    fn what_is_being_closed_counts_as_half_open_again() {
        let admission = Arc::new(Admission::new(2, MANY));
        let mut places: Vec<_> = (0..5).map(|_| established(&admission, "192.0.2.1")).collect();
        assert!(!places.iter().any(is_lost), "peers and clients do not count");
        places.iter_mut().for_each(Place::close);
        let lost: Vec<_> = places.iter().map(is_lost).collect();
        assert_eq!(lost, [true, true, true, false, false]);
        drop(places);
        assert_is_empty(&admission);
    }

    #[test]
    fn an_address_with_most_of_the_connections_gives_way_to_others_and_gets_no_more() {
        let admission = Arc::new(Admission::new(MANY, 4));
        let crowd: Vec<_> = (0..4).map(|_| established(&admission, "198.51.100.9")).collect();
        assert!(is_lost(&enter(&admission, "198.51.100.9")), "its own newcomer is not let in");
        assert!(!admission.has_room_for(&Address::new("tcp", "198.51.100.9", 1)));
        assert!(admission.has_room_for(&Address::new("tcp", "192.0.2.1", 1)));
        let others = ["192.0.2.1", "192.0.2.2"].map(|host| established(&admission, host));
        assert!(!others.iter().any(is_lost));
        let lost: Vec<_> = crowd.iter().map(is_lost).collect();
        assert_eq!(lost, [false, false, true, true], "the newest go first");
        assert_eq!(crowd[3].evicted(), Some(Evicted::Connections(4)));
        let third = established(&admission, "192.0.2.3");
        assert!(!is_lost(&third) && is_lost(&crowd[1]));
        let late = enter(&admission, "192.0.2.4");
        assert!(is_lost(&late) && !is_lost(&crowd[0]), "nobody has more than one");
        assert!(!admission.make_room(), "established ones stay");
        drop((crowd, others, third, late));
        assert_is_empty(&admission);
    }

    #[test]
    fn half_open_connections_of_the_busiest_address_go_before_established_ones() {
        let admission = Arc::new(Admission::new(MANY, 3));
        let peer = established(&admission, "198.51.100.9");
        let [first, second] = [(); 2].map(|()| enter(&admission, "198.51.100.9"));
        let honest = enter(&admission, "192.0.2.1");
        assert!(is_lost(&first) && ![&peer, &second, &honest].into_iter().any(is_lost));
        let same = enter(&admission, "198.51.100.9");
        assert!(is_lost(&second) && ![&peer, &same, &honest].into_iter().any(is_lost));
    }

    #[test]
    fn what_holds_no_descriptor_does_not_count_for_them() {
        let admission = Arc::new(Admission::new(MANY, 1));
        let peer = established(&admission, "192.0.2.1");
        let datagrams = admission.enter(&Address::new("quic", "192.0.2.1", 1), false);
        assert!(!is_lost(&peer) && !is_lost(&datagrams));
    }
}
