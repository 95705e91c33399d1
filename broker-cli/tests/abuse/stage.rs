use crate::attacker::Attacker;
use crate::common::{Cli, Signal, within};
use crate::healthy::Healthy;
use broker::Address;
use serde_json::Value as Json;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tempfile::NamedTempFile;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::ChildStdout;
use tokio::sync::watch;

pub(crate) const HALF_OPEN: usize = 64;
pub(crate) const FRAME: usize = 4 << 20;
const HANDSHAKE_FRAME: usize = 64 << 10;
const OUTBOX: usize = 1 << 20;

/// What a connection reads ahead, and takes to write at once.
const BUFFERS: usize = (64 + 256) << 10;

/// What the node needs for itself: threads, the allocator, the events that wait to be read.
const SLACK: usize = 16 << 20;

/// A node with small limits and a healthy pair of peers.
pub(crate) struct Stage {
    node: Cli,
    pub(crate) healthy: Healthy,
    pub(crate) at: SocketAddr,
    /// Where the other listeners are.
    pub(crate) also_at: Vec<SocketAddr>,
    events: watch::Receiver<Vec<Json>>,
    memory_before: usize,
    files_before: usize,
    _config: NamedTempFile,
}

/// The keys in the table `limits` that every node here has.
fn limits() -> String {
    format!(
        "half-open = {HALF_OPEN}\nframe = {FRAME}\nhandshake-frame = {HANDSHAKE_FRAME}\n\
         outbox-bytes = {OUTBOX}\noutbox-control-bytes = 65536\nbad-messages = 16\n\
         stalled-write = 1.0\nlinger = 0.5\nbye = 2.0\nremembered-peers = 64\n"
    )
}

impl Stage {
    /// Every event is shown, so that every attacker's reason is.
    pub(crate) async fn set() -> Self {
        Self::with("handshake-time = 2.0\nlog-burst = 1000000\n", &[]).await
    }

    /// With these keys as well, and started by this command.
    pub(crate) async fn with(keys: &str, command: &[&str]) -> Self {
        Self::at(&[], keys, command).await
    }

    /// With these listeners as well, each of which has its own places.
    pub(crate) async fn at(listeners: &[[&str; 2]], keys: &str, command: &[&str]) -> Self {
        let mut config = NamedTempFile::new().unwrap();
        let id = "11111111-1111-4111-8111-111111111111";
        let text = format!(
            "endpoint-id = {id:?}\nlog-level = \"info\"\nforward = [\"/\"]\n[limits]\n{}{keys}",
            limits()
        );
        config.write_all(text.as_bytes()).unwrap();
        let file = config.path().to_str().unwrap();
        let args = ["node", "--listen", "127.0.0.1:0", "--events", "--config", file];
        let mut node = Cli::start_by(command, &[&args, &listeners.concat()[..]].concat());
        let url: Address = node.listening().await.parse().unwrap();
        let mut also_at = Vec::new();
        for _ in listeners {
            let url: Address = node.listening().await.parse().unwrap();
            also_at.push(url.host_and_port().parse().unwrap());
        }
        let events = collect(node.stdout.take().unwrap());
        let healthy = Healthy::start(&url).await;
        let at = url.host_and_port().parse().unwrap();
        let mut stage = Self {
            node,
            healthy,
            at,
            also_at,
            events,
            memory_before: 0,
            files_before: 0,
            _config: config,
        };
        stage.healthy.is_served().await;
        (stage.memory_before, stage.files_before) = (stage.status("VmRSS"), stage.files());
        stage
    }

    pub(crate) async fn attacker(&self) -> Attacker {
        Attacker::connect(self.at).await
    }

    pub(crate) async fn peer(&self, number: u32, topics: &[&str]) -> Attacker {
        self.attacker().await.peer(number, topics).await
    }

    /// Waits until there is an event that says all of this.
    pub(crate) async fn said(&mut self, what: &[&str]) {
        let all = |event: &Json| {
            let text = event.to_string();
            what.iter().all(|part| text.contains(part))
        };
        let found = self.events.wait_for(|events| events.iter().any(all));
        within(&format!("an event with {what:?}"), found).await.expect("the node runs");
    }

    /// Waits until the node has reported so many failed handshakes, one by one or as a number.
    pub(crate) async fn failed_handshakes(&mut self, count: usize) {
        let enough = |events: &Vec<Json>| {
            let said = logged(events, "handshake-failed");
            said.map(|text| 1 + unsaid(text)).sum::<usize>() >= count
        };
        within("reasons", self.events.wait_for(enough)).await.expect("the node runs");
    }

    /// The descriptions of all log events with this id so far.
    pub(crate) fn logged(&self, id: &str) -> Vec<String> {
        logged(&self.events.borrow(), id).map(str::to_owned).collect()
    }

    /// A number of `/proc/PID/status` in bytes.
    fn status(&self, name: &str) -> usize {
        let path = format!("/proc/{}/status", self.node.child.id().unwrap());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
    }

    /// How many descriptors the node may have now, and how many it could allow itself.
    pub(crate) fn descriptor_limits(&self) -> [String; 2] {
        let path = format!("/proc/{}/limits", self.node.child.id().unwrap());
        let limits = std::fs::read_to_string(path).unwrap();
        let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
        let mut numbers = line.unwrap().split_whitespace().map(str::to_owned);
        [(); 2].map(|()| numbers.next().unwrap())
    }

    fn files(&self) -> usize {
        let path = format!("/proc/{}/fd", self.node.child.id().unwrap());
        std::fs::read_dir(path).unwrap().count()
    }

    /// Checks that the node is within its limits while that many attackers are its peers, and that
    /// the healthy peers are served.
    pub(crate) async fn holds(&mut self, peers: usize) {
        self.healthy.is_served().await;
        let places = HALF_OPEN * (1 + self.also_at.len());
        let half_open = places * (2 * HANDSHAKE_FRAME);
        let most = self.memory_before + half_open + peers * (FRAME + OUTBOX + BUFFERS) + SLACK;
        let peak = self.status("VmHWM");
        assert!(peak <= most, "{peak} bytes of memory, the limits add up to {most}");
        // Those that have just been told to go may still have their descriptors.
        let files = self.files();
        let most = self.files_before + 2 * places + peers + 8;
        assert!(files <= most, "{files} descriptors, the limits add up to {most}");
    }

    /// Checks that nothing is left of the attacks, and ends the node.
    pub(crate) async fn clear(mut self) {
        self.holds(0).await;
        let closed = async {
            while self.files() > self.files_before {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        within("descriptors to be given back", closed).await;
        self.healthy.end().await;
        self.node.signal(Signal::TERM);
        self.node.end().await.expect(0);
    }
}

/// Reads events as they come.
fn collect(stdout: BufReader<ChildStdout>) -> watch::Receiver<Vec<Json>> {
    let (all, events) = watch::channel(Vec::new());
    let all = Arc::new(all);
    tokio::spawn(async move {
        let mut lines = stdout.lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let event = serde_json::from_str(&line).unwrap();
            all.send_modify(|events: &mut Vec<Json>| events.push(event));
        }
    });
    events
}

fn logged<'a>(events: &'a [Json], id: &str) -> impl Iterator<Item = &'a str> {
    let descriptions = events.iter().filter(move |event| event["id"] == id);
    descriptions.filter_map(|event| event["description"].as_str())
}

/// How many others a log event stands for.
fn unsaid(text: &str) -> usize {
    let number = text.rsplit_once("(and ").and_then(|(_, rest)| rest.split(' ').next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}
