//! Other programs, whose output is read line by line.

use crate::support::PATIENCE;
use std::ffi::OsStr;
use std::path::Path;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

pub(crate) struct Program {
    child: Child,
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
    stderr: ChildStderr,
}

impl Program {
    pub(crate) fn start(program: &Path, args: &[String]) -> Self {
        Self::start_in(program, args, &[])
    }

    pub(crate) fn start_in(program: &Path, args: &[String], env: &[(&str, &OsStr)]) -> Self {
        let mut child = Command::new(program)
            .args(args)
            .envs(env.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap()).lines();
        let (stdin, stderr) = (child.stdin.take().unwrap(), child.stderr.take().unwrap());
        Self { child, stdin, stdout, stderr }
    }

    /// Checks that the next line is, or begins with, this one.
    pub(crate) async fn line(&mut self, expected: &str) {
        let line = self.next_line().await;
        assert!(line.starts_with(expected), "expected {expected:?}, got {line:?}");
    }

    /// The next line that begins like this.
    pub(crate) async fn line_with(&mut self, start: &str) -> String {
        loop {
            let line = self.next_line().await;
            if line.starts_with(start) {
                return line;
            }
        }
    }

    async fn next_line(&mut self) -> String {
        match timeout(PATIENCE, self.stdout.next_line()).await {
            Ok(Ok(Some(line))) => line,
            outcome => {
                // What it says about itself is worth more than that it said nothing.
                let _ = self.child.start_kill();
                let mut diagnosis = String::new();
                let _ = self.stderr.read_to_string(&mut diagnosis).await;
                panic!("no line of output ({outcome:?}): {diagnosis}")
            }
        }
    }

    pub(crate) async fn write(&mut self, text: &str) {
        self.stdin.write_all(text.as_bytes()).await.unwrap();
        self.stdin.flush().await.unwrap();
    }

    /// Waits for the end, which has to be a good one.
    pub(crate) async fn success(mut self) {
        drop(self.stdin);
        let mut diagnosis = String::new();
        let ended = async {
            let _ = self.stderr.read_to_string(&mut diagnosis).await;
            self.child.wait().await.unwrap()
        };
        let status = timeout(PATIENCE, ended).await.expect("the end in time");
        assert!(status.success(), "{diagnosis}");
    }
}
