//! The licences of what is linked into the program, which ask to be named with it.

use super::{Result, text};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

/// The crates in the program with their licences, and the texts of these.
pub(super) fn notices(root: &Path, target: &str) -> Result<String> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let args = ["metadata", "--format-version=1", "--filter-platform", target];
    let metadata = text(Command::new(cargo).current_dir(root).args(args))?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let packages: BTreeMap<String, Value> = list(&metadata["packages"])
        .into_iter()
        .map(|package| (id(&package["id"]), package))
        .collect();
    let needs: BTreeMap<String, Vec<String>> = list(&metadata["resolve"]["nodes"])
        .iter()
        .map(|node| (id(&node["id"]), list(&node["deps"]).iter().filter_map(linked).collect()))
        .collect();

    let is_program = |package: &&Value| package["name"] == "broker-cli";
    let program = packages.values().find(is_program).ok_or("there is no broker-cli")?;
    let mut waiting = vec![id(&program["id"])];
    let mut found = BTreeSet::new();
    while let Some(next) = waiting.pop() {
        if found.insert(next.clone()) {
            waiting.extend(needs.get(&next).into_iter().flatten().cloned());
        }
    }
    let mut notices = String::from("What is in this program besides the project itself.\n");
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in found.iter().filter_map(|id| packages.get(id)) {
        // What has no source is part of the project.
        if package["source"].is_null() {
            continue;
        }
        let word = |key: &str| package[key].as_str().unwrap_or_default().to_owned();
        let name = format!("{} {}", word("name"), word("version"));
        let _ = writeln!(notices, "\n{name}: {}\n  {}", word("license"), word("repository"));
        let manifest = word("manifest_path");
        let directory = Path::new(&manifest).parent().unwrap_or(Path::new("."));
        for entry in fs::read_dir(directory)?.flatten() {
            let file = entry.file_name().to_string_lossy().to_uppercase();
            let is_text = ["LICEN", "COPYING", "NOTICE"].iter().any(|word| file.starts_with(word));
            if let (true, Ok(text)) = (is_text, fs::read_to_string(entry.path())) {
                texts.entry(text.trim().to_owned()).or_default().push(name.clone());
            }
        }
    }
    for (text, names) in texts {
        let _ = write!(notices, "\n{}\n{}\n\n{text}\n", "=".repeat(78), names.join(", "));
    }
    Ok(notices)
}

fn id(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A dependency, if it is one of the program and not of its tests.
fn linked(dependency: &Value) -> Option<String> {
    let kinds = dependency["dep_kinds"].as_array()?;
    let is_linked = kinds.iter().any(|kind| kind["kind"].is_null());
    is_linked.then(|| id(&dependency["pkg"]))
}
