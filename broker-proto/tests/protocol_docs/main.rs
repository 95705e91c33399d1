//! Keeps the dumps in `docs/protocol` true: each one is decoded, encoded again, and has to come out
//! as it is in the document, byte for byte.

#![allow(clippy::panic, clippy::unwrap_used)]

mod again;
mod blocks;

use blocks::{Block, blocks};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The documents: name and text.
fn documents() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/protocol");
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let mut documents: Vec<_> = files
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(&path).unwrap())
        })
        .collect();
    documents.sort();
    documents
}

fn all(language: &str) -> Vec<Block> {
    let documents = documents();
    documents.iter().flat_map(|(name, text)| blocks(name, text, language)).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x} ")).collect::<String>().trim_end().to_owned()
}

#[test]
fn every_dump_comes_out_as_it_is_written() {
    let mut wrong = Vec::new();
    let mut kinds = BTreeSet::new();
    for block in all("hex") {
        let bytes = block.bytes();
        // The tests of broker-tls compute these.
        if block.kind == "tls" {
            assert!(block.place.starts_with("tls.md:"), "{} belongs into tls.md", block.place);
            continue;
        }
        if let Err(what) = again::check(&block.kind, &block.note, &bytes) {
            wrong.push(format!("{}: {} {what}\n  {}", block.place, block.kind, hex(&bytes)));
        }
        let misquoted = block.misquoted().into_iter();
        wrong.extend(misquoted.map(|line| format!("{}: not so: {line}", block.place)));
        kinds.insert(block.kind);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let unused: Vec<_> = again::KINDS.iter().filter(|kind| !kinds.contains(**kind)).collect();
    assert!(unused.is_empty(), "no document has a dump of {unused:?}");
}

#[test]
fn every_json_comes_out_as_it_is_written() {
    let blocks = all("json");
    assert!(!blocks.is_empty());
    for block in blocks {
        for line in block.text.lines() {
            let outcome = again::check_json(&block.kind, line);
            assert!(outcome.is_ok(), "{}: {outcome:?}", block.place);
        }
    }
}

/// Where a link of a document leads to: a file, and a heading in it.
fn links(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let ends = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    let links = ends.map(|(link, _)| link).filter(|link| !link.contains("://"));
    links.map(|link| link.split_once('#').unwrap_or((link, "")))
}

/// The names of the headings, as links have them.
fn headings(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let name = |line: &str| {
        let title = line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
        title.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_')).collect()
    };
    headings.map(name).collect()
}

#[test]
fn links_lead_somewhere() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/protocol");
    for (name, text) in documents() {
        for (file, heading) in links(&text) {
            let path = folder.join(if file.is_empty() { &name } else { file });
            let target = fs::read_to_string(&path);
            let target = target.unwrap_or_else(|error| panic!("{name}: {file}: {error}"));
            let found = heading.is_empty() || headings(&target).iter().any(|name| name == heading);
            assert!(found, "{name}: {file} has no heading {heading}");
        }
    }
}
