//! Peers that are told what to do, and tell what happens, in one JSON object per line: the module
//! of the C++ Broker with a script around it, and `interop/peer.py`.

use super::cell::{Check, Context, Mode};
use super::child::Child;
use super::needs::root;
use serde_json::{Value as Json, json};
use std::process::ExitStatus;
use tokio::process::Command;

/// A running peer.
pub(super) struct Script {
    pub(super) child: Child,
    name: &'static str,
}

impl Script {
    /// The C++ Broker, which listens on a port or dials it.
    pub(super) fn cpp(context: &Context, role: &str, port: u16, topics: &[&str]) -> Check<Self> {
        let (python, module) =
            context.places.cpp_module().ok_or("there is no module of the C++ Broker")?;
        let mut command = Command::new(python);
        command.env("PYTHONPATH", module).env_remove("BROKER_PORT");
        command.arg(root().join("xtask/src/interop/scripts/cpp_endpoint.py"));
        command.args([role, &format!("127.0.0.1:{port}")]);
        if context.mode == Mode::Plain {
            command.arg("--plain");
        }
        for topic in topics {
            command.args(["--topic", topic]);
        }
        Self::start(context, "C++ Broker", command)
    }

    /// The minimal peer of this repository.
    pub(super) fn minimal(context: &Context, role: &str, port: u16, args: &[&str]) -> Check<Self> {
        let mut command = Command::new(context.places.python());
        command.current_dir(root()).arg("interop/peer.py");
        command.args([role, &format!("127.0.0.1:{port}"), "--timeout", "60"]);
        if context.mode == Mode::Anonymous {
            command.arg("--tls");
        }
        command.args(args);
        Self::start(context, "peer.py", command)
    }

    fn start(context: &Context, name: &'static str, command: Command) -> Check<Self> {
        Ok(Self { child: Child::start(&context.log, name, command)?, name })
    }

    /// Tells it to do something, with the members of an object.
    pub(super) async fn tell(&mut self, what: &str, mut members: Json) -> Check {
        if let Some(object) = members.as_object_mut() {
            object.insert("do".to_owned(), json!(what));
        }
        self.child.say(&members.to_string()).await
    }

    /// Waits for the next event of this kind, and skips others.
    pub(super) async fn event(&mut self, kind: &str) -> Check<Json> {
        loop {
            let line = self.child.line().await.map_err(|error| format!("{error}, no {kind}"))?;
            let line = line.ok_or_else(|| format!("{} ended without {kind}", self.name))?;
            let event: Json = serde_json::from_slice(&line)
                .map_err(|_| format!("{} says {:?}", self.name, String::from_utf8_lossy(&line)))?;
            match &event["event"] {
                Json::String(found) if found == kind => return Ok(event),
                Json::String(found) if found == "error" => {
                    return Err(format!("{}: {event}", self.name));
                }
                _ => {}
            }
        }
    }

    /// Waits until it listens; the port is the one that it really has.
    pub(super) async fn listening(&mut self) -> Check<u16> {
        let event = self.event("listening").await?;
        let port = event["address"].as_str().and_then(|address| address.rsplit(':').next());
        port.and_then(|port| port.parse().ok()).ok_or_else(|| format!("no address in {event}"))
    }

    /// Waits for this status of the C++ Broker, and skips others.
    pub(super) async fn status(&mut self, code: &str) -> Check<Json> {
        let until = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
        while tokio::time::Instant::now() < until {
            let event = self.event("status").await?;
            if event["code"] == code {
                return Ok(event);
            }
        }
        Err(format!("{} does not say {code}", self.name))
    }

    pub(super) async fn ended(&mut self) -> Check<ExitStatus> {
        self.child.ended().await
    }

    pub(super) async fn kill(self) -> Check {
        self.child.kill().await
    }
}
