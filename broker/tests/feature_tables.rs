//! Keeps the tables of features on the front pages of the crates as the manifests have them: what
//! is written above a feature there is what it adds.
//!
//! `RECORD=1 cargo test -p broker --test feature_tables` writes the tables anew.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

/// The published crates that have features for users.
const CRATES: [&str; 5] =
    ["broker", "broker-bridge", "broker-data", "broker-transport-tcp", "broker-transport-ws"];

const HEAD: &str = "//! | feature | default | what it adds |\n//! |---|---|---|\n";

#[test]
fn front_pages_list_the_features_of_the_manifests() {
    for name in CRATES {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
        let table = table(&fs::read_to_string(folder.join("Cargo.toml")).unwrap());
        let front = folder.join("src/lib.rs");
        let text = fs::read_to_string(&front).unwrap();
        let (before, rest) = text.split_once(HEAD).unwrap();
        let rows: usize = rest
            .split_inclusive('\n')
            .take_while(|line| line.starts_with("//! |"))
            .map(str::len)
            .sum();
        let new = [before, HEAD, &table, &rest[rows..]].concat();
        if std::env::var_os("RECORD").is_some() {
            fs::write(&front, &new).unwrap();
        } else {
            assert!(text == new, "the table of {name} has to be:\n{HEAD}{table}");
        }
    }
}

/// The rows for the features of a manifest. Those without a word about them are for nobody.
fn table(manifest: &str) -> String {
    let (_, section) = manifest.split_once("\n[features]\n").unwrap();
    let section = section.split("\n[").next().unwrap();
    let default = section.lines().find(|line| line.starts_with("default ")).unwrap_or_default();
    let (mut rows, mut about) = (String::new(), Vec::new());
    for line in section.lines() {
        if let Some(text) = line.strip_prefix("## ") {
            about.push(text);
        } else if let Some((feature, _)) = line.split_once(" = ") {
            if !about.is_empty() {
                let default =
                    if default.contains(&format!("\"{feature}\"")) { "yes" } else { "no" };
                rows += &format!("//! | `{feature}` | {default} | {} |\n", about.join(" "));
            }
            about.clear();
        }
    }
    rows
}
