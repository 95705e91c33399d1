//! Unpacks what was made into empty directories, and runs it from there.

use super::{Result, is_found, run_command, text};
use std::fs;
use std::path::Path;
use std::process::Command;

/// What the Debian package puts where.
const INSTALLED: &[&str] = &[
    "usr/bin/broker-cli",
    "usr/lib/systemd/system/broker.service",
    "usr/lib/sysusers.d/broker.conf",
    "etc/broker/node.toml",
    "etc/broker/broker.example.toml",
    "etc/default/broker",
    "usr/share/man/man1/broker-cli.1.gz",
    "usr/share/man/man1/broker-cli-node.1.gz",
    "usr/share/bash-completion/completions/broker-cli",
    "usr/share/zsh/vendor-completions/_broker-cli",
    "usr/share/fish/vendor_completions.d/broker-cli.fish",
    "usr/share/doc/broker-cli/LICENSE-APACHE",
    "usr/share/doc/broker-cli/LICENSE-MIT",
    "usr/share/doc/broker-cli/THIRD-PARTY-LICENSES",
    "usr/share/doc/broker-cli/copyright",
];

/// What is in the archive.
const ARCHIVED: &[&str] = &[
    "broker-cli",
    "man1/broker-cli.1",
    "man1/broker-cli-node.1",
    "broker-cli.bash",
    "_broker-cli",
    "broker-cli.fish",
    "broker.service",
    "broker.example.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "THIRD-PARTY-LICENSES",
];

pub(super) fn archive(archive: &Path, name: &str, tree: &Path) -> Result<()> {
    make_empty(tree)?;
    run_command(
        Command::new("tar").args(["--extract", "--file"]).arg(archive).arg("--directory").arg(tree),
    )?;
    let tree = tree.join(name);
    are_there(&tree, ARCHIVED)?;
    program(&tree.join("broker-cli"))?;
    println!("the archive is complete, and its program runs");
    Ok(())
}

pub(super) fn debian(package: &Path, tree: &Path) -> Result<()> {
    make_empty(tree)?;
    run_command(Command::new("dpkg-deb").arg("--extract").args([package, tree]))?;
    are_there(tree, INSTALLED)?;
    let control = tree.with_extension("control");
    make_empty(&control)?;
    run_command(Command::new("dpkg-deb").arg("--control").args([package, &control]))?;
    are_there(&control, &["control", "conffiles", "postinst", "postrm", "prerm"])?;
    let conffiles = fs::read_to_string(control.join("conffiles"))?;
    for file in INSTALLED.iter().filter(|file| file.starts_with("etc/")) {
        if !conffiles.contains(file) {
            return Err(format!("an upgrade would overwrite /{file}").into());
        }
    }
    let fields = fs::read_to_string(control.join("control"))?;
    let depends = fields.lines().find_map(|line| line.strip_prefix("Depends:"));
    if depends.is_some_and(|packages| !packages.trim().is_empty()) {
        return Err(format!("the static program depends on something:\n{fields}").into());
    }
    let installed = tree.join("usr/bin/broker-cli");
    program(&installed)?;
    for configuration in ["node.toml", "broker.example.toml"] {
        let configuration = tree.join("etc/broker").join(configuration);
        node(&installed, &configuration)?;
    }
    unit(tree)?;
    println!("the Debian package is complete, and what it installs runs");
    Ok(())
}

fn make_empty(directory: &Path) -> Result<()> {
    let _ = fs::remove_dir_all(directory);
    Ok(fs::create_dir_all(directory)?)
}

fn are_there(tree: &Path, files: &[&str]) -> Result<()> {
    let missing: Vec<_> = files.iter().filter(|file| !tree.join(file).is_file()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(format!("missing in {}: {missing:?}", tree.display()).into())
}

/// The program starts without any library, and passes messages.
fn program(program: &Path) -> Result<()> {
    if is_found("ldd") {
        // It fails for programs that are not dynamic at all.
        let output = Command::new("ldd").arg(program).output()?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        if !said.contains("statically linked") && !said.contains("not a dynamic executable") {
            return Err(format!("{} is not static: {said}", program.display()).into());
        }
    }
    let version = text(Command::new(program).arg("--version"))?;
    if version.trim() != format!("broker-cli {}", env!("CARGO_PKG_VERSION")) {
        return Err(format!("{} is {version:?}", program.display()).into());
    }
    text(Command::new(program).arg("demo")).map(drop)
}

/// A node could start with a configuration that is installed. What it would write to is elsewhere.
fn node(program: &Path, configuration: &Path) -> Result<()> {
    let id = configuration.with_extension("id");
    let mut check = Command::new(program);
    check.args(["node", "--check", "--listen", "127.0.0.1:0", "--config"]).arg(configuration);
    text(check.arg("--endpoint-id-file").arg(&id))?;
    fs::remove_file(id)?;
    Ok(())
}

/// The unit is one that systemd understands, where there is systemd.
fn unit(tree: &Path) -> Result<()> {
    let unit = tree.join("usr/lib/systemd/system/broker.service");
    let said = fs::read_to_string(&unit)?;
    let line = |start: &str| said.lines().find_map(|line| line.strip_prefix(start));
    let command = line("ExecStart=").ok_or("the unit starts nothing")?;
    for word in
        command.split(' ').filter(|word| word.starts_with("/usr") || word.starts_with("/etc"))
    {
        are_there(tree, &[word.trim_start_matches('/')])?;
    }
    if !is_found("systemd-analyze") {
        println!("the unit was not verified: there is no systemd-analyze");
        return Ok(());
    }
    let output = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager", "--threshold=30"])
        .arg(&unit)
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let exposure = text.lines().last().unwrap_or_default();
    println!("systemd-analyze security: {}", exposure.trim_start_matches("→ ").trim());
    if output.status.success() {
        Ok(())
    } else {
        Err("the unit is less hardened than it was".into())
    }
}
