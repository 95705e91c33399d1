use crate::failure::Failure;
use crate::http::{self, DEFAULT, HttpAddress, Status};
use crate::output::{Format, Need, Output, short, text::printable};
use clap::{Args, ValueEnum};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// Show how the nodes of an overlay are connected
///
/// Asks nodes for what they know: each knows its own peers, and of all nodes that were started with
/// --announce if it was so itself. A tree, a graph for Graphviz, or JSON; links that close a loop,
/// and nodes and links without which the overlay falls apart, are marked. So are circles through
/// endpoints of version 1, in which messages come back.
#[derive(Args)]
pub(crate) struct Map {
    /// Where a node tells about itself: what it was given with --http; may be repeated
    #[arg(long, value_name = "ADDR", default_value = DEFAULT)]
    http: Vec<HttpAddress>,

    /// tree, dot or json
    #[arg(long, value_name = "FORM", value_enum, default_value = "tree")]
    form: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    Tree,
    Dot,
    Json,
}

impl Map {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let mut graph = Graph::default();
        for address in &self.http {
            http::overlay(address).await?.iter().for_each(|status| graph.add(status));
        }
        graph.examine();
        let mut out = Output::new(Format::Text, Need::Output)?;
        match self.form {
            Form::Tree => out.text(graph.tree().as_bytes()),
            Form::Dot => out.text(graph.dot().as_bytes()),
            Form::Json => out.json(&graph),
        }
        out.flush().await
    }
}

/// The nodes by id, and the links between them.
#[derive(Debug, Default, Serialize)]
struct Graph {
    nodes: BTreeMap<String, Node>,
    links: Vec<Link>,
    circles: Vec<Circle>,
}

/// Messages have come back to a node through endpoints of version 1.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Circle {
    /// The node that has noticed it.
    pub(super) at: String,
    /// From whom they had come first.
    pub(super) from: String,
    /// Who has brought them back.
    pub(super) by: String,
    pub(super) messages: u64,
}

impl Circle {
    /// Those that a node has noticed.
    pub(super) fn of(status: &Status) -> impl Iterator<Item = Self> {
        status.peers.iter().filter_map(|peer| {
            let statistics = peer.statistics.as_ref()?;
            let from = statistics.looped_from.clone()?;
            let (at, by) = (status.id.clone(), peer.id.clone()?);
            Some(Self { at, from, by, messages: statistics.looped })
        })
    }

    /// What there is to say of it, with names for the three.
    pub(super) fn text(&self, name: impl Fn(&str) -> String) -> String {
        format!(
            "CIRCLE at {}: {} messages that {} had sent came back from {}",
            printable(&name(&self.at)),
            self.messages,
            printable(&name(&self.from)),
            printable(&name(&self.by))
        )
    }

    fn has(&self, link: &Link) -> bool {
        let ends = [&link.from, &link.to];
        ends.contains(&&self.at) && (ends.contains(&&self.from) || ends.contains(&&self.by))
    }
}

#[derive(Debug, Default, Clone, Serialize)]
struct Node {
    name: Option<String>,
    address: Option<String>,
    /// Whether it has told about itself.
    is_known: bool,
    clients: usize,
    /// Without it the overlay falls apart.
    is_single_point_of_failure: bool,
}

#[derive(Debug, Clone, Serialize)]
struct Link {
    /// Who has dialled, as far as that is known.
    from: String,
    to: String,
    protection: Option<String>,
    offered: u64,
    dropped: u64,
    queued: u64,
    /// There is another way between its ends.
    is_redundant: bool,
    /// It is one of those that close a loop.
    closes_loop: bool,
}

impl Graph {
    fn add(&mut self, status: &Status) {
        let own = self.nodes.entry(status.id.clone()).or_default();
        if std::mem::replace(&mut own.is_known, true) {
            // Another node has told of it already.
            return;
        }
        own.clients = status.clients.len();
        if !status.name.is_empty() {
            own.name = Some(status.name.clone());
        }
        own.address = status.listeners.first().map(|listener| listener.url.clone());
        self.circles.extend(Circle::of(status));
        for peer in &status.peers {
            let (Some(id), Some(statistics)) = (&peer.id, &peer.statistics) else { continue };
            let other = self.nodes.entry(id.clone()).or_default();
            other.name = other.name.take().or_else(|| peer.name.clone());
            other.address = other.address.take().or_else(|| Some(peer.address.clone()));
            let ends = match peer.direction.as_str() {
                "outbound" => (&status.id, id),
                _ => (id, &status.id),
            };
            let same =
                |link: &&mut Link| (&link.from, &link.to) == ends || (&link.to, &link.from) == ends;
            match self.links.iter_mut().find(same) {
                // The other end has told of it already.
                Some(link) => {
                    link.offered += statistics.offered;
                    link.dropped += statistics.dropped;
                    link.queued += statistics.num_queued;
                }
                None => self.links.push(Link {
                    from: ends.0.clone(),
                    to: ends.1.clone(),
                    protection: peer.protection.clone(),
                    offered: statistics.offered,
                    dropped: statistics.dropped,
                    queued: statistics.num_queued,
                    is_redundant: false,
                    closes_loop: false,
                }),
            }
        }
    }

    fn neighbours<'a>(
        &'a self,
        id: &'a str,
        without: Option<usize>,
    ) -> impl Iterator<Item = (usize, &'a str)> {
        self.links.iter().enumerate().filter_map(move |(at, link)| {
            if Some(at) == without {
                return None;
            }
            if link.from == id {
                return Some((at, link.to.as_str()));
            }
            (link.to == id).then_some((at, link.from.as_str()))
        })
    }

    /// The nodes that can be reached from one, without a node and without a link.
    fn reached<'a>(
        &'a self,
        from: &'a str,
        without: Option<&str>,
        without_link: Option<usize>,
    ) -> BTreeSet<&'a str> {
        let mut reached = BTreeSet::from([from]);
        let mut open = vec![from];
        while let Some(id) = open.pop() {
            for (_, next) in self.neighbours(id, without_link) {
                if Some(next) != without && reached.insert(next) {
                    open.push(next);
                }
            }
        }
        reached
    }

    /// Marks what is redundant and what is not.
    fn examine(&mut self) {
        for at in 0..self.links.len() {
            let Some(link) = self.links.get(at) else { continue };
            let is_redundant = self.reached(&link.from, None, Some(at)).contains(link.to.as_str());
            if let Some(link) = self.links.get_mut(at) {
                link.is_redundant = is_redundant;
            }
        }
        let ids: Vec<String> = self.nodes.keys().cloned().collect();
        for id in &ids {
            let others: Vec<&str> = self.neighbours(id, None).map(|(_, other)| other).collect();
            let Some(first) = others.first() else { continue };
            let reached = self.reached(first, Some(id), None);
            // Whoever only hangs on it counts as well: it falls off.
            let is_single = others.iter().any(|other| !reached.contains(other));
            if let Some(node) = self.nodes.get_mut(id) {
                node.is_single_point_of_failure = is_single;
            }
        }
        let mut group: BTreeMap<String, String> =
            ids.iter().map(|id| (id.clone(), id.clone())).collect();
        for link in &mut self.links {
            let (Some(from), Some(to)) =
                (group.get(&link.from).cloned(), group.get(&link.to).cloned())
            else {
                continue;
            };
            link.closes_loop = from == to;
            group.values_mut().filter(|of| **of == from).for_each(|of| of.clone_from(&to));
        }
    }

    fn label(&self, id: &str) -> String {
        let node = self.nodes.get(id).cloned().unwrap_or_default();
        let name = node.name.unwrap_or_else(|| id.to_owned());
        match node.address {
            Some(address) => format!("{name} ({address})"),
            None => name,
        }
    }

    fn tree(&self) -> String {
        let mut text = String::new();
        let mut seen = BTreeSet::new();
        let mut roots: Vec<&String> = self.nodes.keys().collect();
        // The tree hangs on the node with the most links.
        roots.sort_by_key(|id| std::cmp::Reverse(self.neighbours(id, None).count()));
        for root in roots {
            if seen.insert(root.as_str()) {
                self.branch(root, 0, None, &mut seen, &mut text);
            }
        }
        let loops = self.links.iter().filter(|link| link.closes_loop).count();
        let single = self.nodes.iter().filter(|(_, node)| node.is_single_point_of_failure);
        let single: Vec<String> =
            single.map(|(id, node)| node.name.clone().unwrap_or_else(|| id.clone())).collect();
        let _ = writeln!(
            text,
            "{} nodes, {} links, {loops} close a loop; single points of failure: {}",
            self.nodes.len(),
            self.links.len(),
            if single.is_empty() { "none".to_owned() } else { printable(&single.join(", ")) }
        );
        for circle in &self.circles {
            let _ = writeln!(text, "{}", circle.text(|id| self.label(id)));
        }
        text
    }

    fn branch<'a>(
        &'a self,
        id: &'a str,
        depth: usize,
        by: Option<usize>,
        seen: &mut BTreeSet<&'a str>,
        text: &mut String,
    ) {
        let node = self.nodes.get(id).cloned().unwrap_or_default();
        let mut marks = String::new();
        if node.is_single_point_of_failure {
            marks += "  SINGLE POINT OF FAILURE";
        }
        if node.clients > 0 {
            let _ = write!(marks, "  {} clients", node.clients);
        }
        if let Some(link) = by.and_then(|at| self.links.get(at)) {
            let _ = write!(marks, "  {} messages", short(link.offered as f64));
            if link.dropped > 0 {
                let _ = write!(marks, ", {} DROPPED", short(link.dropped as f64));
            }
        }
        let _ = writeln!(text, "{}{}{marks}", "  ".repeat(depth), printable(&self.label(id)));
        for (at, next) in self.neighbours(id, by) {
            if seen.insert(next) {
                self.branch(next, depth + 1, Some(at), seen, text);
            } else if self.links.get(at).is_some_and(|link| link.closes_loop) {
                let indent = "  ".repeat(depth + 1);
                let _ = writeln!(text, "{indent}^ {}  LOOP", printable(&self.label(next)));
            }
        }
    }

    fn dot(&self) -> String {
        let mut text = "graph overlay {\n".to_owned();
        for (id, node) in &self.nodes {
            let color = if node.is_single_point_of_failure { ", color=red" } else { "" };
            let _ = writeln!(text, "  {id:?} [label={:?}{color}];", printable(&self.label(id)));
        }
        for link in &self.links {
            let in_circle = self.circles.iter().any(|circle| circle.has(link));
            let style = match (in_circle, link.closes_loop, link.is_redundant) {
                (true, _, _) => " [color=red, label=\"circle\"]",
                (false, true, _) => " [style=dashed]",
                (false, false, true) => "",
                (false, false, false) => " [color=red]",
            };
            let _ = writeln!(text, "  {:?} -- {:?}{style};", link.from, link.to);
        }
        text + "}\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(links: &[(&str, &str)]) -> Graph {
        let mut graph = Graph::default();
        for (from, to) in links {
            for id in [from, to] {
                graph.nodes.entry((*id).to_owned()).or_default();
            }
            graph.links.push(Link {
                from: (*from).to_owned(),
                to: (*to).to_owned(),
                protection: None,
                offered: 0,
                dropped: 0,
                queued: 0,
                is_redundant: false,
                closes_loop: false,
            });
        }
        graph.examine();
        graph
    }

    fn single(graph: &Graph) -> Vec<&str> {
        let nodes = graph.nodes.iter().filter(|(_, node)| node.is_single_point_of_failure);
        nodes.map(|(id, _)| id.as_str()).collect()
    }

    #[test]
    fn loops_and_what_the_overlay_cannot_do_without_are_found() {
        let star = graph(&[("a", "hub"), ("b", "hub"), ("c", "hub")]);
        assert_eq!(single(&star), ["hub"]);
        assert!(star.links.iter().all(|link| !link.is_redundant && !link.closes_loop));
        let ring = graph(&[("a", "b"), ("b", "c"), ("c", "a")]);
        assert!(single(&ring).is_empty());
        assert!(ring.links.iter().all(|link| link.is_redundant));
        assert_eq!(ring.links.iter().filter(|link| link.closes_loop).count(), 1);
        let two = graph(&[("a", "h1"), ("h1", "h2"), ("h2", "b")]);
        assert_eq!(single(&two), ["h1", "h2"]);
        assert!(ring.tree().contains("3 nodes, 3 links, 1 close a loop"), "{}", ring.tree());
        assert!(ring.tree().contains("LOOP"), "{}", ring.tree());
        assert!(two.dot().contains("\"h1\" -- \"h2\" [color=red];"), "{}", two.dot());
    }

    #[test]
    fn circles_are_named_with_all_who_are_known_of_them() {
        let mut ring = graph(&[("a", "b"), ("b", "c"), ("c", "a")]);
        let (at, from, by) = ("a".to_owned(), "b".to_owned(), "c".to_owned());
        ring.circles.push(Circle { at, from, by, messages: 3 });
        let said = "CIRCLE at a: 3 messages that b had sent came back from c";
        assert!(ring.tree().contains(said), "{}", ring.tree());
        let dot = ring.dot();
        let mark = "[color=red, label=\"circle\"]";
        assert_eq!(dot.matches(mark).count(), 2, "the links of the node that noticed: {dot}");
    }
}
