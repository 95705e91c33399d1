//! The project's own rules about its text and its structure, which no other tool checks.

mod crates;
mod licences;
mod modules;
mod text;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Checks line widths, unwanted words, the graph of crates, the modules inside each crate, and the
/// licences of dependencies.
#[derive(clap::Args)]
pub(crate) struct Args {}

/// What breaks a rule: where, and which rule.
type Findings = Vec<String>;

pub(crate) fn run(_: &Args) -> ExitCode {
    let root = root();
    let files = match tracked(&root) {
        Ok(files) => files,
        Err(error) => {
            eprintln!("cannot list the files of the project: {error}");
            return ExitCode::FAILURE;
        }
    };
    let checks = [
        ("lines of at most 100 columns, and the words of the field", text::check(&root, &files)),
        ("no circle between the modules of a crate", modules::check(&root, &files)),
        ("crates use each other in one direction only", crates::check(&root)),
        ("dependencies from the registry, with permissive licences", licences::check(&root)),
    ];
    let mut broken = 0;
    for (rule, findings) in checks {
        println!("{rule}: {}", if findings.is_empty() { "kept" } else { "broken" });
        findings.iter().for_each(|finding| println!("  {finding}"));
        broken += findings.len();
    }
    if broken == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The files that belong to the project, relative to its root.
fn tracked(root: &Path) -> Result<Vec<String>, String> {
    let listed = Command::new("git").current_dir(root).arg("ls-files").output();
    let listed = listed.map_err(|error| error.to_string())?;
    if !listed.status.success() {
        return Err(String::from_utf8_lossy(&listed.stderr).into_owned());
    }
    let names = String::from_utf8_lossy(&listed.stdout);
    Ok(names.lines().filter(|name| root.join(name).is_file()).map(str::to_owned).collect())
}
