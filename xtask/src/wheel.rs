//! The Python package: builds a wheel for this platform, installs it into an empty environment, and
//! runs its tests there.

use std::error::Error;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, fs};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The oldest Python that the package supports.
const OLDEST: (u32, u32) = (3, 10);

/// Builds and checks a wheel of the Python package.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Builds what would be published, and not the debug build.
    #[arg(long)]
    release: bool,

    /// Runs the tests of the C++ module as well: `tests/python` of a checkout of zeek/broker.
    #[arg(long, value_name = "DIR")]
    upstream: Option<PathBuf>,

    /// Fails where there is no Python, instead of leaving it at a line that says so.
    #[arg(long)]
    required: bool,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    let python = match find_python() {
        Ok(python) => python,
        Err(missing) => {
            println!("the Python package is not built: {missing}");
            return if args.required { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    match build_and_test(args, &python) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// A Python that can make environments, or what is missing.
fn find_python() -> Result<PathBuf> {
    let script = "import sys, venv, ensurepip; print(*sys.version_info[:2])";
    let output = Command::new("python3").args(["-c", script]).output();
    let output = output.map_err(|_| "there is no python3")?;
    if !output.status.success() {
        return Err("python3 has no venv or no pip (the package python3-venv of Debian)".into());
    }
    let text = String::from_utf8(output.stdout)?;
    let mut numbers = text.split_whitespace().map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) if (major, minor) >= OLDEST => Ok("python3".into()),
        _ => Err(format!("python3 is {}, which is too old", text.trim()).into()),
    }
}

fn build_and_test(args: &Args, python: &Path) -> Result<()> {
    let root = fs::canonicalize(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))?;
    let package = root.join("python");
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let work = target.join("python");
    fs::create_dir_all(&work)?;
    let tools = Environment::kept(python, &work.join("tools"))?;
    tools.pip(&["maturin>=1.9,<2"])?;

    let dist = work.join("dist");
    let _ = fs::remove_dir_all(&dist);
    let mut build = tools.command("maturin");
    build.args(["build", "--out"]).arg(&dist).current_dir(&package);
    // The debug build shares what the tests of the workspace have built.
    build.arg("--target-dir").arg(&target);
    if args.release {
        build.arg("--release");
    }
    expect(&mut build)?;
    let wheel = only_wheel(&dist)?;
    println!("{}: {} KiB", wheel.display(), fs::metadata(&wheel)?.len() / 1024);
    if cfg!(target_os = "linux") && tools.pip(&["auditwheel"]).is_ok() {
        expect(tools.command("auditwheel").arg("show").arg(&wheel))?;
    }

    let empty = Environment::fresh(python, &work.join("empty"))?;
    empty.pip(&[wheel.as_os_str()])?;
    empty.pip(&["pytest>=8", "hypothesis>=6.100", "mypy>=1.13"])?;
    // Its event loop is one of those that have to work; there is none for every platform.
    let _ = empty.pip(&["uvloop"]);
    let mut test = empty.command("python");
    test.args(["-m", "pytest", "--quiet"]).current_dir(&package).env_remove("PYTHONPATH");
    if let Some(upstream) = &args.upstream {
        test.env("ZEEK_BROKER_UPSTREAM_TESTS", fs::canonicalize(upstream)?);
    }
    expect(&mut test)?;
    let mut doctest = empty.command("python");
    doctest.args(["-m", "pytest", "--quiet", "--doctest-modules", "--pyargs", "zeek_broker"]);
    // Anywhere but beside the sources, so that it is the installed package that is looked at.
    expect(doctest.current_dir(&work).env_remove("PYTHONPATH"))
}

/// A virtual environment.
struct Environment {
    programs: PathBuf,
}

impl Environment {
    /// One that stays from run to run.
    fn kept(python: &Path, at: &Path) -> Result<Self> {
        let programs = at.join("bin");
        if !programs.join("python").exists() {
            expect(Command::new(python).args(["-m", "venv"]).arg(at))?;
        }
        Ok(Self { programs })
    }

    /// One with nothing in it.
    fn fresh(python: &Path, at: &Path) -> Result<Self> {
        let _ = fs::remove_dir_all(at);
        Self::kept(python, at)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        // Maturin and mypy look for the environment that they are in.
        if let Some(environment) = self.programs.parent() {
            command.env("VIRTUAL_ENV", environment);
        }
        command
    }

    fn pip<S: AsRef<OsStr>>(&self, packages: &[S]) -> Result<()> {
        let quiet = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
        expect(self.command("python").args(quiet).args(packages))
    }
}

fn only_wheel(directory: &Path) -> Result<PathBuf> {
    let wheels = fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.path()));
    let wheels = wheels.collect::<std::io::Result<Vec<_>>>()?;
    let is_wheel = |path: &&PathBuf| path.extension().is_some_and(|kind| kind == "whl");
    wheels.iter().find(is_wheel).cloned().ok_or_else(|| "maturin has built no wheel".into())
}

fn expect(command: &mut Command) -> Result<()> {
    let status = command.status().map_err(|error| format!("{command:?}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?}: {status}").into()) }
}
