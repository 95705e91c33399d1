//! Instructions that codecs and routing need for one message, counted by valgrind and compared
//! with recorded counts. Unlike times they hardly depend on what else the machine does.

mod repeat;

pub(super) use repeat::repeat;

use super::Result;
use super::protocol::{Role, Task};
use repeat::WORK;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// By how much a count may exceed the recorded one, in percent, if the compiler is the same.
const TOLERANCE: f64 = 5.0;

/// And with another one, which makes other code of the same source. What costs twice as much as it
/// did is still noticed.
const TOLERANCE_OF_OTHERS: f64 = 40.0;

/// The second of the two runs whose difference counts, so that start and end do not, does the work
/// so many times as often as the first.
const MORE: u64 = 3;

#[derive(Serialize, Deserialize)]
struct Recorded {
    compiler: String,
    instructions: BTreeMap<String, f64>,
}

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("instructions.json")
}

/// Counts everything, and returns whether nothing has become worse than it may.
pub(super) fn check(record: bool) -> Result<bool> {
    let compiler = compiler()?;
    let recorded: Option<Recorded> = match record {
        true => None,
        false => Some(serde_json::from_slice(&std::fs::read(file())?)?),
    };
    let same = recorded.as_ref().is_none_or(|recorded| recorded.compiler == compiler);
    let tolerance = if same { TOLERANCE } else { TOLERANCE_OF_OTHERS };
    let mut counts = BTreeMap::new();
    let mut good = true;
    println!("| what | instructions | recorded | change |\n| --- | ---: | ---: | ---: |");
    for (what, times, _) in WORK {
        let count = count(what, *times)?;
        counts.insert((*what).to_owned(), count);
        let before = recorded.as_ref().and_then(|recorded| recorded.instructions.get(*what));
        let change = before.map(|before| (count / before - 1.0) * 100.0);
        good &= change.is_none_or(|change| change <= tolerance);
        let show = |number: Option<f64>| number.map(|n| format!("{n:.0}")).unwrap_or_default();
        let change = change.map(|change| format!("{change:+.1} %")).unwrap_or_default();
        println!("| {what} | {count:.0} | {} | {change} |", show(before.copied()));
    }
    match recorded {
        None => {
            let recorded = Recorded { compiler, instructions: counts };
            std::fs::write(file(), serde_json::to_string_pretty(&recorded)? + "\n")?;
            Ok(true)
        }
        Some(recorded) => {
            if !same {
                let recorded = recorded.compiler;
                println!("\nrecorded with {recorded}, this is {compiler}: {tolerance} % allowed");
            }
            if !good {
                println!("\nmore than {tolerance} % worse; if it is worth it, use --record");
            }
            Ok(good)
        }
    }
}

fn compiler() -> Result<String> {
    let output = Command::new("rustc").arg("--version").output()?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Instructions for one iteration.
fn count(what: &str, few: u64) -> Result<f64> {
    let many = few * MORE;
    let difference = run(what, many)? as f64 - run(what, few)? as f64;
    Ok(difference / (many - few) as f64)
}

/// Instructions of a whole run.
fn run(what: &str, times: u64) -> Result<u64> {
    let role = Role::Repeat { what: what.to_owned(), times };
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .arg("bench-worker")
        .arg(serde_json::to_string(&Task { threads: 0, role })?)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("valgrind is needed to count instructions: {error}"))?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let collected = text.lines().find_map(|line| line.split_once("Collected : "));
    let count = collected.and_then(|(_, count)| count.trim().parse().ok());
    count.filter(|_| output.status.success()).ok_or_else(|| format!("{what}: {text}").into())
}
