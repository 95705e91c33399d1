//! Publishers, subscribers and pings of other systems, told what to do by `cargo xtask bench
//! --peers` in the way in which it talks to its own workers.

#[path = "../../src/bench/messages.rs"]
#[allow(dead_code)]
mod messages;
mod nats;
#[path = "../../src/bench/usage.rs"]
#[allow(dead_code)]
mod usage;
mod zenoh_peer;

use messages::{Command, End, Latency, Reply, Window};
use serde::Deserialize;
use std::io::{BufRead, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Handle};
use tokio::sync::watch;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// What this process is.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Task {
    system: System,
    role: Role,
    /// Host and port: of the server, the router or the first process.
    at: String,
    /// Bytes of each payload.
    size: usize,
    /// Threads of the runtime.
    threads: usize,
    subscribers: usize,
    /// How far a publisher may be ahead where nobody else makes it wait.
    in_flight: u64,
    /// Whether there is a router at the address.
    router: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum System {
    Nats,
    Zenoh,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Role {
    Publish,
    Subscribe,
    Router,
    Ping,
    Pong,
}

/// What the tasks of a role and the driver share.
#[derive(Clone)]
struct Stage {
    /// Messages so far.
    count: Arc<AtomicU64>,
    go: watch::Sender<bool>,
    /// One ping after the other while this is true; how long each took.
    pings: Arc<std::sync::Mutex<Vec<Duration>>>,
    pinging: watch::Sender<bool>,
}

impl Stage {
    fn add(&self, count: u64) {
        self.count.fetch_add(count, Relaxed);
    }

    async fn started(&self) {
        // The sender is in here.
        let _ = self.go.subscribe().wait_for(|go| *go).await;
    }

    async fn pinging(&self) {
        let _ = self.pinging.subscribe().wait_for(|pinging| *pinging).await;
    }

    fn note(&self, time: Duration) {
        if let Ok(mut pings) = self.pings.lock() {
            pings.push(time);
        }
    }
}

fn main() -> ExitCode {
    match play() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If the driver is gone as well, there is nobody left to tell.
            let _ = say(&Reply::Failed(error.to_string()));
            ExitCode::FAILURE
        }
    }
}

fn play() -> Result<()> {
    let task = std::env::args().nth(1).ok_or("no task")?;
    let task: Task = serde_json::from_str(&task)?;
    let threads = task.threads.max(1);
    let runtime = Builder::new_multi_thread().worker_threads(threads).enable_all().build()?;
    let stage = Stage {
        count: Arc::default(),
        go: watch::Sender::new(false),
        pings: Arc::default(),
        pinging: watch::Sender::new(false),
    };
    begin(&task, &stage, runtime.handle())?;
    say(&Reply::Ready { url: None })?;
    for line in std::io::stdin().lock().lines() {
        obey(serde_json::from_str(&line?)?, &stage)?;
    }
    say(&Reply::End(End { peak_memory: usage::peak(std::process::id())?, lost: 0 }))?;
    // Sessions are not closed in an orderly way: what is measured is over.
    std::process::exit(0)
}

fn begin(task: &Task, stage: &Stage, handle: &Handle) -> Result<()> {
    let (task, stage) = (task.clone(), stage.clone());
    handle.block_on(async move {
        match task.system {
            System::Nats => nats::begin(task, stage).await,
            System::Zenoh => zenoh_peer::begin(task, stage).await,
        }
    })
}

fn obey(command: Command, stage: &Stage) -> Result<()> {
    match command {
        Command::Start => {
            stage.go.send_replace(true);
            Ok(())
        }
        Command::Measure { warm_up, seconds } => {
            std::thread::sleep(Duration::from_secs_f64(warm_up));
            let (began, cpu, count) =
                (Instant::now(), usage::cpu_time(), stage.count.load(Relaxed));
            std::thread::sleep(Duration::from_secs_f64(seconds));
            say(&Reply::Window(Window {
                seconds: began.elapsed().as_secs_f64(),
                count: stage.count.load(Relaxed) - count,
                cpu_seconds: (usage::cpu_time() - cpu).as_secs_f64(),
            }))
        }
        Command::Ping { seconds, .. } => {
            let cpu = usage::cpu_time();
            stage.pinging.send_replace(true);
            std::thread::sleep(Duration::from_secs_f64(seconds));
            stage.pinging.send_replace(false);
            let times = stage.pings.lock().map(|mut times| std::mem::take(&mut *times));
            let cpu_seconds = (usage::cpu_time() - cpu).as_secs_f64();
            say(&Reply::Latency(latency(times.unwrap_or_default(), cpu_seconds)))
        }
        other => Err(format!("{other:?} is not for this program").into()),
    }
}

fn latency(mut times: Vec<Duration>, cpu_seconds: f64) -> Latency {
    times.sort_unstable();
    let at = |share: f64| {
        let rank = (times.len() as f64 * share) as usize;
        let time = times.get(rank.min(times.len().saturating_sub(1)));
        time.map_or(0.0, |time| time.as_secs_f64() * 1e6)
    };
    Latency {
        count: times.len() as u64,
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        p999: at(0.999),
        max: at(1.0),
        cpu_seconds,
    }
}

fn say(reply: &Reply) -> Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, reply)?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}

/// Ends the program because it cannot go on.
fn give_up(what: &str) -> ! {
    let _ = say(&Reply::Failed(what.to_owned()));
    std::process::exit(1)
}
