use crate::Origin;
use std::collections::HashMap;

/// How many of the peers that were accepted come from where, and whether more than half of all
/// places are taken from one origin.
#[derive(Debug)]
pub(super) struct Crowd {
    /// From how many on it is more than its part.
    too_many: usize,
    counts: HashMap<Origin, usize>,
    crowded: Option<Origin>,
}

impl Crowd {
    /// Nobody yet, of at most `limit`.
    pub(super) fn new(limit: usize) -> Self {
        // A single place is nobody's part.
        let too_many = (limit / 2 + 1).max(2);
        Self { too_many, counts: HashMap::new(), crowded: None }
    }

    pub(super) fn enter(&mut self, origin: &Origin) {
        let count = self.counts.entry(origin.clone()).or_default();
        *count += 1;
        if *count >= self.too_many {
            self.crowded = Some(origin.clone());
        }
    }

    pub(super) fn leave(&mut self, origin: &Origin) {
        let Some(count) = self.counts.get_mut(origin) else { return };
        *count -= 1;
        if *count < self.too_many && self.crowded.as_ref() == Some(origin) {
            self.crowded = None;
        }
        if *count == 0 {
            self.counts.remove(origin);
        }
    }

    /// Who has more than half of all places, unless that is where the newcomer is from.
    pub(super) fn gives_way_to(&self, newcomer: &Origin) -> Option<&Origin> {
        self.crowded.as_ref().filter(|crowded| *crowded != newcomer)
    }
}
