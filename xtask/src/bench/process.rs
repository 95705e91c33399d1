//! Worker processes as the driver sees them.

use super::Result;
use super::messages::{Command, End, Latency, Reply, Window};
use super::protocol::Task;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command as Process, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// How long a worker may take to answer, beyond the time it was told to take.
const PATIENCE: Duration = Duration::from_secs(40);

/// A running worker. It ends with its input, at the latest when this is dropped.
pub(super) struct Worker {
    child: Child,
    input: Option<ChildStdin>,
    replies: Receiver<String>,
    /// Where it listens.
    pub(super) url: Option<String>,
}

impl Worker {
    /// Starts this program again, as a worker, and waits until it is ready.
    pub(super) fn start(task: &Task) -> Result<Self> {
        let mut program = Process::new(std::env::current_exe()?);
        program.arg("bench-worker").arg(serde_json::to_string(task)?);
        Self::run(program)
    }

    /// Starts a program that does what a worker does.
    pub(super) fn run(mut program: Process) -> Result<Self> {
        let mut child = program.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = child.stdin.take();
        let output = child.stdout.take().ok_or("a worker without output")?;
        let mut worker = Self { child, input, replies: lines(output), url: None };
        match worker.reply(0.0)? {
            Reply::Ready { url } => worker.url = url,
            other => return Err(unexpected(&other)),
        }
        Ok(worker)
    }

    /// Where the worker listens; for workers that do.
    pub(super) fn url(&self) -> Result<String> {
        self.url.clone().ok_or_else(|| "the worker does not listen".into())
    }

    pub(super) fn tell(&mut self, command: &Command) -> Result<()> {
        let input = self.input.as_mut().ok_or("the worker has been stopped")?;
        let mut line = serde_json::to_vec(command)?;
        line.push(b'\n');
        Ok(input.write_all(&line)?)
    }

    fn reply(&self, seconds: f64) -> Result<Reply> {
        let patience = PATIENCE + Duration::from_secs_f64(seconds);
        match serde_json::from_str(&next_line(&self.replies, patience)?)? {
            Reply::Failed(what) => Err(what.into()),
            reply => Ok(reply),
        }
    }

    /// The answer to a command that counts for this many seconds.
    pub(super) fn window(&self, seconds: f64) -> Result<Window> {
        match self.reply(seconds)? {
            Reply::Window(window) => Ok(window),
            other => Err(unexpected(&other)),
        }
    }

    pub(super) fn measure(&mut self, warm_up: f64, seconds: f64) -> Result<Window> {
        self.tell(&Command::Measure { warm_up, seconds })?;
        self.window(warm_up + seconds)
    }

    pub(super) fn ping(&mut self, rate: Option<f64>, seconds: f64) -> Result<Latency> {
        self.tell(&Command::Ping { rate, seconds })?;
        match self.reply(seconds)? {
            Reply::Latency(latency) => Ok(latency),
            other => Err(unexpected(&other)),
        }
    }

    pub(super) fn memory(&mut self) -> Result<u64> {
        self.tell(&Command::Memory)?;
        match self.reply(0.0)? {
            Reply::Memory(bytes) => Ok(bytes),
            other => Err(unexpected(&other)),
        }
    }

    /// Lets the worker end.
    pub(super) fn stop(mut self) -> Result<End> {
        drop(self.input.take());
        match self.reply(0.0)? {
            Reply::End(end) => Ok(end),
            other => Err(unexpected(&other)),
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Measures the same time in several workers.
pub(super) fn measure(
    workers: &mut [&mut Worker],
    warm_up: f64,
    seconds: f64,
) -> Result<Vec<Window>> {
    for worker in &mut *workers {
        worker.tell(&Command::Measure { warm_up, seconds })?;
    }
    workers.iter().map(|worker| worker.window(warm_up + seconds)).collect()
}

/// The lines that a process prints, as they come.
pub(super) fn lines(output: ChildStdout) -> Receiver<String> {
    let (sender, lines) = channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(std::io::Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// The next line; an error if there is none within this time.
pub(super) fn next_line(lines: &Receiver<String>, patience: Duration) -> Result<String> {
    lines.recv_timeout(patience).map_err(|error| match error {
        RecvTimeoutError::Timeout => format!("a process said nothing for {patience:?}").into(),
        RecvTimeoutError::Disconnected => "a process ended unexpectedly".into(),
    })
}

fn unexpected(reply: &Reply) -> Box<dyn std::error::Error + Send + Sync> {
    format!("unexpected answer of a worker: {reply:?}").into()
}
