use crate::failure::Failure;
use clap::{Args, Command};
use clap_complete::Shell;
use std::path::PathBuf;

/// Write the manual pages and the completions of shells to a directory
///
/// They are made from what the program itself knows about its options: `man1/` has a page for each
/// command, `broker-cli.bash`, `_broker-cli` (zsh) and `broker-cli.fish` complete them.
#[derive(Args)]
pub(crate) struct Generate {
    /// Where they go
    directory: PathBuf,
}

impl Generate {
    pub(crate) fn run(self, command: Command) -> Result<(), Failure> {
        let failed = |error: std::io::Error| {
            Failure::other(format!("{}: {error}", self.directory.display()))
        };
        let pages = self.directory.join("man1");
        std::fs::create_dir_all(&pages).map_err(failed)?;
        clap_mangen::generate_to(command.clone(), &pages).map_err(failed)?;
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut command = command.clone();
            clap_complete::generate_to(shell, &mut command, "broker-cli", &self.directory)
                .map_err(failed)?;
        }
        Ok(())
    }
}
