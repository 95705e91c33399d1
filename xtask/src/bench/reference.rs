//! The C++ Broker column: the programs of the C++ implementation, as they are.

use super::process::{lines, next_line};
use super::scenario::{Context, Sample, describe};
use super::shape::Shape;
use super::worker::Recorder;
use super::{Result, usage};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Receiver;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Time for a listener to come up; the programs do not say when they have.
const START: Duration = Duration::from_millis(500);

/// The publisher's peer buffer. With the default of 2048 messages the publisher cuts the peering
/// within seconds, because it is faster than its peer. With an unlimited one it never does, and
/// what the subscriber receives per second is the most that the pair moves without loss.
const BUFFER: &str = "--peer-buffer-size=100000000";

/// One-second reports of the subscriber that come before the ones that count.
const SKIPPED: usize = 2;

/// How long a program may be silent.
const PATIENCE: Duration = Duration::from_secs(30);

/// A directory with the programs.
pub(super) struct Reference {
    directory: PathBuf,
}

impl Reference {
    /// # Errors
    ///
    /// There are no such programs.
    pub(super) fn new(directory: &Path) -> Result<Self> {
        for program in ["broker-throughput", "broker-node"] {
            if !directory.join(program).is_file() {
                return Err(format!("{} has no {program}", directory.display()).into());
            }
        }
        Ok(Self { directory: std::path::absolute(directory)? })
    }

    fn start(&self, program: &str, arguments: &[String]) -> Result<Program> {
        let mut child = Command::new(self.directory.join(program))
            .arg("--disable-ssl")
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let output = child.stdout.take().ok_or("a program without output")?;
        Ok(Program { child, lines: lines(output) })
    }

    /// Messages per second from one process to another; each report of the subscriber is a run.
    pub(super) fn throughput(&self, shape: Shape, context: &Context) -> Result<Vec<Sample>> {
        let event = match shape {
            Shape::Small => "1",
            Shape::Conn => "2",
            Shape::Table => "3",
            Shape::Raw(_) => return Ok(Vec::new()),
        };
        let at = free_address()?;
        let arguments = |more: &[&str]| -> Vec<String> {
            more.iter().map(|part| (*part).to_owned()).chain([at.clone()]).collect()
        };
        let server = self.start("broker-throughput", &arguments(&["--server", "--verbose"]))?;
        sleep(START);
        let event = format!("--event-type={event}");
        let client = ["--batch-rate=0", "--verbose", &event, BUFFER];
        let mut client = self.start("broker-throughput", &arguments(&client))?;
        let reports = context.seconds.ceil().max(2.0) as usize;
        for _ in 0..SKIPPED {
            server.rate()?;
        }
        let mut samples = Vec::new();
        for _ in 0..reports {
            if client.has_ended()? {
                return Err("broker-throughput ended early".into());
            }
            let before = server.cpu()? + client.cpu()?;
            let value = server.rate()?;
            let cpu = (server.cpu()? + client.cpu()? - before).as_secs_f64();
            samples.push(Sample {
                value,
                cpu_per_million: Some(cpu / value * 1e6),
                peak_memory: Some(server.peak()?.max(client.peak()?)),
                ..Sample::default()
            });
        }
        Ok(samples)
    }

    /// Round trips, one after the other.
    pub(super) fn ping_pong(&self, context: &Context) -> Result<Vec<Sample>> {
        let at = free_address()?;
        let port = at.rsplit_once(':').map_or("", |(_, port)| port);
        let arguments = |more: &[String]| [&["--topics=\"/benchmark\"".to_owned()], more].concat();
        let listen = [format!("--port={port}"), "--mode=pong".to_owned()];
        let pong = self.start("broker-node", &arguments(&listen))?;
        sleep(START);
        // About as many as fit into the time, at a tenth of a millisecond each.
        let count = ((context.warm_up + context.seconds) * 10_000.0) as usize;
        let dial = [
            "--mode=ping".to_owned(),
            format!("--peers=<tcp://{at}>"),
            format!("--num-messages={count}"),
        ];
        let ping = self.start("broker-node", &arguments(&dial))?;
        let mut recorder = Recorder::default();
        let warm_up = (context.warm_up * 10_000.0) as usize;
        for number in 0..count {
            let time = Duration::from_nanos(ping.line()?.trim().parse()?);
            if number >= warm_up {
                recorder.record(time);
            }
        }
        let latency = recorder.latency();
        let mut details = BTreeMap::new();
        describe(&latency, &mut details);
        let peak_memory = Some(pong.peak()?);
        Ok(vec![Sample { value: latency.p50, peak_memory, details, ..Sample::default() }])
    }

    /// Deliveries per second to subscribers in the same process: the difference between a long and
    /// a short run of `broker-fan-out-benchmark`, which has no output of its own.
    pub(super) fn fan_out(&self, subscribers: usize) -> Result<Vec<Sample>> {
        if !self.directory.join("broker-fan-out-benchmark").is_file() {
            return Ok(Vec::new());
        }
        let (few, many) = (500, 500 + 100_000 / subscribers);
        let short = self.fan_out_time(subscribers, few)?;
        let long = self.fan_out_time(subscribers, many)?;
        let seconds = long.saturating_sub(short).as_secs_f64().max(1e-3);
        let value = ((many - few) * subscribers) as f64 / seconds;
        Ok(vec![Sample { value, ..Sample::default() }])
    }

    fn fan_out_time(&self, subscribers: usize, messages: usize) -> Result<Duration> {
        // Options do not reach the subscribers; this file, in the working directory, does.
        let directory = std::env::temp_dir().join(format!("fan-out-{}", std::process::id()));
        std::fs::create_dir_all(&directory)?;
        let options = "broker {\n disable-ssl = true\n peer-buffer-size = 100000000\n}\n";
        std::fs::write(directory.join("caf-application.conf"), options)?;
        let began = Instant::now();
        // 44 bytes make a frame as large as that of a small event.
        let status = Command::new(self.directory.join("broker-fan-out-benchmark"))
            .arg(format!("--peer-count={subscribers}"))
            .arg(format!("--message-count={messages}"))
            .arg("--payload-size=44")
            .current_dir(&directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
        let time = began.elapsed();
        std::fs::remove_dir_all(&directory)?;
        if status.success() { Ok(time) } else { Err(format!("fan-out: {status}").into()) }
    }

    /// What the directory holds, for the report.
    pub(super) fn name(&self) -> OsString {
        self.directory.clone().into_os_string()
    }
}

/// A port that was free a moment ago: the programs do not say which one they got.
fn free_address() -> Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

/// A running program.
struct Program {
    child: Child,
    lines: Receiver<String>,
}

impl Program {
    fn line(&self) -> Result<String> {
        next_line(&self.lines, PATIENCE)
    }

    /// The next line `rate: N events/s`.
    fn rate(&self) -> Result<f64> {
        loop {
            let line = self.line()?;
            let number = line.strip_prefix("rate: ").and_then(|rest| rest.split(' ').next());
            if let Some(number) = number {
                return Ok(number.parse()?);
            }
        }
    }

    fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    fn cpu(&self) -> Result<Duration> {
        usage::cpu_time_of(self.child.id())
    }

    fn peak(&self) -> Result<u64> {
        usage::peak(self.child.id())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
