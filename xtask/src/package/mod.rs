//! What is installed on machines: a static program, an archive and a Debian package with it, and
//! the proof that what is in them works.

mod licences;
mod verify;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, fs};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// What makes the Debian package, installed below `target/package`.
const CARGO_DEB: &str = "3.8.0";

/// Where the static program runs.
const TARGET: &str = if cfg!(target_arch = "aarch64") {
    "aarch64-unknown-linux-musl"
} else {
    "x86_64-unknown-linux-musl"
};

/// Builds the static program, an archive and a Debian package with it, and checks what is in them.
///
/// They are in `target/package`. Needs the Rust target for musl, and a C compiler for it.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Installs what is missing, by rustup and apt-get.
    #[arg(long)]
    install: bool,

    /// Fails where something is missing, instead of leaving it at a line that says so.
    #[arg(long)]
    required: bool,

    /// How the program is built.
    #[arg(long, value_name = "NAME", default_value = "dist")]
    profile: String,
}

pub(crate) fn run(args: &Args) -> ExitCode {
    let missing = missing(args.install);
    if !missing.is_empty() {
        println!("nothing is packaged:");
        missing.iter().for_each(|missing| println!("  {missing}"));
        println!("`cargo xtask package --install` installs it");
        return if args.required { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    }
    match package(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// What has to be installed before, and how.
fn missing(install: bool) -> Vec<String> {
    let apt = ["apt-get", "install", "-qy"];
    let needs = [
        ("the Rust target for musl", vec!["rustup", "target", "add", TARGET]),
        ("musl-gcc", [&apt[..], &["musl-tools"]].concat()),
        ("dpkg-deb", [&apt[..], &["dpkg"]].concat()),
    ];
    let mut missing = Vec::new();
    for (what, command) in needs {
        let is_there = || if command[0] == "rustup" { has_target() } else { is_found(what) };
        if !is_there()
            && install
            && let [program, arguments @ ..] = &command[..]
            && let Err(error) = run_command(Command::new(program).args(arguments))
        {
            println!("{error}");
        }
        if !is_there() {
            missing.push(format!("{what} is missing: {}", command.join(" ")));
        }
    }
    missing
}

fn has_target() -> bool {
    let mut rustc = Command::new("rustc");
    let path = text(rustc.args(["--print=target-libdir", "--target", TARGET]));
    path.is_ok_and(|path| Path::new(path.trim()).is_dir())
}

fn is_found(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

fn package(args: &Args) -> Result<()> {
    let root = fs::canonicalize(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))?;
    // The description of the package in the manifest names files here.
    let work = root.join("target/package");
    let files = work.join("files");
    let _ = fs::remove_dir_all(&files);
    fs::create_dir_all(&files)?;

    let options = ["--package", "broker-cli", "--target", TARGET, "--profile", &args.profile];
    let built = crate::release::build(&options).map_err(|error| error.to_string())?;
    let program = files.join("broker-cli");
    fs::copy(built, &program)?;
    run_command(Command::new(&program).arg("generate").arg(&files))?;
    fs::write(files.join("THIRD-PARTY-LICENSES"), licences::notices(&root, TARGET)?)?;
    for file in [
        "LICENSE-APACHE",
        "LICENSE-MIT",
        "docs/broker.example.toml",
        "docs/operating.md",
        "packaging/broker.service",
    ] {
        let from = root.join(file);
        fs::copy(&from, files.join(from.file_name().unwrap_or_default()))?;
    }

    let name = format!("broker-cli-{}-{TARGET}", env!("CARGO_PKG_VERSION"));
    let archive = work.join(format!("{name}.tar.gz"));
    // The same files make the same archive.
    run_command(
        Command::new("tar")
            .args(["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner"])
            .arg(format!("--transform=s,^[.],{name},"))
            .args(["--create", "--gzip", "--file"])
            .arg(&archive)
            .arg("--directory")
            .args([&files, Path::new(".")]),
    )?;
    let deb = debian_package(&root, &work)?;
    for made in [&archive, &deb] {
        println!("{}: {} KiB", made.display(), fs::metadata(made)?.len() / 1024);
    }
    verify::archive(&archive, &name, &work.join("unpacked"))?;
    verify::debian(&deb, &work.join("installed"))
}

/// Makes the Debian package out of what the manifest of `broker-cli` says.
fn debian_package(root: &Path, work: &Path) -> Result<PathBuf> {
    let tools = work.join("tools");
    let program = tools.join("bin/cargo-deb");
    let found = text(Command::new(&program).arg("--version")).unwrap_or_default();
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    if found.split_whitespace().next_back() != Some(CARGO_DEB) {
        println!("installing cargo-deb {CARGO_DEB} to {}", tools.display());
        run_command(
            Command::new(&cargo)
                .args(["install", "cargo-deb", "--locked", "--force", "--quiet"])
                .args(["--version", CARGO_DEB, "--no-default-features", "--root"])
                .arg(&tools)
                .arg("--target-dir")
                .arg(tools.join("build")),
        )?;
        let _ = fs::remove_dir_all(tools.join("build"));
    }
    let output = work.join("debian");
    let _ = fs::remove_dir_all(&output);
    fs::create_dir_all(&output)?;
    run_command(
        Command::new(&program)
            .current_dir(root)
            .args(["--package", "broker-cli", "--no-build", "--no-strip", "--quiet"])
            .args(["--target", TARGET])
            .arg("--output")
            .arg(&output),
    )?;
    let made = fs::read_dir(&output)?.next().ok_or("cargo-deb has made no package")??;
    Ok(made.path())
}

fn run_command(command: &mut Command) -> Result<()> {
    let status = command.status().map_err(|error| format!("{command:?}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?}: {status}").into()) }
}

/// What a command prints.
fn text(command: &mut Command) -> Result<String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{command:?}: {}\n{errors}", output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}
