use super::cell::{Check, Context, Mode};
use super::log::Log;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// How long a child may take for anything that should happen at once.
const PATIENCE: Duration = Duration::from_secs(10);

/// Lines of a child that wait to be looked at; then it has to wait.
const LINES: usize = 65536;

/// A process that is killed when nobody holds it any more.
pub(super) struct Child {
    name: &'static str,
    process: tokio::process::Child,
    input: Option<ChildStdin>,
    output: mpsc::Receiver<Vec<u8>>,
    errors: mpsc::Receiver<Vec<u8>>,
    log: Log,
}

impl Child {
    /// Starts one of the tools of the C++ Broker in the mode of the cell.
    pub(super) fn tool(context: &Context, name: &'static str, args: &[&str]) -> Check<Self> {
        let program = context.places.tool(name).ok_or_else(|| format!("there is no {name}"))?;
        let mut command = Command::new(program);
        if context.mode == Mode::Plain {
            command.arg("--disable-ssl");
        }
        // It would take the place of the option that says where to listen.
        command.env_remove("BROKER_PORT").args(args);
        context.log.note(name, format_args!("started with {}", args.join(" ")));
        Self::start(&context.log, name, command)
    }

    pub(super) fn start(log: &Log, name: &'static str, mut command: Command) -> Check<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process =
            command.kill_on_drop(true).spawn().map_err(|error| format!("{name}: {error}"))?;
        let output = follow(log, name, process.stdout.take());
        let errors = follow(log, name, process.stderr.take());
        let input = process.stdin.take();
        Ok(Self { name, process, input, output, errors, log: log.clone() })
    }

    /// Writes a line to its standard input.
    pub(super) async fn say(&mut self, line: &str) -> Check {
        let input = self.input.as_mut().ok_or("its input is closed")?;
        let line = format!("{line}\n");
        input.write_all(line.as_bytes()).await.map_err(|error| format!("{}: {error}", self.name))
    }

    /// Waits until it accepts connections at a port.
    pub(super) async fn accepts(&self, port: u16) -> Check {
        let connected = async {
            while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, connected).await.map_err(|_| format!("{} does not listen", self.name))
    }

    /// Ends its standard input.
    pub(super) fn end_input(&mut self) {
        self.input = None;
    }

    /// The next line of its standard output; `None` at the end.
    pub(super) async fn line(&mut self) -> Check<Option<Vec<u8>>> {
        let line = timeout(PATIENCE, self.output.recv()).await;
        line.map_err(|_| format!("{} says nothing more", self.name))
    }

    /// The next line of its standard output, however long it takes; `None` at the end.
    pub(super) async fn next_line(&mut self) -> Option<Vec<u8>> {
        self.output.recv().await
    }

    /// Waits for a line on standard error that contains `text`, and skips others.
    pub(super) async fn complains(&mut self, text: &str) -> Check {
        loop {
            let line = timeout(PATIENCE, self.errors.recv()).await;
            let line = line.map_err(|_| format!("{} does not say {text}", self.name))?;
            let line = line.ok_or_else(|| format!("{} ended and did not say {text}", self.name))?;
            if String::from_utf8_lossy(&line).contains(text) {
                return Ok(());
            }
        }
    }

    /// Kills it without a warning, as `kill -9` does, and waits until it is gone.
    pub(super) async fn kill(mut self) -> Check {
        self.log.note(self.name, "killed");
        self.process.kill().await.map_err(|error| format!("{}: {error}", self.name))
    }

    /// Stops it where it is, or has it go on, as `kill -STOP` and `kill -CONT` do.
    pub(super) fn signal(&self, signal: rustix::process::Signal) -> Check {
        let pid = self.process.id().and_then(|pid| i32::try_from(pid).ok());
        let pid = pid.and_then(rustix::process::Pid::from_raw);
        let pid = pid.ok_or_else(|| format!("{} has ended", self.name))?;
        self.log.note(self.name, format_args!("gets {signal:?}"));
        rustix::process::kill_process(pid, signal)
            .map_err(|error| format!("{}: {error}", self.name))
    }

    /// Waits until it ends by itself.
    pub(super) async fn ended(&mut self) -> Check<ExitStatus> {
        let status = timeout(PATIENCE, self.process.wait()).await;
        let status = status.map_err(|_| format!("{} does not end", self.name))?;
        let status = status.map_err(|error| format!("{}: {error}", self.name))?;
        self.log.note(self.name, format_args!("ended: {status}"));
        Ok(status)
    }

    /// Waits without a limit, which the cell has to have then.
    pub(super) async fn finished(mut self) -> Check<ExitStatus> {
        self.end_input();
        self.process.wait().await.map_err(|error| format!("{}: {error}", self.name))
    }
}

/// Reads lines, notes them, and hands them on.
fn follow(
    log: &Log,
    name: &'static str,
    from: Option<impl AsyncRead + Send + Unpin + 'static>,
) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel(LINES);
    let log = log.clone();
    tokio::spawn(async move {
        let Some(from) = from else { return };
        let mut lines = BufReader::new(from).split(b'\n');
        while let Ok(Some(line)) = lines.next_segment().await {
            log.note(name, String::from_utf8_lossy(&line));
            // The cell may have seen enough; the child must not be held up for that.
            let _ = sender.send(line).await;
        }
    });
    receiver
}

/// A port of this machine that nobody listens on.
///
/// The tools cannot say which port they chose, so it has to be chosen for them.
pub(super) fn free_port() -> Check<u16> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0");
    let address = listener.and_then(|listener| listener.local_addr());
    address.map(|address| address.port()).map_err(|error| format!("no free port: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interop::cell::{Cell, Outcome};
    use std::path::Path;
    use std::sync::Arc;

    #[tokio::test]
    async fn a_cell_that_runs_out_of_time_leaves_no_child_behind() {
        let (sender, mut pid) = mpsc::channel(1);
        let cell = Cell::new("a", "b", &[], move |context: Context| {
            let sender = sender.clone();
            async move {
                let mut command = Command::new("sleep");
                command.arg("600");
                let mut child = Child::start(&context.log, "sleep", command)?;
                sender.try_send(child.process.id()).map_err(|_| "nobody listens")?;
                child.next_line().await;
                Ok(String::new())
            }
        });
        let finished = cell.within(Duration::from_millis(200)).run(&Arc::default()).await;
        assert!(matches!(finished.outcome, Outcome::Failed { .. }));
        let process = format!("/proc/{}", pid.recv().await.unwrap().unwrap());
        // It is reaped in the background.
        while Path::new(&process).exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
