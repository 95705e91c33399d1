use crate::EndpointId;
use crate::wire::announcement::{Claim, Stamped, Update};
use std::collections::{BTreeMap, BTreeSet};

/// Withdrawn claims that are remembered, beside as many as there are claims that hold.
const WITHDRAWN_KEPT: usize = 64;

/// What is known of the claims of one relay.
///
/// Claims that were withdrawn are remembered for a while, so that others can be told so; from the
/// generation `floor` on all of them are.
#[derive(Debug)]
pub(super) struct Claims {
    pub(super) life: u64,
    pub(super) generation: u64,
    pub(super) floor: u64,
    stamps: BTreeMap<Claim, u64>,
    log: BTreeMap<u64, (Claim, bool)>,
    withdrawn: usize,
    size: usize,
    pub(super) neighbours: BTreeSet<EndpointId>,
}

impl Claims {
    pub(super) fn new(life: u64) -> Self {
        Self {
            life,
            generation: 0,
            floor: 0,
            stamps: BTreeMap::new(),
            log: BTreeMap::new(),
            withdrawn: 0,
            size: 0,
            neighbours: BTreeSet::new(),
        }
    }

    /// About how many bytes it takes to remember them.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    pub(super) fn holds(&self, claim: &Claim) -> bool {
        let at = self.stamps.get(claim).and_then(|stamp| self.log.get(stamp));
        at.is_some_and(|(_, holds)| *holds)
    }

    /// The claims that hold.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Claim> {
        self.log.values().filter(|(_, holds)| *holds).map(|(claim, _)| claim)
    }

    /// Changes a claim of this endpoint itself, and returns whether it was different before.
    pub(super) fn change(&mut self, claim: Claim, holds: bool) -> bool {
        let changes = self.holds(&claim) != holds;
        if changes {
            let stamp = self.generation + 1;
            self.put(Stamped { stamp, claim, holds });
            self.generation = stamp;
            self.prune();
        }
        changes
    }

    /// Takes note of a change, and returns whether the claim was different before.
    fn put(&mut self, change: Stamped) -> bool {
        let Stamped { stamp, claim, holds } = change;
        let before = self.stamps.insert(claim.clone(), stamp).and_then(|old| self.log.remove(&old));
        let held = before.as_ref().is_some_and(|(_, held)| *held);
        match &before {
            Some((_, false)) => self.withdrawn -= 1,
            Some((_, true)) => {}
            None => self.size += claim.size(),
        }
        self.withdrawn += usize::from(!holds);
        if let Claim::Neighbour(id) = claim {
            match holds {
                true => self.neighbours.insert(id),
                false => self.neighbours.remove(&id),
            };
        }
        self.log.insert(stamp, (claim, holds));
        held != holds
    }

    fn prune(&mut self) {
        if self.withdrawn <= WITHDRAWN_KEPT + self.log.len() - self.withdrawn {
            return;
        }
        let (stamps, size) = (&mut self.stamps, &mut self.size);
        self.log.retain(|_, (claim, holds)| {
            if !*holds {
                stamps.remove(claim);
                *size -= claim.size();
            }
            *holds
        });
        self.withdrawn = 0;
        self.floor = self.generation;
    }

    /// Makes the changes of an update that leads further than what is known. The claims that are
    /// different now are told to `changed`.
    pub(super) fn apply(&mut self, update: Update, mut changed: impl FnMut(&Claim, bool)) {
        if update.base == 0 {
            let before = std::mem::replace(self, Self::new(update.life));
            let kept: BTreeSet<&Claim> =
                update.changes.iter().filter(|c| c.holds).map(|change| &change.claim).collect();
            before.iter().filter(|claim| !kept.contains(claim)).for_each(|claim| {
                changed(claim, false);
            });
            for change in update.changes {
                let claim = change.claim.clone();
                if self.put(change) && !before.holds(&claim) {
                    changed(&claim, true);
                }
            }
            self.floor = update.generation;
        } else {
            for change in update.changes {
                let (claim, holds) = (change.claim.clone(), change.holds);
                // A change that is known already keeps the stamp that it has.
                if change.stamp > self.generation && self.put(change) {
                    changed(&claim, holds);
                }
            }
        }
        self.generation = update.generation;
        self.prune();
    }

    /// Begins a new life with the same claims.
    pub(super) fn reborn(&mut self, life: u64) {
        let held: Vec<Claim> = self.iter().cloned().collect();
        *self = Self::new(life);
        for claim in held {
            self.change(claim, true);
        }
    }

    /// What somebody has to be told who knows the generation `known`.
    pub(super) fn update(&self, relay: EndpointId, known: u64) -> Update {
        let base = if self.floor <= known { known } else { 0 };
        let told = |(_, (_, holds)): &(&u64, &(Claim, bool))| base > 0 || *holds;
        let changes = self.log.range(base + 1..).filter(told).map(|(stamp, (claim, holds))| {
            Stamped { stamp: *stamp, claim: claim.clone(), holds: *holds }
        });
        let (life, generation, changes) = (self.life, self.generation, changes.collect());
        Update { relay, life, base, generation, changes }
    }
}
