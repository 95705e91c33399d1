//! Which modules of a crate use which, and whether they do so in circles.
//!
//! What counts: the modules right below the root of a library (`src/NAME.rs`, `src/NAME/`), and an
//! arrow from one to another for every path that starts with `crate::` or reaches the root with
//! `super::`, in code that is not only compiled for tests. A path to something that the root
//! re-exports counts as an arrow to the module that it comes from.

use super::Findings;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

type Graph = BTreeMap<String, BTreeSet<String>>;

pub(super) fn check(root: &Path, files: &[String]) -> Findings {
    let libraries = files.iter().filter_map(|file| file.strip_suffix("/src/lib.rs"));
    let mut findings = Findings::new();
    for library in libraries {
        let graph = graph(root, files, library);
        if let Some(circle) = circle(&graph) {
            findings.push(format!("{library}: {}", circle.join(" -> ")));
        }
    }
    findings
}

fn graph(root: &Path, files: &[String], library: &str) -> Graph {
    let source = format!("{library}/src/");
    let read = |file: &str| fs::read_to_string(root.join(file)).unwrap_or_default();
    let exports = exports(&read(&format!("{source}lib.rs")));
    let inside = files.iter().filter_map(|file| file.strip_prefix(&source));
    let inside: Vec<&str> = inside.filter(|file| is_code(file)).collect();
    let modules: BTreeSet<&str> = inside.iter().map(|file| module_of(file)).collect();
    let mut graph = Graph::new();
    for file in &inside {
        let own = module_of(file);
        let arrows = graph.entry(own.to_owned()).or_default();
        let depth = file.matches('/').count() + usize::from(!file.ends_with("/mod.rs"));
        for name in rooted(&without_tests(&read(&format!("{source}{file}"))), depth) {
            let target = exports.get(&name).cloned().unwrap_or(name);
            if target != own && modules.contains(target.as_str()) {
                arrows.insert(target);
            }
        }
    }
    graph
}

fn is_code(file: &str) -> bool {
    let tests =
        file.ends_with("tests.rs") || file.contains("/tests/") || file.contains("models.rs");
    file.ends_with(".rs") && file != "lib.rs" && !tests
}

fn module_of(file: &str) -> &str {
    let first = file.split('/').next().unwrap_or(file);
    first.strip_suffix(".rs").unwrap_or(first)
}

/// The names that the root hands on from its modules, and from which.
fn exports(root: &str) -> BTreeMap<String, String> {
    let code: String = root.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let mut exports = BTreeMap::new();
    for statement in code.split("pub use ").skip(1) {
        let statement = statement.split(';').next().unwrap_or_default();
        let Some((module, names)) = statement.split_once("::") else { continue };
        for name in names.split(['{', '}', ',', ':']) {
            let name = name.trim().split(" as ").last().unwrap_or_default().trim();
            if !name.is_empty() {
                exports.insert(name.to_owned(), module.trim().to_owned());
            }
        }
    }
    exports
}

/// The first names of all paths that begin at the root of the crate. `depth` is how many `super`
/// lead there.
fn rooted(code: &str, depth: usize) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let up = "super::".repeat(depth);
    let starts = ["crate::".to_owned(), up];
    for start in starts.iter().filter(|start| !start.is_empty()) {
        for (at, _) in code.match_indices(start.as_str()) {
            let before = code.get(..at).unwrap_or_default();
            if before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$' || c == ':') {
                continue;
            }
            let rest = code.get(at + start.len()..).unwrap_or_default();
            if rest.starts_with("super::") {
                continue;
            }
            names.extend(first_names(rest));
        }
    }
    names
}

fn first_names(path: &str) -> Vec<String> {
    let name = |text: &str| -> String {
        text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let Some(group) = path.strip_prefix('{') else { return vec![name(path)] };
    let mut names = Vec::new();
    let mut level = 0;
    let mut begins = true;
    for (at, c) in group.char_indices() {
        match c {
            '{' => level += 1,
            '}' if level == 0 => break,
            '}' => level -= 1,
            ',' if level == 0 => begins = true,
            c if begins && !c.is_whitespace() => {
                names.push(name(group.get(at..).unwrap_or_default()));
                begins = false;
            }
            _ => {}
        }
    }
    names
}

/// The code without comments, and without the module of tests at the end of a file.
fn without_tests(code: &str) -> String {
    let code = code.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let code: Vec<&str> =
        code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    code.join("\n")
}

/// A circle, if there is one, with its first member again at its end.
fn circle(graph: &Graph) -> Option<Vec<String>> {
    let mut done = BTreeSet::new();
    graph.keys().find_map(|start| visit(graph, start, &mut Vec::new(), &mut done))
}

fn visit(
    graph: &Graph,
    at: &str,
    path: &mut Vec<String>,
    done: &mut BTreeSet<String>,
) -> Option<Vec<String>> {
    if let Some(begin) = path.iter().position(|seen| seen == at) {
        let mut circle = path.split_off(begin);
        circle.push(at.to_owned());
        return Some(circle);
    }
    if done.contains(at) {
        return None;
    }
    path.push(at.to_owned());
    for next in graph.get(at).into_iter().flatten() {
        let found = visit(graph, next, path, done);
        if found.is_some() {
            return found;
        }
    }
    path.pop();
    done.insert(at.to_owned());
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_names_of_a_group_are_those_behind_its_commas() {
        assert_eq!(first_names("a::b;"), ["a"]);
        assert_eq!(first_names("{a::{b, c}, D, e::f};"), ["a", "D", "e"]);
    }

    #[test]
    fn paths_count_if_they_begin_at_the_root() {
        let code = "use crate::a::B;\nuse super::super::c::D;\nuse super::e;\n$crate::f::g;";
        assert_eq!(rooted(code, 2), ["a".to_owned(), "c".to_owned()].into());
    }

    #[test]
    fn what_the_root_re_exports_counts_for_where_it_comes_from() {
        let exports = exports("mod id;\npub use id::{EndpointId, Other as Name};\npub use a::b;");
        assert_eq!(exports["EndpointId"], "id");
        assert_eq!(exports["Name"], "id");
    }

    #[test]
    fn a_circle_is_found_and_shown() {
        let arrow = |from: &str, to: &str| (from.to_owned(), BTreeSet::from([to.to_owned()]));
        let tree = Graph::from([arrow("a", "b"), arrow("b", "c"), arrow("d", "b")]);
        assert_eq!(circle(&tree), None);
        let graph = Graph::from([arrow("a", "b"), arrow("b", "c"), arrow("c", "b")]);
        assert_eq!(circle(&graph).unwrap(), ["b", "c", "b"]);
    }
}
