//! `cargo xtask bench`: how fast this implementation is, compared with the limit of the machine and
//! with the C++ Broker. See `docs/performance.md`.

mod chart;
mod floor;
mod goals;
mod instructions;
mod messages;
mod peers;
mod process;
mod protocol;
mod reference;
mod report;
mod run;
mod scenario;
mod shape;
mod stats;
mod usage;
mod worker;

use peers::Peers;
use reference::Reference;
use scenario::{Context, Scenario};
use std::path::PathBuf;
use std::process::ExitCode;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Measure throughput, latency and memory
///
/// Every scenario is measured in several columns, in turn: ours, the floor (a plain program that
/// moves the same frames through sockets and does nothing else), the floor with the codec (it also
/// encodes and checks every message, as we do), the C++ Broker (the C++ programs), and with --peers
/// NATS and Zenoh. Absolute numbers depend on the machine; the ratios are what counts.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only scenarios whose names contain one of these
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    scenario: Vec<String>,

    /// Fewer scenarios, runs and seconds: less than a minute in all
    #[arg(long)]
    quick: bool,

    /// Write everything that was measured to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Draw a chart, as SVG, of the results that an earlier run has written with --json FILE, and
    /// measure nothing
    #[arg(long, value_name = "SVG", requires = "json")]
    chart: Option<PathBuf>,

    /// Where the C++ programs broker-throughput and broker-node are
    #[arg(long, value_name = "DIR")]
    reference: Option<PathBuf>,

    /// Measure NATS (`nats-server` from PATH, or what NATS_SERVER names) and Zenoh as well
    #[arg(long)]
    peers: bool,

    /// Transports to measure; `all` is every one that was compiled in
    #[arg(long, value_name = "SCHEME", value_delimiter = ',', default_value = "tcp")]
    scheme: Vec<String>,

    /// Measurements of each scenario [default: 5, quick: 3]
    #[arg(long, value_name = "N")]
    runs: Option<usize>,

    /// Length of a measurement [default: 1, quick: 0.2]
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<f64>,

    /// Threads of each process's runtime; 0 is a runtime without work stealing
    #[arg(long, value_name = "N", default_value_t = 2)]
    threads: usize,

    /// List the scenarios
    #[arg(long)]
    list: bool,

    /// Count instructions of codecs and routing instead, and compare them with the recorded counts
    #[arg(long)]
    instructions: bool,

    /// With --instructions: record the counts
    #[arg(long, requires = "instructions")]
    record: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct WorkerArgs {
    /// What to do, as JSON
    task: String,
}

/// Runs the benchmarks.
pub(crate) fn run(args: &Args) -> ExitCode {
    let outcome = if args.list {
        list();
        Ok(true)
    } else if let (Some(results), Some(svg)) = (&args.json, &args.chart) {
        chart::draw(results, svg).map(|()| true)
    } else if cfg!(debug_assertions) {
        crate::release::hand_over().map(|status| status.success())
    } else if args.instructions {
        instructions::check(args.record)
    } else {
        bench(args)
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Plays a worker.
pub(crate) fn work(args: &WorkerArgs) -> ExitCode {
    match serde_json::from_str(&args.task).map_err(Into::into).and_then(worker::work) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-worker: {error}");
            ExitCode::FAILURE
        }
    }
}

fn list() {
    for scenario in scenario::all() {
        let quick = if scenario.quick { "*" } else { " " };
        println!("{:20} {quick} {}", scenario.name, scenario.about);
    }
    println!("\n* part of --quick");
}

/// Returns whether every run came to its end.
fn bench(args: &Args) -> Result<bool> {
    let scenarios = chosen(args)?;
    let mut context = Context {
        scheme: String::new(),
        threads: args.threads,
        quick: args.quick,
        warm_up: if args.quick { 0.15 } else { 0.4 },
        seconds: args.seconds.unwrap_or(if args.quick { 0.2 } else { 1.0 }),
        reference: args.reference.as_deref().map(Reference::new).transpose()?,
        peers: args.peers.then(Peers::new).transpose()?,
    };
    let runs = args.runs.unwrap_or(if args.quick { 3 } else { 5 }).max(1);
    let (mut results, mut failures) = (Vec::new(), Vec::new());
    for scheme in run::schemes(&args.scheme)? {
        context.scheme = scheme;
        results.extend(run::all(&scenarios, &context, runs, &mut failures));
    }
    let goals = goals::evaluate(&results);
    report::print(&results, &goals);
    if let Some(file) = &args.json {
        report::write(file, &context, runs, &results, &goals)?;
    }
    for failure in &failures {
        eprintln!("failed: {failure}");
    }
    Ok(failures.is_empty())
}

fn chosen(args: &Args) -> Result<Vec<Scenario>> {
    let wanted = |scenario: &Scenario| {
        let named = args.scenario.iter().any(|name| scenario.name.contains(name.as_str()));
        named || (args.scenario.is_empty() && (scenario.quick || !args.quick))
    };
    let scenarios: Vec<Scenario> = scenario::all().into_iter().filter(wanted).collect();
    match scenarios.is_empty() {
        true => Err("no scenario has such a name; --list shows all".into()),
        false => Ok(scenarios),
    }
}
