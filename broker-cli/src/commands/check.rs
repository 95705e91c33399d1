use crate::failure::{Exit, Failure};
use crate::http::{self, DEFAULT, HttpAddress, Status};
use crate::options::{OutputOptions, seconds};
use crate::output::{Format, Need, Output};
use clap::Args;
use std::time::Duration;

/// Check a running node, for monitoring in the manner of Nagios
///
/// Prints one line, with the numbers behind a bar, and ends with 0 (OK), 1 (WARNING: a peer that is
/// dialled is missing, or a queue is old), 2 (CRITICAL: fewer peers than there have to be, or more
/// drops than there may be) or 3 (UNKNOWN: the node cannot be asked).
#[derive(Args)]
pub(crate) struct Check {
    /// Where the node tells about itself: what it was given with --http
    #[arg(long, value_name = "ADDR", default_value = DEFAULT)]
    http: HttpAddress,

    /// Fewer peers than this are critical [default: 0]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    min_peers: usize,

    /// More dropped messages of peers that are there are critical [default: any number is fine]
    #[arg(long, value_name = "N")]
    max_dropped: Option<u64>,

    /// An older message in a queue is a warning [default: 10]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    max_age: Option<Duration>,

    #[command(flatten)]
    output: OutputOptions,
}

impl Check {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let (exit, word, text) = match http::status(&self.http).await {
            Ok(status) => self.judge(&status),
            Err(failure) => (Exit::CannotConnect, "UNKNOWN", failure.to_string()),
        };
        let mut out = Output::new(Format::Text, Need::Output)?;
        match self.output.format() {
            Format::Text => out.text(format!("{word}: {text}\n").as_bytes()),
            _ => out.json(&serde_json::json!({ "type": "check", "status": word, "text": text })),
        }
        out.flush().await?;
        match exit {
            Exit::Ok => Ok(()),
            exit => Err(Failure::new(exit, "")),
        }
    }

    fn judge(&self, status: &Status) -> (Exit, &'static str, String) {
        let statistics = || status.peers.iter().filter_map(|peer| peer.statistics.as_ref());
        let dropped: u64 = statistics().map(|stats| stats.dropped).sum();
        let oldest = statistics().map(|stats| stats.oldest).fold(0.0, f64::max);
        let peers = status.native_connections;
        let missing: Vec<&str> = status
            .peers
            .iter()
            .filter(|peer| peer.id.is_none())
            .map(|peer| peer.address.as_str())
            .collect();
        let mut critical = Vec::new();
        let mut warnings = Vec::new();
        if peers < self.min_peers {
            critical.push(format!("{peers} peers of {}", self.min_peers));
        }
        if self.max_dropped.is_some_and(|most| dropped > most) {
            critical.push(format!("{dropped} messages dropped"));
        }
        if status.draining {
            warnings.push("the node is draining".to_owned());
        }
        if !missing.is_empty() {
            warnings.push(format!("not peered with {}", missing.join(", ")));
        }
        if oldest > self.max_age.unwrap_or(Duration::from_secs(10)).as_secs_f64() {
            warnings.push(format!("a message has waited for {oldest:.1} s"));
        }
        let numbers = format!(
            "peers={peers} clients={} dropped={dropped} oldest={oldest:.3}s",
            status.web_socket_connections
        );
        let (exit, word) = match (critical.is_empty(), warnings.is_empty()) {
            (true, true) => (Exit::Ok, "OK"),
            (true, false) => (Exit::Failure, "WARNING"),
            (false, _) => (Exit::Usage, "CRITICAL"),
        };
        let mut all = [critical, warnings].concat();
        if all.is_empty() {
            all.push(format!("{peers} peers"));
        }
        (exit, word, format!("{} | {numbers}", all.join("; ")))
    }
}
