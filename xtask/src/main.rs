//! Tasks of this repository: `cargo xtask <task>`.

mod interop;

use clap::Parser;
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Tasks of this repository")]
enum Task {
    Interop(interop::Args),
}

fn main() -> ExitCode {
    match Task::parse() {
        Task::Interop(args) => interop::run(&args),
    }
}
