use std::collections::HashMap;
use std::hash::Hash;

/// The label of those that have none of their own.
pub(in super::super) const OTHER: &str = "other";

/// Who has a label of its own, where everybody can come with another name.
///
/// Who is gone keeps its place until somebody else needs it. That can only be somebody who is there
/// when the numbers are asked for: so whoever comes and goes as often as it likes makes no more new
/// time series than there are places from one time to the next.
#[derive(Debug)]
pub(in super::super) struct Places<K> {
    limit: usize,
    places: HashMap<K, Place>,
    /// How many have left so far.
    left: u64,
}

#[derive(Debug, Default)]
struct Place {
    /// How many are there under this name.
    present: usize,
    /// What [`Places::left`] was when the last one left.
    since: u64,
}

impl<K: Clone + Eq + Hash> Places<K> {
    pub(in super::super) fn new(limit: usize) -> Self {
        Self { limit, places: HashMap::new(), left: 0 }
    }

    /// Whether somebody who is there has a place, which then holds until [`Self::leave`].
    pub(in super::super) fn enter(&mut self, name: &K) -> bool {
        if !self.has(name) && self.places.len() >= self.limit {
            let gone = self.places.iter().filter(|(_, place)| place.present == 0);
            let longest = gone.min_by_key(|(_, place)| place.since).map(|(name, _)| name.clone());
            longest.and_then(|name| self.places.remove(&name));
        }
        self.enter_late(name)
    }

    /// The same for somebody who is going already: it takes the place of nobody.
    pub(in super::super) fn enter_late(&mut self, name: &K) -> bool {
        let own = self.find(name);
        if let Some(place) = self.places.get_mut(name) {
            place.present += 1;
        }
        own
    }

    /// To be called once for each time that there was a place.
    pub(in super::super) fn leave(&mut self, name: &K) {
        self.left += 1;
        if let Some(place) = self.places.get_mut(name) {
            place.present = place.present.saturating_sub(1);
            place.since = self.left;
        }
    }

    /// Whether there is a place for something that concerns this name.
    pub(in super::super) fn find(&mut self, name: &K) -> bool {
        if self.has(name) || self.places.len() < self.limit {
            self.places.entry(name.clone()).or_default();
            return true;
        }
        false
    }

    /// Whether this name has a place.
    pub(in super::super) fn has(&self, name: &K) -> bool {
        self.places.contains_key(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_there_gets_the_place_of_the_one_that_is_gone_for_longest() {
        let mut places = Places::new(2);
        assert!(places.enter(&'a') && places.enter(&'b') && !places.enter(&'c'));
        places.leave(&'b');
        places.leave(&'a');
        assert!(!places.enter_late(&'d'), "who has gone already takes the place of nobody");
        assert!(places.enter_late(&'a'), "a place is kept as long as nobody needs it");
        assert!(places.enter(&'e') && !places.has(&'b'));
        assert!(!places.enter(&'f'), "the others are there");
    }

    #[test]
    fn a_place_is_taken_until_all_who_share_it_have_left() {
        let mut places = Places::new(1);
        assert!(places.enter(&'a') && places.enter(&'a'));
        places.leave(&'a');
        assert!(!places.enter(&'b'));
        places.leave(&'a');
        assert!(places.enter(&'b'));
    }
}
