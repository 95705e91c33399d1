//! Benchmarks and long simulations need optimized code: a debug build of this program builds the
//! release and hands over.

use std::env;
use std::path::PathBuf;
use std::process::{Command, ExitStatus};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Builds this program with optimizations and runs it with the same arguments.
pub(crate) fn hand_over() -> Result<ExitStatus> {
    let program = build(&["--profile", "dist", "--package", "xtask"])?;
    Ok(Command::new(program).args(env::args_os().skip(1)).status()?)
}

/// Builds a program, and returns where it is.
pub(crate) fn build(arguments: &[&str]) -> Result<PathBuf> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--message-format=json-render-diagnostics"])
        .args(arguments)
        .stderr(std::process::Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err("the program could not be built".into());
    }
    let artifacts = String::from_utf8(output.stdout)?;
    let path = artifacts.lines().filter_map(executable).next_back();
    Ok(path.ok_or("cargo built no program")?.into())
}

/// The path in a message of cargo about a program.
fn executable(line: &str) -> Option<String> {
    let message: serde_json::Value = serde_json::from_str(line).ok()?;
    message.get("executable")?.as_str().map(str::to_owned)
}
