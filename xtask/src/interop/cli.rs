//! The program of this repository, as a user starts it.

use super::cell::{Check, Context, ensure};
use super::child::Child;
use serde_json::Value as Json;
use tokio::process::Command;

/// A running `broker-cli`, whose output is JSON.
pub(super) struct Cli {
    pub(super) child: Child,
}

impl Cli {
    pub(super) fn start(context: &Context, args: &[&str]) -> Check<Self> {
        let mut command = Command::new(context.places.cli());
        command.args(args);
        context.log.note("broker-cli", format_args!("started with {}", args.join(" ")));
        Ok(Self { child: Child::start(&context.log, "broker-cli", command)? })
    }

    /// Runs it to its end, which has to be success, and returns what it prints.
    pub(super) async fn run(context: &Context, args: &[&str]) -> Check<Vec<Json>> {
        Self::start(context, args)?.finish().await
    }

    /// Ends its input and waits until it has ended, which has to be success.
    pub(super) async fn finish(mut self) -> Check<Vec<Json>> {
        self.child.end_input();
        let mut lines = Vec::new();
        while let Some(line) = self.child.next_line().await {
            lines.push(parse(&line)?);
        }
        let status = self.child.ended().await?;
        ensure(status.success(), format!("broker-cli ended with {status}"))?;
        Ok(lines)
    }

    /// The next line.
    pub(super) async fn line(&mut self) -> Check<Json> {
        parse(&self.child.line().await?.ok_or("broker-cli has ended")?)
    }

    /// Waits for a line of this type, and skips others.
    pub(super) async fn event(&mut self, kind: &str) -> Check<Json> {
        loop {
            let line = self.line().await.map_err(|error| format!("{error}, no {kind}"))?;
            if line["type"] == kind {
                return Ok(line);
            }
        }
    }

    /// Waits until it listens, and says where.
    pub(super) async fn listening(&mut self) -> Check<(String, u16)> {
        let line = self.event("listening").await?;
        let url = line["url"].as_str().unwrap_or_default().to_owned();
        let port = url.rsplit(':').next().and_then(|port| port.parse().ok());
        Ok((url.clone(), port.ok_or_else(|| format!("no port in {url:?}"))?))
    }
}

fn parse(line: &[u8]) -> Check<Json> {
    serde_json::from_slice(line)
        .map_err(|_| format!("broker-cli says {:?}", String::from_utf8_lossy(line)))
}
