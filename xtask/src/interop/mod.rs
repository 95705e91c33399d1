//! `cargo xtask interop`: does this implementation get along with the others?
//!
//! A table of cells. Each one sets up what it needs, checks one thing and cleans up after itself,
//! within a time limit; it is passed, failed with its log, or skipped with the reason.

mod cell;
mod cells;
mod child;
mod cli;
mod install;
mod log;
mod needs;
mod ours;
mod report;
mod script;
mod vectors;

use cell::{Cell, Finished, Outcome};
use install::Installed;
use needs::Places;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use tempfile::TempDir;

/// Runs the interoperability checks
///
/// The conversations that were recorded with the C++ Broker are always replayed, and endpoints of
/// this project always talk to each other. Other peers take part where they are found: the programs
/// and the Python module of the C++ Broker below --reference, zeek on PATH, and clients of the JSON
/// API that Python and Node.js have or that --install gets. What is not found is skipped with the
/// reason.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where the C++ Broker is: its programs (and zeek) there or in bin, its module in python
    #[arg(long, value_name = "DIR")]
    reference: Option<PathBuf>,

    /// The Python that has websockets, zeek-client and zeekpy [default: python3]
    #[arg(long, value_name = "FILE")]
    python: Option<PathBuf>,

    /// The node_modules that have ws and playwright-core
    #[arg(long, value_name = "DIR")]
    node_modules: Option<PathBuf>,

    /// Gets the clients of the JSON API from their registries, into a temporary place
    #[arg(long)]
    install: bool,

    /// The broker-cli that takes part [default: it is built, without optimizations]
    #[arg(long, value_name = "FILE")]
    cli: Option<PathBuf>,

    /// Runs only the cells whose name contains this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,

    /// Says which cells there are, and runs none
    #[arg(long)]
    list: bool,

    /// Prints one JSON object instead of a table, or writes it to this file beside the table
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true)]
    json: Option<Option<PathBuf>>,

    /// Writes the table to this file as Markdown as well
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
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
            () = interrupted() => Ok(ExitCode::from(INTERRUPTED)),
        }
    });
    runtime.shutdown_background();
    code.unwrap_or_else(|reason| {
        eprintln!("{reason}");
        ExitCode::FAILURE
    })
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

async fn run_cells(args: &Args) -> Result<ExitCode, String> {
    let wanted = |cell: &Cell| args.only.as_ref().is_none_or(|only| cell.name().contains(only));
    let cells: Vec<Cell> = cells::all().into_iter().filter(wanted).collect();
    if args.list {
        cells.iter().for_each(|cell| println!("{}", cell.name()));
        return Ok(ExitCode::SUCCESS);
    }
    let place = TempDir::new().map_err(|error| error.to_string())?;
    let installed = match args.install {
        true => install::install(&place).await?,
        false => Installed::default(),
    };
    installed.failures.iter().for_each(|failure| eprintln!("not installed: {failure}"));
    let mut places = Places::find(args, installed);
    if !places.has_cli() && cells.iter().any(|cell| cell.wants_cli(&places)) {
        places.set_cli(build_cli()?);
    }
    let places = Arc::new(places);
    let table = !matches!(args.json, Some(None));
    let widths = report::widths(&cells);
    let mut finished = Vec::new();
    for cell in cells {
        let result = cell.run(&places).await;
        if table {
            report::print_row(&result, widths);
        }
        finished.push(result);
    }
    match &args.json {
        Some(None) => println!("{}", report::as_json(&finished)),
        Some(Some(file)) => write(file, &report::as_json(&finished).to_string())?,
        None => {}
    }
    if let Some(file) = &args.markdown {
        write(file, &report::as_markdown(&finished))?;
    }
    if table {
        report::print_summary(&finished);
    }
    let failed = |result: &Finished| matches!(result.outcome, Outcome::Failed { .. });
    Ok(match finished.iter().any(failed) {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}

fn write(file: &Path, text: &str) -> Result<(), String> {
    std::fs::write(file, text).map_err(|error| format!("{}: {error}", file.display()))
}

/// Builds the program of this repository with the profile of this one, beside which it then is.
fn build_cli() -> Result<PathBuf, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let arguments = ["build", "--quiet", "--package", "broker-cli"];
    let built = Command::new(cargo).args(arguments).current_dir(needs::root()).status();
    if !built.is_ok_and(|status| status.success()) {
        return Err("broker-cli cannot be built".to_owned());
    }
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    Ok(own.with_file_name("broker-cli"))
}
