//! `cargo xtask interop`: does this implementation get along with the others?
//!
//! A table of cells. Each one sets up what it needs, checks one thing and cleans up after itself,
//! within a time limit; it is passed, failed with its log, or skipped with the reason.

mod cell;
mod cells;
mod child;
mod log;
mod ours;
mod report;
mod vectors;

use cell::{Cell, Finished, Outcome};
use std::path::PathBuf;
use std::process::ExitCode;

/// Runs the interoperability checks
///
/// The conversations that were recorded with the C++ implementation are always replayed. Its
/// command line tools take part where `--reference` says where they are.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The directory that holds broker-node, broker-pipe and broker-throughput, and perhaps zeek,
    /// which is also looked for on PATH
    #[arg(long, value_name = "DIR")]
    reference: Option<PathBuf>,

    /// Runs only the cells whose name contains this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,

    /// Says which cells there are, and runs none
    #[arg(long)]
    list: bool,

    /// Prints one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

/// Exit code of a task that was interrupted.
const INTERRUPTED: u8 = 130;

pub(crate) fn run(args: &Args) -> ExitCode {
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(async {
        tokio::select! {
            code = run_cells(args) => code,
            // The children of the cell that runs are killed when it is dropped.
            () = interrupted() => ExitCode::from(INTERRUPTED),
        }
    });
    runtime.shutdown_background();
    code
}

async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminated) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminated.recv() => {}
    }
}

async fn run_cells(args: &Args) -> ExitCode {
    let wanted = |cell: &Cell| args.only.as_ref().is_none_or(|only| cell.name.contains(only));
    let cells: Vec<Cell> = cells::all().into_iter().filter(wanted).collect();
    if args.list {
        cells.iter().for_each(|cell| println!("{}", cell.name));
        return ExitCode::SUCCESS;
    }
    let width = cells.iter().map(|cell| cell.name.len()).max().unwrap_or_default();
    let mut finished = Vec::new();
    for cell in cells {
        let result = cell.run(args.reference.as_deref()).await;
        if !args.json {
            report::print_row(&result, width);
        }
        finished.push(result);
    }
    match args.json {
        true => println!("{}", report::as_json(&finished)),
        false => report::print_summary(&finished),
    }
    let failed = |result: &Finished| matches!(result.outcome, Outcome::Failed { .. });
    match finished.iter().any(failed) {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}
