//! Running the program. Every wait has a limit, and no process outlives its test.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests, and every test uses its own part"
)]

use rustix::process::{Pid, kill_process};
use serde_json::Value as Json;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

pub(crate) use rustix::process::Signal;

/// How long anything may take on a machine that has other things to do.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// Waits, but not forever.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(LIMIT, future).await.unwrap_or_else(|_| panic!("{what}: not within {LIMIT:?}"))
}

/// A running program.
pub(crate) struct Cli {
    pub(crate) child: Child,
    pub(crate) stdin: Option<ChildStdin>,
    pub(crate) stdout: Option<BufReader<ChildStdout>>,
    stderr: BufReader<ChildStderr>,
}

/// What is left of a program that has ended.
#[derive(Debug)]
pub(crate) struct End {
    /// `None` if a signal killed it.
    pub(crate) code: Option<i32>,
    /// What had not been read before.
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Cli {
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::start_by(&[], args)
    }

    /// Starts it by a command that is given the program and the arguments; nothing stands for the
    /// program itself.
    pub(crate) fn start_by(command: &[&str], args: &[&str]) -> Self {
        let program = [env!("CARGO_BIN_EXE_broker-cli")];
        let all = [command, &program, args].concat();
        let mut child = Command::new(all[0])
            .args(&all[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().map(BufReader::new);
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self { stdin: child.stdin.take(), stdout, stderr, child }
    }

    /// The next line of standard output; panics if there is none.
    pub(crate) async fn line(&mut self) -> String {
        let mut line = String::new();
        let stdout = self.stdout.as_mut().unwrap();
        within("a line of output", stdout.read_line(&mut line)).await.unwrap();
        if line.is_empty() {
            let mut diagnosis = String::new();
            within("the end", self.stderr.read_to_string(&mut diagnosis)).await.unwrap();
            panic!("the output has ended: {diagnosis}");
        }
        line.trim_end().to_owned()
    }

    /// The next line of standard output as JSON.
    pub(crate) async fn json(&mut self) -> Json {
        let line = self.line().await;
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    /// The next line, which says where it listens.
    pub(crate) async fn listening(&mut self) -> String {
        let line = self.json().await;
        assert_eq!(line["type"], "listening", "{line}");
        line["url"].as_str().unwrap().to_owned()
    }

    /// The next line of this type.
    pub(crate) async fn event(&mut self, name: &str) -> Json {
        loop {
            let line = self.json().await;
            if line["type"] == name {
                return line;
            }
        }
    }

    /// The next line of standard error.
    pub(crate) async fn diagnosis(&mut self) -> String {
        let mut line = String::new();
        within("a diagnosis", self.stderr.read_line(&mut line)).await.unwrap();
        line.trim_end().to_owned()
    }

    /// Writes to standard input, which stays open.
    pub(crate) async fn write(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        within("writing", stdin.write_all(text.as_bytes())).await.unwrap();
        within("writing", stdin.flush()).await.unwrap();
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    /// Closes standard input and waits for the end.
    pub(crate) async fn end(mut self) -> End {
        drop(self.stdin.take());
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let output = async {
            match &mut self.stdout {
                Some(stdout) => stdout.read_to_end(&mut out).await.unwrap(),
                None => 0,
            }
        };
        let ended = async {
            let read = tokio::join!(output, self.stderr.read_to_end(&mut err));
            read.1.unwrap();
            self.child.wait().await.unwrap()
        };
        let code = within("the end", ended).await.code();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        End { code, stdout: text(out), stderr: text(err) }
    }
}

impl End {
    /// Checks the exit code, and shows why it is another one.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }

    /// Checks that the person who started it was told this.
    #[track_caller]
    pub(crate) fn says(&self, what: &str) {
        assert!(self.stderr.contains(what), "{what:?} is not in {:?}", self.stderr);
    }

    pub(crate) fn lines(&self) -> Vec<Json> {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{line}: {e}"));
        self.stdout.lines().map(parse).collect()
    }
}

/// Runs the program to its end.
pub(crate) async fn run(args: &[&str]) -> End {
    Cli::start(args).end().await
}

/// Runs the program with this text as standard input.
pub(crate) async fn run_with_input(args: &[&str], input: &str) -> End {
    let mut cli = Cli::start(args);
    let mut stdin = cli.stdin.take().unwrap();
    let input = input.as_bytes().to_vec();
    // The program may end before it has read everything.
    tokio::spawn(async move { stdin.write_all(&input).await });
    cli.end().await
}

/// A node that listens, and where.
pub(crate) async fn node(args: &[&str]) -> (Cli, String) {
    let mut node = Cli::start(&[&["node", "--listen", "127.0.0.1:0"], args].concat());
    let url = node.listening().await;
    (node, url)
}

/// The answer to a simple request for a page, head and all.
pub(crate) async fn page(at: &str, path: &str) -> String {
    let mut socket = within("connecting", TcpStream::connect(at)).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {at}\r\n\r\n");
    within("asking", socket.write_all(request.as_bytes())).await.unwrap();
    let mut answer = String::new();
    within("an answer", socket.read_to_string(&mut answer)).await.unwrap();
    answer
}

/// A file of `fixtures/vectors`.
pub(crate) fn vectors(name: &str) -> Json {
    let path = format!("{}/../fixtures/vectors/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}
