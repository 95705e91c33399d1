use super::Findings;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// Which crates of the project a crate may use, development dependencies aside.
const MAY_USE: &[(&str, &[&str])] = &[
    ("broker-data", &[]),
    ("broker-proto", &["broker-data"]),
    ("broker-core", &["broker-data", "broker-proto"]),
    ("broker-sim", &["broker-data", "broker-proto"]),
    ("broker-tls", &["broker-core", "broker-proto"]),
    ("broker-transport-tcp", &["broker-core", "broker-proto", "broker-tls"]),
    ("broker-transport-ws", &["broker-core", "broker-proto", "broker-tls", "broker-transport-tcp"]),
    (
        "broker-transport-quic",
        &["broker-core", "broker-proto", "broker-tls", "broker-transport-tcp"],
    ),
    (
        "broker-bridge",
        &[
            "broker-core",
            "broker-proto",
            "broker-tls",
            "broker-transport-tcp",
            "broker-transport-ws",
        ],
    ),
];

/// What these crates do without, because they do no I/O.
const WITHOUT: &[(&str, &[&str])] =
    &[("broker-data", &["tokio", "dashmap"]), ("broker-proto", &["tokio", "dashmap"])];

pub(super) fn check(root: &Path) -> Findings {
    let mut findings = Findings::new();
    for (name, allowed) in MAY_USE {
        let used = match tree(root, name) {
            Ok(used) => used,
            Err(error) => {
                findings.push(format!("{name}: {error}"));
                continue;
            }
        };
        let ours = used.keys().filter(|used| used.starts_with("broker") && *used != name);
        for other in ours.filter(|other| !allowed.contains(&other.as_str())) {
            findings.push(format!("{name} uses {other}"));
        }
        for (_, without) in WITHOUT.iter().filter(|(of, _)| of == name) {
            for other in without.iter().filter(|other| used.contains_key(**other)) {
                findings.push(format!("{name} does without {other}, and depends on it"));
            }
        }
    }
    findings
}

/// Every crate that a crate depends on when it is built with all of its features.
fn tree(root: &Path, name: &str) -> Result<BTreeMap<String, ()>, String> {
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
    Ok(text.lines().map(|line| (first(line), ())).collect())
}
