use crate::release;
use broker_sim::{self as sim, Broken, Summary};
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

/// Runs many endpoints under a virtual clock with seeded faults, and checks the rules of peering
/// and routing after every step.
///
/// Many seeds run in an optimized build, which is made if there is none.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// How many seeds to run.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Runs this one seed and prints everything that happens in it.
    #[arg(long, conflicts_with_all = ["seeds", "first"])]
    seed: Option<u64>,
    /// Shows the turns of readers, writers and consumers as well.
    #[arg(long, requires = "seed")]
    steps: bool,
    /// Lists how often which faults, rare moments and reasons of failures came up.
    #[arg(long, conflicts_with = "seed")]
    seen: bool,
    /// How many seeds run at the same time; 0 is one for each processor.
    #[arg(long, default_value_t = 0)]
    jobs: usize,
    /// Stays in this build: slower, and it looks for arithmetic that overflows.
    #[arg(long)]
    debug: bool,
    /// Goes on after a broken rule, and lists the seeds in the end.
    #[arg(long)]
    keep_going: bool,
    /// Writes the trace of `--seed` into a file instead of printing it.
    #[arg(long, requires = "seed")]
    output: Option<PathBuf>,
}

/// So many seeds take less time in a debug build than making a release.
const FEW: u64 = 200;

pub(crate) fn run(args: &Args) -> ExitCode {
    let outcome = match args.seed {
        Some(seed) => replay(seed, args).map_err(Into::into),
        None if cfg!(debug_assertions) && args.seeds > FEW && !args.debug => {
            eprintln!("building and running the release, which is much faster (not with --debug)");
            release::hand_over().map(|status| status.success())
        }
        None => Ok(run_many(args)),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("sim: {error}");
            ExitCode::FAILURE
        }
    }
}

fn replay(seed: u64, args: &Args) -> io::Result<bool> {
    let (trace, outcome) = sim::trace(seed, args.steps);
    let text = trace.join("\n") + "\n";
    match &args.output {
        Some(path) => fs::write(path, text)?,
        None => io::stdout().write_all(text.as_bytes())?,
    }
    match &outcome {
        Ok(summary) => println!("seed {seed} holds: {summary}"),
        Err(broken) => println!("{broken}"),
    }
    Ok(outcome.is_ok())
}

fn run_many(args: &Args) -> bool {
    let began = Instant::now();
    let jobs = match args.jobs {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        jobs => jobs,
    };
    let next = AtomicU64::new(args.first);
    let stop = AtomicBool::new(false);
    let results = Mutex::new((Vec::<Broken>::new(), Summary::default(), 0_u64));
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= args.first.saturating_add(args.seeds) {
                        break;
                    }
                    let outcome = sim::run(seed);
                    let Ok(mut results) = results.lock() else { break };
                    results.2 += 1;
                    match outcome {
                        Ok(summary) => results.1.add(&summary),
                        Err(broken) => {
                            println!("seed {seed}: {}", broken.what);
                            results.0.push(*broken);
                            stop.store(!args.keep_going, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    let Ok((broken, summary, count)) = results.into_inner() else { return false };
    let time = began.elapsed();
    let each = time.as_secs_f64() * 1000.0 / count.max(1) as f64;
    println!("{count} seeds in {:.1} s, {each:.1} ms each: {summary}", time.as_secs_f64());
    if args.seen {
        print!("{}", seen(&summary));
    }
    report(broken)
}

/// How often what happened.
fn seen(summary: &Summary) -> String {
    let mut text = String::new();
    let mut last = "";
    for ((kind, name), count) in &summary.seen {
        if *kind != last {
            last = kind;
            text += &format!("{kind}:\n");
        }
        text += &format!("{count:>12}  {name}\n");
    }
    text
}

/// Says how to repeat what went wrong, and shows the end of the first one.
fn report(mut broken: Vec<Broken>) -> bool {
    broken.sort_by_key(|broken| broken.seed);
    let Some(first) = broken.first() else { return true };
    let (trace, _) = sim::trace(first.seed, false);
    let skipped = trace.len().saturating_sub(60);
    println!("the last of {} lines of seed {}:", trace.len(), first.seed);
    trace.iter().skip(skipped).for_each(|line| println!("{line}"));
    broken.iter().for_each(|broken| println!("{broken}"));
    false
}
