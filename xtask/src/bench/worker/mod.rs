//! The worker processes: everything that publishes, subscribes and passes on while the driver
//! measures.

mod crowd;
mod latency;
mod meter;
mod node;
mod publish;
mod subscribe;

pub(super) use latency::{Recorder, Schedule};
pub(super) use meter::{Counter, Meter};
pub(super) use node::schemes;

use super::messages::{Command, End, Latency, Load, Reply, Window};
use super::protocol::{Role, Task};
use super::{Result, floor, instructions, usage};
use std::io::{BufRead, Write};
use std::thread;
use std::time::{Duration, Instant};
use tokio::runtime::{Builder, Handle, Runtime};

/// A role while it is played. What a role has no answer to is an error of the driver.
pub(super) trait Running {
    /// Where it can be reached.
    fn url(&self) -> Option<String> {
        None
    }

    /// Messages so far.
    fn count(&self) -> u64 {
        0
    }

    /// Messages that were dropped so far.
    fn lost(&self) -> u64 {
        0
    }

    fn start(&mut self) -> Result<()> {
        Err("this role starts by itself".into())
    }

    fn stop(&mut self) -> Result<()> {
        Err("this role does not stop before its end".into())
    }

    fn load(&mut self, _load: Load) -> Result<()> {
        Err("this role makes no load".into())
    }

    fn ping(&mut self, _rate: Option<f64>, _time: Duration) -> Result<Latency> {
        Err("this role sends no pings".into())
    }

    fn dial(&mut self, _url: &str) -> Result<Window> {
        Err("this role dials nobody".into())
    }
}

/// Plays a role until the input ends.
pub(super) fn work(task: Task) -> Result<()> {
    if let Role::Repeat { what, times } = &task.role {
        return instructions::repeat(what, *times);
    }
    let runtime = runtime(task.threads)?;
    let handle = runtime.handle().clone();
    // The commands are read on this thread, so that a busy runtime does not delay them; somebody
    // else has to drive a runtime that has no threads of its own.
    thread::spawn(move || runtime.block_on(std::future::pending::<()>()));
    let outcome = play(task.role, &handle);
    if let Err(error) = &outcome {
        say(&Reply::Failed(error.to_string()))?;
    }
    Ok(())
}

fn runtime(threads: usize) -> Result<Runtime> {
    let runtime = match threads {
        0 => Builder::new_current_thread().enable_all().build(),
        threads => Builder::new_multi_thread().worker_threads(threads).enable_all().build(),
    };
    Ok(runtime?)
}

fn play(role: Role, handle: &Handle) -> Result<()> {
    let mut running = begin(role, handle)?;
    say(&Reply::Ready { url: running.url() })?;
    for line in std::io::stdin().lock().lines() {
        obey(serde_json::from_str(&line?)?, running.as_mut())?;
    }
    let peak_memory = usage::peak(std::process::id())?;
    say(&Reply::End(End { peak_memory, lost: running.lost() }))
}

fn begin(role: Role, handle: &Handle) -> Result<Box<dyn Running>> {
    let handle = handle.clone();
    match role {
        Role::Publish(task) => publish::begin(task, handle),
        Role::Subscribe(task) => subscribe::begin(task, &handle),
        Role::Hub(node) => node::hub(&node, &handle),
        Role::Pong(node) => latency::pong(&node, &handle),
        Role::Ping(node) => latency::ping(&node, handle),
        Role::Crowd(node) => crowd::begin(&node, handle),
        Role::FloorSend { shape, connections, encode } => {
            floor::send(shape, connections, encode, handle)
        }
        Role::FloorSplit { at, connections, check } => {
            floor::split(at, connections, check, &handle)
        }
        Role::FloorRelay { at } => floor::relay(at, &handle),
        Role::FloorPong => floor::pong(&handle),
        Role::FloorPing { at } => floor::ping(at, handle),
        Role::FloorCrowd { connections } => Ok(floor::crowd(connections, handle)),
        Role::Repeat { .. } => Err("not a role that is played".into()),
    }
}

fn obey(command: Command, running: &mut dyn Running) -> Result<()> {
    match command {
        Command::Start => running.start(),
        Command::Stop => running.stop(),
        Command::Measure { warm_up, seconds } => {
            thread::sleep(Duration::from_secs_f64(warm_up));
            say(&Reply::Window(measure(running, Duration::from_secs_f64(seconds))))
        }
        Command::Load(load) => running.load(load),
        Command::Ping { rate, seconds } => {
            let cpu = usage::cpu_time();
            let mut latency = running.ping(rate, Duration::from_secs_f64(seconds))?;
            latency.cpu_seconds = (usage::cpu_time() - cpu).as_secs_f64();
            say(&Reply::Latency(latency))
        }
        Command::Dial(url) => say(&Reply::Window(running.dial(&url)?)),
        Command::Memory => say(&Reply::Memory(usage::resident(std::process::id())?)),
    }
}

fn measure(running: &dyn Running, time: Duration) -> Window {
    let (began, cpu, count) = (Instant::now(), usage::cpu_time(), running.count());
    thread::sleep(time);
    Window {
        seconds: began.elapsed().as_secs_f64(),
        count: running.count() - count,
        cpu_seconds: (usage::cpu_time() - cpu).as_secs_f64(),
    }
}

fn say(reply: &Reply) -> Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, reply)?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}

/// Ends the worker because it cannot go on.
pub(super) fn give_up(what: &str) -> ! {
    // If the driver is gone as well, there is nobody left to tell.
    let _ = say(&Reply::Failed(what.to_owned()));
    std::process::exit(1)
}
