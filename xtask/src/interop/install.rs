//! `--install`: clients that others have written, in a temporary place.

use broker_testkit::tools::{find, install as run, python, text};
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tokio::process::Command;

/// Packages of Python and of Node.js.
const PYTHON: &[&str] = &["websockets", "zeek-client", "zeekpy"];
const NODE: &[&str] = &["ws@8", "playwright-core@1"];

/// What has been installed; it is gone when the place is dropped.
#[derive(Default)]
pub(super) struct Installed {
    pub(super) python: Option<PathBuf>,
    pub(super) node_modules: Option<PathBuf>,
    pub(super) chromium: Option<PathBuf>,
    /// What could not be installed, and why.
    pub(super) failures: Vec<String>,
}

/// Installs what there is for it. What is not to be had is named; the cells that need it are then
/// skipped.
pub(super) async fn install(place: &TempDir) -> Result<Installed, String> {
    let place = place.path();
    let mut installed = Installed::default();
    match python(text(place)?, PYTHON).await {
        Ok(python) => installed.python = Some(python),
        Err(reason) => installed.failures.push(format!("Python packages: {reason}")),
    }
    match node(&place.join("node")).await {
        Ok(modules) => {
            if find("chromium").is_none() {
                match chromium(&modules, &place.join("browsers")).await {
                    Ok(program) => installed.chromium = Some(program),
                    Err(reason) => installed.failures.push(format!("Chromium: {reason}")),
                }
            }
            installed.node_modules = Some(modules);
        }
        Err(reason) => installed.failures.push(format!("Node packages: {reason}")),
    }
    Ok(installed)
}

async fn node(place: &Path) -> Result<PathBuf, String> {
    let npm = find("npm").ok_or("no npm on PATH")?;
    std::fs::create_dir_all(place).map_err(|error| error.to_string())?;
    let options =
        ["install", "--silent", "--no-save", "--ignore-scripts", "--fetch-retries=1", "--prefix"];
    run(&npm, &[&options[..], &[text(place)?], NODE].concat()).await?;
    Ok(place.join("node_modules"))
}

/// Has playwright-core download its Chromium.
async fn chromium(modules: &Path, place: &Path) -> Result<PathBuf, String> {
    let env = find("env").ok_or("no env on PATH")?;
    let place = format!("PLAYWRIGHT_BROWSERS_PATH={}", text(place)?);
    let command = modules.join("playwright-core/cli.js");
    run(&env, &[&place, "node", text(&command)?, "install", "chromium"]).await?;
    let script = "console.log(require('playwright-core').chromium.executablePath())";
    let modules = format!("NODE_PATH={}", text(modules)?);
    let asked = Command::new(env).args([&place, &modules, "node", "-e", script]).output().await;
    let output = asked.map_err(|error| error.to_string())?;
    let path = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    if path.is_file() { Ok(path) } else { Err(format!("{} is not there", path.display())) }
}
