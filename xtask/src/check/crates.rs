use super::Findings;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// The crates of the project in their order: each may use those in the rows above its own.
const LAYERS: &[&[&str]] = &[
    &["broker-data"],
    &["broker-proto"],
    &["broker-core", "broker-sim"],
    &["broker-tls"],
    &["broker-transport-tcp"],
    &["broker-transport-ws", "broker-transport-quic"],
    &["broker-testkit", "broker-fuzz"],
    &["broker-bridge"],
    &["broker"],
    &["broker-cli", "xtask"],
];

/// What these crates do without, because they do no I/O.
const WITHOUT: &[(&str, &[&str])] =
    &[("broker-data", &["tokio", "dashmap"]), ("broker-proto", &["tokio", "dashmap"])];

pub(super) fn check(root: &Path) -> Findings {
    let mut findings = Findings::new();
    let mut allowed = Vec::new();
    for layer in LAYERS {
        for name in *layer {
            match tree(root, name) {
                Ok(used) => findings.extend(judge(name, &used, &allowed)),
                Err(error) => findings.push(format!("{name}: {error}")),
            }
        }
        allowed.extend(*layer);
    }
    findings
}

fn judge(name: &str, used: &BTreeSet<String>, allowed: &[&str]) -> Findings {
    let is_ours = |used: &&String| LAYERS.concat().contains(&used.as_str()) && *used != name;
    let upwards = used.iter().filter(is_ours).filter(|used| !allowed.contains(&used.as_str()));
    let mut findings: Findings = upwards.map(|other| format!("{name} uses {other}")).collect();
    for (_, without) in WITHOUT.iter().filter(|(of, _)| *of == name) {
        let there = without.iter().filter(|other| used.contains(**other));
        findings.extend(there.map(|other| format!("{name} does without {other}, but uses it")));
    }
    findings
}

/// Every crate that a crate depends on when it is built with all of its features.
fn tree(root: &Path, name: &str) -> Result<BTreeSet<String>, String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let args =
        ["tree", "-e", "normal", "--all-features", "--prefix", "none", "-f", "{p}", "-p", name];
    let output = Command::new(cargo).current_dir(root).args(args).output();
    let output = output.map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let first = |line: &str| line.split(' ').next().unwrap_or_default().to_owned();
    Ok(text.lines().map(first).collect())
}
