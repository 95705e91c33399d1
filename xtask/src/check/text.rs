use super::Findings;
use std::fs;
use std::path::Path;

/// The widest line, in characters.
const WIDTH: usize = 100;

/// Words that mean something else to most readers, or nothing, and what to say instead.
const WORDS: &[(&str, &str)] = &[
    ("octet", "byte"),
    ("underway", "in progress, in flight"),
    ("the reference implementation", "the C++ Broker"),
    ("reckonable", "a plain word"),
    ("for ever ", "forever"),
    ("means it is quick", "a plain sentence"),
    ("means well", "a plain sentence"),
    ("means harm", "a plain sentence"),
];

/// Where such words are names that somebody else has given.
const NAMES: &[&str] =
    &["OctetString", "octet-stream", ".octets()", "octets\"", " octets)", "first 100 octets"];

pub(super) fn check(root: &Path, files: &[String]) -> Findings {
    let mut findings = Findings::new();
    for file in files.iter().filter(|file| is_ours(file)) {
        let Ok(text) = fs::read_to_string(root.join(file)) else { continue };
        for (at, line) in text.lines().enumerate() {
            let place = format!("{file}:{}", at + 1);
            let width = line.chars().count();
            if width > WIDTH && !may_be_wide(file, line) {
                findings.push(format!("{place}: {width} columns"));
            }
            let lower = line.to_lowercase();
            let named = NAMES.iter().any(|name| line.contains(name));
            for (word, instead) in WORDS.iter().filter(|(word, _)| lower.contains(word) && !named) {
                findings.push(format!("{place}: {word:?}: say {instead}"));
            }
        }
    }
    findings
}

fn is_ours(file: &str) -> bool {
    let text = [".rs", ".md", ".toml", ".sh", ".yml"];
    let ours = file == ".ci/run" || text.iter().any(|end| file.ends_with(end));
    ours && !file.starts_with("fixtures/")
        && !file.contains("/corpus/")
        && file != "xtask/src/check/text.rs"
}

/// Tables and addresses cannot be broken, and neither can what a program reads or prints.
fn may_be_wide(file: &str, line: &str) -> bool {
    let line = line.trim_start_matches(['/', '!', ' ', '#']);
    let one_string = line.contains('"') && file.ends_with(".rs");
    let shown = file.ends_with(".md") && (line.starts_with('{') || line.starts_with("$ "));
    line.starts_with('|') || line.contains("://") || one_string || shown || file.ends_with(".toml")
}
