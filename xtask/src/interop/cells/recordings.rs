//! Conversations that were recorded with other implementations; they need none of them.

use crate::interop::cell::{Cell, Check, Context, Dials, Mode, ensure};
use crate::interop::child::Child;
use std::time::Duration;
use tokio::process::Command;

/// The tests may have to be built first.
const LIMIT: Duration = Duration::from_secs(900);

pub(super) fn cells() -> Vec<Cell> {
    let groups = [
        ("C++ Broker", "handshakes, forwarding, bye", "conversations::"),
        ("C++ Broker", "redundancy, losses, forgeries, overflow", "conversations_more::"),
        ("Zeek 8.0", "a cluster's hello and its messages", "zeek::"),
    ];
    let cell = |(peer, what, tests): (&'static str, &'static str, &'static str)| {
        let cell = Cell::new(peer, what, &[], move |context| replay(context, tests));
        cell.within(LIMIT).variants(&[Mode::Recorded], &[Dials::Nobody])
    };
    groups.into_iter().flat_map(cell).collect()
}

async fn replay(context: Context, tests: &'static str) -> Check<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["test", "--quiet", "--package", "broker", "--test", "conversations", "--", tests])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let mut child = Child::start(&context.log, "cargo test", command)?;
    let mut summary = String::new();
    while let Some(line) = child.next_line().await {
        if let Some(counts) = String::from_utf8_lossy(&line).strip_prefix("test result: ok. ") {
            summary = counts.split(';').next().unwrap_or_default().to_owned();
        }
    }
    ensure(child.finished().await?.success(), "the replay of the recordings fails")?;
    ensure(summary.ends_with(" passed") && summary != "0 passed", "no recording was replayed")?;
    Ok(format!("tests: {summary}"))
}
