//! What cells need of the machine, and where that is.

use super::Args;
use super::install::Installed;
use broker_testkit::tools::find;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Something that a cell cannot do without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// A program of another implementation.
    Tool(&'static str),
    /// The Python module of the C++ Broker.
    CppModule,
    /// A module of Python.
    Python(&'static str),
    /// A module of Node.js.
    Node(&'static str),
    Chromium,
    /// A directory with this file in the root of this repository.
    File(&'static str),
    /// The program of this repository.
    Cli,
}

/// Tools that are also taken from PATH.
const INSTALLED: &[&str] = &["zeek", "openssl"];

/// Where everything is.
#[derive(Debug, Default)]
pub(super) struct Places {
    reference: Option<PathBuf>,
    /// The interpreter that has the module of the C++ Broker, or why there is none.
    cpp_python: Option<Result<PathBuf, String>>,
    python: Option<PathBuf>,
    python_modules: BTreeSet<String>,
    node: Option<PathBuf>,
    node_modules: Option<PathBuf>,
    chromium: Option<PathBuf>,
    cli: Option<PathBuf>,
}

/// Modules of Python that cells ask for.
const MODULES: &[&str] = &["websockets", "zeekclient", "zeekpy"];

impl Places {
    /// Looks for everything, first in what has been installed.
    pub(super) fn find(args: &Args, installed: Installed) -> Self {
        let python = args.python.clone().or(installed.python).or_else(|| find("python3"));
        let has = |python: &Path, module: &str| {
            let test = format!("import importlib.util as u; exit(u.find_spec('{module}') is None)");
            let output = Command::new(python).args(["-c", &test]).output();
            output.is_ok_and(|output| output.status.success())
        };
        let python_modules = python.iter().flat_map(|python| {
            MODULES.iter().filter(|module| has(python, module)).map(|module| (*module).to_owned())
        });
        let chromium = ["chromium", "chromium-browser", "google-chrome"];
        Self {
            python_modules: python_modules.collect(),
            python,
            cpp_python: args.reference.as_deref().map(cpp_python),
            node: find("node"),
            node_modules: args.node_modules.clone().or(installed.node_modules),
            chromium: installed.chromium.or_else(|| chromium.into_iter().find_map(find)),
            cli: args.cli.clone(),
            reference: args.reference.clone(),
        }
    }

    /// Says where the program of this repository is.
    pub(super) fn set_cli(&mut self, program: PathBuf) {
        self.cli = Some(program);
    }

    pub(super) fn has_cli(&self) -> bool {
        self.cli.is_some()
    }

    /// Why a cell cannot run, if something that it needs is not there.
    pub(super) fn missing(&self, needs: &[Need]) -> Option<String> {
        let reasons: Vec<String> = needs.iter().filter_map(|need| self.lacks(*need)).collect();
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }

    fn lacks(&self, need: Need) -> Option<String> {
        match need {
            Need::Tool(tool) => match self.tool(tool) {
                Some(_) => None,
                None if INSTALLED.contains(&tool) => Some(format!("no {tool} on PATH")),
                None => Some(match &self.reference {
                    None => format!("no {tool}: say where with --reference DIR"),
                    Some(reference) => format!("no {tool} in {}", reference.display()),
                }),
            },
            Need::CppModule => match &self.cpp_python {
                None => Some(
                    "no Python module of the C++ Broker: say where with --reference DIR".to_owned(),
                ),
                Some(found) => found.as_ref().err().cloned(),
            },
            Need::Python(module) => (!self.python_modules.contains(module))
                .then(|| format!("no Python with {module}: --install, or --python FILE")),
            Need::Node(module) => {
                let modules = self.node_modules.as_deref();
                match (&self.node, modules.is_some_and(|place| place.join(module).is_dir())) {
                    (None, _) => Some("no node on PATH".to_owned()),
                    (Some(_), false) => {
                        Some(format!("no {module} for Node: --install, or --node-modules DIR"))
                    }
                    (Some(_), true) => None,
                }
            }
            Need::Chromium => {
                self.chromium.is_none().then(|| "no Chromium on PATH: --install".to_owned())
            }
            Need::File(file) => {
                (!root().join(file).is_file()).then(|| format!("no {file} in this repository"))
            }
            Need::Cli => self.cli.is_none().then(|| "broker-cli was not built".to_owned()),
        }
    }

    /// A program of another implementation.
    pub(super) fn tool(&self, tool: &str) -> Option<PathBuf> {
        let reference = self.reference.iter();
        let places = reference.flat_map(|place| [place.join("bin").join(tool), place.join(tool)]);
        let found = places.into_iter().find(|place| place.is_file());
        found.or_else(|| INSTALLED.contains(&tool).then(|| find(tool)).flatten())
    }

    /// The interpreter for the module of the C++ Broker, and where that is.
    pub(super) fn cpp_module(&self) -> Option<(&Path, PathBuf)> {
        let python = self.cpp_python.as_ref()?.as_ref().ok()?;
        Some((python, self.reference.as_ref()?.join("python")))
    }

    pub(super) fn python(&self) -> PathBuf {
        self.python.clone().unwrap_or_else(|| "python3".into())
    }

    pub(super) fn node(&self) -> PathBuf {
        self.node.clone().unwrap_or_else(|| "node".into())
    }

    pub(super) fn node_modules(&self) -> PathBuf {
        self.node_modules.clone().unwrap_or_default()
    }

    pub(super) fn chromium(&self) -> PathBuf {
        self.chromium.clone().unwrap_or_default()
    }

    pub(super) fn cli(&self) -> PathBuf {
        self.cli.clone().unwrap_or_default()
    }
}

/// The root of this repository.
pub(super) fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// An interpreter that can load the module of the C++ Broker.
fn cpp_python(reference: &Path) -> Result<PathBuf, String> {
    let modules = reference.join("python");
    if !modules.join("broker").is_dir() {
        return Err(format!("no python/broker in {}", reference.display()));
    }
    let mut reason = "no python3 on PATH".to_owned();
    for python in ["python3", "/usr/bin/python3"].into_iter().filter_map(|name| match name {
        "python3" => find(name),
        path => Some(path.into()),
    }) {
        let test = Command::new(&python)
            .env("PYTHONPATH", &modules)
            .args(["-c", "import broker"])
            .output();
        match test {
            Ok(output) if output.status.success() => return Ok(python),
            Ok(output) => {
                let text = String::from_utf8_lossy(&output.stderr).into_owned();
                let last = text.lines().last().unwrap_or_default();
                reason = format!("{} cannot load it: {last}", python.display());
            }
            Err(error) => reason = format!("{}: {error}", python.display()),
        }
    }
    Err(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_what_to_do() {
        let places = Places::default();
        let missing = |need| places.missing(&[need]).unwrap();
        assert_eq!(
            missing(Need::Tool("broker-pipe")),
            "no broker-pipe: say where with --reference DIR"
        );
        assert_eq!(
            missing(Need::Python("zeekpy")),
            "no Python with zeekpy: --install, or --python FILE"
        );
        assert_eq!(missing(Need::File("no/such")), "no no/such in this repository");
        assert_eq!(places.missing(&[Need::File("Cargo.toml")]), None);
        let both = places.missing(&[Need::Tool("a"), Need::Chromium]).unwrap();
        assert!(both.contains("no a") && both.contains("; no Chromium"), "{both}");
    }

    #[test]
    fn tools_are_found_in_the_directory_and_in_its_bin() {
        let directory = tempfile::TempDir::new().unwrap();
        std::fs::create_dir(directory.path().join("bin")).unwrap();
        std::fs::write(directory.path().join("bin/broker-node"), "").unwrap();
        std::fs::write(directory.path().join("broker-pipe"), "").unwrap();
        let places = Places { reference: Some(directory.path().to_owned()), ..Places::default() };
        assert!(places.missing(&[Need::Tool("broker-node"), Need::Tool("broker-pipe")]).is_none());
        let missing = places.missing(&[Need::Tool("broker-throughput")]).unwrap();
        assert!(missing.starts_with("no broker-throughput in "), "{missing}");
    }
}
