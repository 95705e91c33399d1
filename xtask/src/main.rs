//! Tasks of this repository: `cargo xtask <task>`.

mod bench;
mod check;
mod interop;
mod package;
mod release;
mod sim;
mod wheel;

use clap::Parser;
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Tasks of this repository")]
enum Task {
    Interop(interop::Args),
    Bench(bench::Args),
    Check(check::Args),
    #[command(hide = true)]
    BenchWorker(bench::WorkerArgs),
    Package(package::Args),
    Sim(sim::Args),
    Wheel(wheel::Args),
}

fn main() -> ExitCode {
    match Task::parse() {
        Task::Interop(args) => interop::run(&args),
        Task::Bench(args) => bench::run(&args),
        Task::Check(args) => check::run(&args),
        Task::BenchWorker(args) => bench::work(&args),
        Task::Package(args) => package::run(&args),
        Task::Sim(args) => sim::run(&args),
        Task::Wheel(args) => wheel::run(&args),
    }
}
