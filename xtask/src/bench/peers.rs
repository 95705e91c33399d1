//! The columns of NATS and Zenoh: programs of the package in `xtask/peers`, which is no member of
//! the workspace, because nobody who builds this project should have to build those.

use super::Result;
use super::process::Worker;
use super::scenario::{Column, Flow, Line, Pair};
use crate::release;
use serde_json::json;
use std::env;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

/// How often a server that comes up is tried, every 10 ms.
const TRIES: usize = 500;

/// The program that publishes and receives with other systems.
pub(super) struct Peers {
    program: PathBuf,
}

impl Peers {
    /// Builds the program.
    pub(super) fn new() -> Result<Self> {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/Cargo.toml");
        let manifest = manifest.to_str().ok_or("this directory has no name in UTF-8")?;
        let program = release::build(&["--release", "--manifest-path", manifest])?;
        Ok(Self { program })
    }

    /// Starts a `nats-server`.
    pub(super) fn nats_server(&self) -> Result<Server> {
        let program = env::var_os("NATS_SERVER").unwrap_or_else(|| "nats-server".into());
        let port = free_port()?;
        let child = Command::new(&program)
            .args(["-a", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        let server = Server { child, at: format!("127.0.0.1:{port}") };
        for _ in 0..TRIES {
            if TcpStream::connect(&server.at).is_ok() {
                return Ok(server);
            }
            sleep(Duration::from_millis(10));
        }
        Err("nats-server does not come up".into())
    }

    fn start(&self, task: &serde_json::Value) -> Result<Worker> {
        let mut program = Command::new(&self.program);
        program.arg(task.to_string());
        Worker::run(program)
    }

    /// Publisher and subscribers, and a router between them if the flow has a hub. `at` is the
    /// server of a system that has one.
    pub(super) fn line(
        &self,
        system: &str,
        at: &str,
        size: usize,
        flow: &Flow,
        threads: usize,
    ) -> Result<Line> {
        let at = if at.is_empty() { format!("127.0.0.1:{}", free_port()?) } else { at.to_owned() };
        let task = |role: &str| {
            json!({
                "system": system, "role": role, "at": at, "size": size, "threads": threads,
                "subscribers": flow.subscribers,
                "in_flight": flow.window(), "router": flow.hub,
            })
        };
        let hub = match flow.hub && system == "zenoh" {
            true => Some(self.start(&task("router"))?),
            false => None,
        };
        let sender = self.start(&task("publish"))?;
        let receiver = self.start(&task("subscribe"))?;
        Ok(Line { sender, hub, receiver })
    }

    /// Two ends of a round trip.
    pub(super) fn pings(&self, column: Column, threads: usize) -> Result<Pair> {
        let server = match column {
            Column::Nats => Some(self.nats_server()?),
            _ => None,
        };
        let (system, at) = match &server {
            Some(server) => ("nats", server.at().to_owned()),
            None => ("zenoh", format!("127.0.0.1:{}", free_port()?)),
        };
        let task = |role: &str| {
            json!({
                "system": system, "role": role, "at": at, "size": 16, "threads": threads,
                "subscribers": 1, "in_flight": 1, "router": false,
            })
        };
        let pong = self.start(&task("pong"))?;
        Ok(Pair { ping: self.start(&task("ping"))?, pong, server })
    }
}

/// A server of another system; it ends when this is dropped.
pub(super) struct Server {
    child: Child,
    at: String,
}

impl Server {
    pub(super) fn at(&self) -> &str {
        &self.at
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
