use crate::EndpointId;
use parking_lot::RwLock;
use std::collections::HashMap;
use std::sync::Arc;

/// The relays that can be reached, and which of them are peered. All relays that know the same
/// claims have the same graph, and come to the same conclusions about it.
#[derive(Debug, Default)]
pub struct Graph {
    own: EndpointId,
    /// In ascending order.
    relays: Vec<EndpointId>,
    /// For each relay its neighbours, as places in `relays`, in ascending order.
    neighbours: Vec<Vec<u32>>,
    /// Those that were asked for.
    trees: RwLock<HashMap<EndpointId, Arc<Tree>>>,
}

/// The shortest paths from one relay to all others, one for each.
#[derive(Debug)]
pub struct Tree {
    /// How many hops away a relay is.
    distance: Vec<u32>,
    /// The neighbour of this endpoint that lies on the path to a relay, if this endpoint does.
    branch: Vec<Option<u32>>,
}

const UNSEEN: u32 = u32::MAX;

impl Graph {
    /// The graph as this endpoint sees it, of relays and their neighbours, both ascending.
    pub(super) fn new(own: EndpointId, edges: &[(EndpointId, Vec<EndpointId>)]) -> Self {
        let relays: Vec<EndpointId> = edges.iter().map(|(relay, _)| *relay).collect();
        let place = |id: &EndpointId| relays.binary_search(id).ok().map(|place| place as u32);
        let neighbours = edges.iter().map(|(_, ids)| ids.iter().filter_map(place).collect());
        let neighbours = neighbours.collect();
        Self { own, relays, neighbours, trees: RwLock::default() }
    }

    /// Whether a relay is in it.
    pub fn has(&self, relay: EndpointId) -> bool {
        self.place(relay).is_some()
    }

    /// Whether there is nobody else.
    pub fn is_alone(&self) -> bool {
        self.relays.len() < 2
    }

    fn place(&self, relay: EndpointId) -> Option<usize> {
        self.relays.binary_search(&relay).ok()
    }

    /// The paths from a relay that is in the graph.
    pub fn tree(&self, root: EndpointId) -> Option<Arc<Tree>> {
        if let Some(tree) = self.trees.read().get(&root) {
            return Some(Arc::clone(tree));
        }
        let tree = Arc::new(self.grow(self.place(root)?, root));
        self.trees.write().insert(root, Arc::clone(&tree));
        Some(tree)
    }

    fn grow(&self, root: usize, id: EndpointId) -> Tree {
        let mut distance = vec![UNSEEN; self.relays.len()];
        let mut parent: Vec<Option<u32>> = vec![None; self.relays.len()];
        let mut order = vec![root as u32];
        if let Some(place) = distance.get_mut(root) {
            *place = 0;
        }
        let mut next = 0;
        while let Some(&at) = order.get(next) {
            next += 1;
            let hops = distance.get(at as usize).copied().unwrap_or(UNSEEN);
            for &to in self.neighbours.get(at as usize).into_iter().flatten() {
                let Some(known) = distance.get_mut(to as usize) else { continue };
                if *known == UNSEEN {
                    *known = hops + 1;
                    order.push(to);
                }
                if *known == hops + 1 {
                    let better = |old: u32| self.weight(id, to, at) > self.weight(id, to, old);
                    if let Some(parent) = parent.get_mut(to as usize)
                        && parent.is_none_or(better)
                    {
                        *parent = Some(at);
                    }
                }
            }
        }
        let own = self.place(self.own).map(|own| own as u32);
        let mut branch: Vec<Option<u32>> = vec![None; self.relays.len()];
        for at in order {
            let Some(parent) = parent.get(at as usize).copied().flatten() else { continue };
            let via = match Some(parent) == own {
                true => Some(at),
                false => branch.get(parent as usize).copied().flatten(),
            };
            if let Some(place) = branch.get_mut(at as usize) {
                *place = via;
            }
        }
        Tree { distance, branch }
    }

    fn weight(&self, root: EndpointId, to: u32, via: u32) -> u64 {
        let id = |place: u32| self.relays.get(place as usize).copied().unwrap_or_default();
        preference(root, id(to), id(via))
    }

    /// How many hops it is from the root of a tree to a relay.
    pub fn distance(&self, tree: &Tree, relay: EndpointId) -> Option<u32> {
        tree.distance.get(self.place(relay)?).copied().filter(|hops| *hops != UNSEEN)
    }

    /// The neighbour of this endpoint by which the path of a tree goes on to a relay, if it passes
    /// this endpoint.
    pub fn branch(&self, tree: &Tree, relay: EndpointId) -> Option<EndpointId> {
        let via = tree.branch.get(self.place(relay)?).copied().flatten()?;
        self.relays.get(via as usize).copied()
    }
}

/// How much `candidate` is preferred where several would do for messages from `from` to `to`: a
/// number that looks random, is the same at every relay, and is another one for every other pair,
/// so that pairs are spread over the candidates without anybody asking anybody.
#[must_use]
pub fn preference(from: EndpointId, to: EndpointId, candidate: EndpointId) -> u64 {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for id in [from, to, candidate] {
        let bits = u128::from_be_bytes(*id.as_bytes());
        for half in [(bits >> 64) as u64, bits as u64] {
            // The finalizer of MurmurHash3, once for each half of an id.
            state ^= half;
            state = (state ^ (state >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
            state = (state ^ (state >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
            state ^= state >> 33;
        }
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(byte: u8) -> EndpointId {
        EndpointId::from_bytes([byte; 16])
    }

    fn graph(own: u8, pairs: &[(u8, u8)]) -> Graph {
        let mut edges = std::collections::BTreeMap::<_, std::collections::BTreeSet<_>>::new();
        for (a, b) in pairs {
            edges.entry(id(*a)).or_default().insert(id(*b));
            edges.entry(id(*b)).or_default().insert(id(*a));
        }
        let edges: Vec<_> = edges
            .into_iter()
            .map(|(relay, others)| (relay, others.into_iter().collect()))
            .collect();
        Graph::new(id(own), &edges)
    }

    /// Who gets a message that enters at `root`, and how often, if everyone passes it on to those
    /// that the tree says.
    fn spread(pairs: &[(u8, u8)], root: u8, nodes: u8) -> Vec<u32> {
        let mut got = vec![0; usize::from(nodes)];
        let mut under_way = vec![root];
        while let Some(at) = under_way.pop() {
            got[usize::from(at)] += 1;
            let graph = graph(at, pairs);
            let tree = graph.tree(id(root)).unwrap();
            let branches = (0..nodes).filter_map(|to| graph.branch(&tree, id(to)));
            let next: std::collections::BTreeSet<EndpointId> = branches.collect();
            under_way.extend(next.into_iter().map(|id| id.as_bytes()[0]));
        }
        got
    }

    #[test]
    fn in_any_graph_everyone_gets_what_enters_anywhere_once() {
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..200 {
            let nodes = random.u8(2..10);
            let mut pairs: Vec<(u8, u8)> = (1..nodes).map(|b| (random.u8(..b), b)).collect();
            for _ in 0..random.u8(..12) {
                let (a, b) = (random.u8(..nodes), random.u8(..nodes));
                pairs.extend((a != b).then_some((a, b)));
            }
            let root = random.u8(..nodes);
            assert_eq!(spread(&pairs, root, nodes), vec![1; usize::from(nodes)], "{pairs:?}");
        }
    }

    #[test]
    fn pairs_are_spread_over_equal_candidates() {
        let first = (0..=255)
            .filter(|n| preference(id(1), id(*n), id(2)) > preference(id(1), id(*n), id(3)));
        let first = first.count();
        assert!((96..160).contains(&first), "{first} of 256 go to one of two");
    }
}
