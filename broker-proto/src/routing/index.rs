use smallvec::{SmallVec, smallvec};
use std::mem;
use std::sync::Arc;

/// Which destinations subscribed to a prefix of a topic.
///
/// A compressed trie: a look-up goes along the topic once and finds every prefix on its way,
/// however many subscriptions there are beside them. A clone shares all nodes with its original. A
/// change copies the nodes on the way to where it happens, and those only if a clone has them too,
/// so that a snapshot costs nothing and a change costs what has changed.
#[derive(Debug, Clone, Default)]
pub struct PrefixIndex {
    root: Arc<Node>,
}

/// Except for the root, every node has a destination or at least two children.
#[derive(Debug, Clone, Default)]
struct Node {
    /// What this prefix has in addition to that of its parent; empty in the root only.
    label: SmallVec<[u8; 16]>,
    /// In ascending order.
    destinations: SmallVec<[u32; 2]>,
    /// In ascending order of the first bytes of their labels, which differ.
    children: Vec<Child>,
}

#[derive(Debug, Clone)]
struct Child {
    /// The first byte of its label.
    first: u8,
    node: Arc<Node>,
}

impl PrefixIndex {
    /// The destinations that want `topic`, in ascending order and each one once.
    #[must_use]
    pub fn lookup(&self, topic: &[u8]) -> Vec<u32> {
        let mut found = Vec::new();
        let (mut node, mut rest) = (&self.root, topic);
        loop {
            found.extend_from_slice(&node.destinations);
            match node.step(rest) {
                Some((child, below)) => (node, rest) = (child, below),
                None => break,
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Adds a destination to a prefix. Nothing happens if it is there already.
    pub fn insert(&mut self, prefix: &[u8], destination: u32) {
        let (mut node, mut rest) = (Arc::make_mut(&mut self.root), prefix);
        loop {
            let Some(first) = rest.first() else {
                if let Err(at) = node.destinations.binary_search(&destination) {
                    node.destinations.insert(at, destination);
                }
                return;
            };
            let at = match node.position(*first) {
                Ok(at) => at,
                Err(at) => {
                    node.children.insert(at, Child::new(Node::leaf(rest, destination)));
                    return;
                }
            };
            let Some(child) = node.children.get_mut(at) else { return };
            let shared = common_prefix(&child.node.label, rest);
            if shared < child.node.label.len() {
                child.split(shared);
            }
            node = Arc::make_mut(&mut child.node);
            rest = rest.get(shared..).unwrap_or_default();
        }
    }

    /// Takes a destination away from a prefix. Nothing happens if it is not there.
    pub fn remove(&mut self, prefix: &[u8], destination: u32) {
        let Some(depth) = self.depth(prefix, destination) else { return };
        let (mut parent, mut rest) = (Arc::make_mut(&mut self.root), prefix);
        for _ in 1..depth {
            let Some(child) = parent.child_mut(rest) else { return };
            parent = Arc::make_mut(&mut child.node);
            rest = rest.get(parent.label.len()..).unwrap_or_default();
        }
        if depth == 0 {
            return parent.forget(destination);
        }
        let Some(at) = rest.first().and_then(|first| parent.position(*first).ok()) else { return };
        let Some(child) = parent.children.get_mut(at) else { return };
        // A copy of a node that goes would be made in vain.
        if child.node.children.is_empty() && child.node.destinations.len() == 1 {
            parent.children.remove(at);
            if depth > 1 && parent.destinations.is_empty() && parent.children.len() == 1 {
                parent.join_child();
            }
            return;
        }
        let node = Arc::make_mut(&mut child.node);
        node.forget(destination);
        if node.destinations.is_empty() && node.children.len() == 1 {
            node.join_child();
        }
    }

    /// How many nodes lie between the root and the one of this prefix, if that has the destination.
    fn depth(&self, prefix: &[u8], destination: u32) -> Option<usize> {
        let (mut node, mut rest, mut depth) = (&self.root, prefix, 0);
        while !rest.is_empty() {
            (node, rest) = node.step(rest)?;
            depth += 1;
        }
        node.destinations.binary_search(&destination).ok().map(|_| depth)
    }
}

impl Node {
    fn leaf(label: &[u8], destination: u32) -> Self {
        let destinations = smallvec![destination];
        Self { label: label.into(), destinations, children: Vec::new() }
    }

    fn position(&self, first: u8) -> Result<usize, usize> {
        self.children.binary_search_by_key(&first, |child| child.first)
    }

    /// The child that lies on the way to `rest`, and what is left of that below it.
    fn step<'a>(&self, rest: &'a [u8]) -> Option<(&Arc<Self>, &'a [u8])> {
        let at = self.position(*rest.first()?).ok()?;
        let node = &self.children.get(at)?.node;
        Some((node, rest.strip_prefix(&*node.label)?))
    }

    fn child_mut(&mut self, rest: &[u8]) -> Option<&mut Child> {
        let at = self.position(*rest.first()?).ok()?;
        self.children.get_mut(at)
    }

    fn forget(&mut self, destination: u32) {
        self.destinations.retain(|known| *known != destination);
    }

    /// Becomes one with its only child.
    fn join_child(&mut self) {
        let Some(child) = self.children.pop() else { return };
        let mut lower = Arc::unwrap_or_clone(child.node);
        lower.label.insert_from_slice(0, &self.label);
        *self = lower;
    }
}

impl Child {
    fn new(node: Node) -> Self {
        Self { first: node.label.first().copied().unwrap_or_default(), node: Arc::new(node) }
    }

    /// Puts a node between this one and its parent that has the first `at` bytes of its label.
    fn split(&mut self, at: usize) {
        let mut lower = Arc::unwrap_or_clone(mem::take(&mut self.node));
        let label = lower.label.drain(..at).collect();
        let children = vec![Self::new(lower)];
        self.node = Arc::new(Node { label, destinations: SmallVec::new(), children });
    }
}

/// A chain of nodes may be as long as an entry, and the stack need not be.
impl Drop for Node {
    fn drop(&mut self) {
        let mut children = mem::take(&mut self.children);
        while let Some(child) = children.pop() {
            if let Some(mut node) = Arc::into_inner(child.node) {
                children.append(&mut node.children);
            }
        }
    }
}

fn common_prefix(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn index<P: AsRef<[u8]>>(pairs: impl IntoIterator<Item = (P, u32)>) -> PrefixIndex {
        let mut index = PrefixIndex::default();
        pairs.into_iter().for_each(|(prefix, to)| index.insert(prefix.as_ref(), to));
        index
    }

    #[test]
    fn matching_is_by_bytes_not_by_component() {
        let mut index = index([("/foo", 1), ("", 2), ("/foo/", 3)]);
        assert_eq!(index.lookup(b"/foobar"), [1, 2]);
        assert_eq!(index.lookup(b"/foo/x"), [1, 2, 3]);
        assert_eq!(index.lookup(b""), [2]);
        index.remove(b"", 2);
        assert_eq!(index.lookup(b"/foobar"), [1]);
    }

    #[test]
    fn a_chain_as_long_as_a_topic_needs_no_stack() {
        let chain = || (0..6_000).map(|length| (vec![b'x'; length], 1));
        let mut index = index(chain());
        let snapshot = index.clone();
        chain().for_each(|(prefix, to)| index.remove(&prefix, to));
        assert_eq!((index.lookup(&[b'x'; 100]).len(), snapshot.lookup(b"x").len()), (0, 1));
    }

    /// How many nodes of an index another one does not share.
    fn unshared(index: &PrefixIndex, with: &PrefixIndex) -> usize {
        fn nodes(node: &Arc<Node>, into: &mut BTreeSet<*const Node>) {
            into.insert(Arc::as_ptr(node));
            node.children.iter().for_each(|child| nodes(&child.node, into));
        }
        let (mut own, mut others) = (BTreeSet::new(), BTreeSet::new());
        nodes(&index.root, &mut own);
        nodes(&with.root, &mut others);
        own.difference(&others).count()
    }

    #[test]
    fn a_change_costs_the_nodes_on_its_way_whatever_else_is_subscribed() {
        let mut index = index((0..10_000).map(|n| (format!("/many/{n:05}"), n)));
        let snapshot = index.clone();
        index.insert(b"/many/05000/more", 7);
        assert!(unshared(&index, &snapshot) <= 8, "{}", unshared(&index, &snapshot));
        index.remove(b"/many/05000/more", 7);
        index.remove(b"/many/09999", 9999);
        assert!(unshared(&index, &snapshot) <= 16, "{}", unshared(&index, &snapshot));
        assert_eq!(snapshot.lookup(b"/many/09999"), [9999], "a snapshot does not change");
    }

    fn scan(pairs: &BTreeSet<(String, u32)>, topic: &str) -> Vec<u32> {
        let wants = |(prefix, to): &(String, u32)| topic.starts_with(prefix).then_some(*to);
        let found: BTreeSet<u32> = pairs.iter().filter_map(wants).collect();
        found.into_iter().collect()
    }

    fn check(node: &Node, is_root: bool) {
        assert_eq!(node.label.is_empty(), is_root);
        assert!(is_root || !node.destinations.is_empty() || node.children.len() > 1);
        assert!(node.children.is_sorted_by(|a, b| a.first < b.first));
        for child in &node.children {
            assert_eq!(child.node.label.first(), Some(&child.first));
            check(&child.node, false);
        }
    }

    proptest! {
        #[test]
        fn the_index_finds_what_a_scan_finds_after_any_changes(
            changes in prop::collection::vec((any::<bool>(), "[ab/]{0,4}", 0_u32..4), 0..60),
            topics in prop::collection::vec("[ab/]{0,6}", 1..20),
        ) {
            let (mut index, mut pairs) = (PrefixIndex::default(), BTreeSet::new());
            let mut snapshots = Vec::new();
            for (add, prefix, to) in changes {
                snapshots.push((index.clone(), pairs.clone()));
                if add {
                    index.insert(prefix.as_bytes(), to);
                    pairs.insert((prefix, to));
                } else {
                    index.remove(prefix.as_bytes(), to);
                    pairs.remove(&(prefix, to));
                }
                check(&index.root, true);
            }
            snapshots.push((index, pairs));
            for (index, pairs) in snapshots {
                for topic in &topics {
                    prop_assert_eq!(index.lookup(topic.as_bytes()), scan(&pairs, topic));
                }
            }
        }
    }
}
