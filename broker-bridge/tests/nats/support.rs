//! What the tests share: servers, and nodes with bridges to them.

use broker_bridge::websocket::WebSocketBridges;
use broker_bridge::{BridgeStatus, Bridges};
use broker_core::data::zeek::{ZeekEvent, ZeekMessageView};
use broker_core::endpoint::{Retry, Subscriber};
use broker_core::{Endpoint, OverflowPolicy};
use broker_testkit::websocket::wait_for;
use broker_transport_tcp::TcpTransport;
use broker_transport_ws::{WsOptions, WsTransport};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::timeout;

/// Servers start, elect leaders and deliver again within seconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The program, or why there is none.
pub(crate) async fn program() -> Result<PathBuf, String> {
    broker_testkit::tools::nats_server(env!("CARGO_TARGET_TMPDIR")).await
}

/// A server with JetStream, which is killed at the end.
pub(crate) struct Server {
    program: PathBuf,
    arguments: Vec<String>,
    pub(crate) at: String,
    child: Option<Child>,
    _directory: TempDir,
}

/// An address of this machine that no other test has, most likely, so that a free port stays free.
fn loopback() -> String {
    let [a, b, c] = std::array::from_fn(|_| fastrand::u8(1..=254));
    format!("127.{a}.{b}.{c}")
}

fn free_port(host: &str) -> u16 {
    TcpListener::bind((host, 0)).unwrap().local_addr().unwrap().port()
}

impl Server {
    pub(crate) async fn start(program: &Path) -> Self {
        Self::start_with(program, &[]).await
    }

    pub(crate) async fn start_with(program: &Path, more: &[&str]) -> Self {
        let host = loopback();
        let port = free_port(&host);
        let more: Vec<String> = more.iter().map(|one| (*one).to_owned()).collect();
        let mut server = Self::new(program, &host, port, &more);
        server.run().await;
        server
    }

    /// So many servers that are one cluster.
    pub(crate) async fn cluster(program: &Path, count: usize) -> Vec<Self> {
        let host = loopback();
        let ports: Vec<(u16, u16)> =
            (0..count).map(|_| (free_port(&host), free_port(&host))).collect();
        let routes: Vec<String> =
            ports.iter().map(|(_, route)| format!("nats://{host}:{route}")).collect();
        let routes = routes.join(",");
        let mut servers = Vec::new();
        for (index, (port, route)) in ports.iter().enumerate() {
            let more = [
                "--name".to_owned(),
                format!("n{index}"),
                "--cluster_name".to_owned(),
                "c".to_owned(),
                "--cluster".to_owned(),
                format!("nats://{host}:{route}"),
                "--routes".to_owned(),
                routes.clone(),
            ];
            let mut server = Self::new(program, &host, *port, &more);
            server.run().await;
            servers.push(server);
        }
        servers
    }

    fn new(program: &Path, host: &str, port: u16, more: &[String]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = directory.path().to_str().unwrap().to_owned();
        let mut arguments: Vec<String> =
            ["-a", host, "-p", &port.to_string(), "-js", "-sd", &store].map(str::to_owned).into();
        arguments.extend_from_slice(more);
        Self {
            program: program.to_owned(),
            arguments,
            at: format!("{host}:{port}"),
            child: None,
            _directory: directory,
        }
    }

    /// Starts it, or starts it again with what it has stored.
    pub(crate) async fn run(&mut self) {
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
        eventually(async || tokio::net::TcpStream::connect(&self.at).await.is_ok()).await;
    }

    /// As `kill -9` does.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Stops it, or lets it go on.
    pub(crate) fn signal(&self, signal: &str) {
        let id = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    pub(crate) fn url(&self, query: &str) -> String {
        format!("nats://{}?{query}", self.at)
    }

    pub(crate) async fn client(&self) -> async_nats::Client {
        async_nats::connect(&self.at).await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits until something is so that nothing tells of.
pub(crate) async fn eventually(mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, wait).await.expect("the state in time");
}

pub(crate) struct Node {
    pub(crate) endpoint: Endpoint,
    pub(crate) bridges: Bridges,
}

pub(crate) fn node() -> Node {
    let bridges = Bridges::default();
    let ws = WsTransport::new(WsOptions::default()).unwrap();
    let builder = Endpoint::builder()
        .overflow_policy(OverflowPolicy::Wait)
        .transport(TcpTransport::default());
    let builder = WebSocketBridges::among(&bridges, ws).install(builder);
    let endpoint = broker_bridge::nats::install(&bridges, builder).build().unwrap();
    Node { endpoint, bridges }
}

impl Node {
    pub(crate) async fn peer(&self, url: &str) {
        let before = self.endpoint.peers().len();
        self.endpoint.peer(url, Retry::never()).await.unwrap();
        wait_for(|| self.endpoint.peers().len() > before).await;
    }

    /// The sum of a count over the bridges.
    pub(crate) fn count(&self, of: impl Fn(&BridgeStatus) -> u64) -> u64 {
        self.bridges.status().iter().map(of).sum()
    }

    /// Publishes events with these numbers, in order.
    pub(crate) async fn publish(&self, topic: &str, numbers: std::ops::Range<u64>) {
        for number in numbers {
            self.endpoint.publish(topic, &event(number)).await.unwrap();
        }
    }
}

pub(crate) fn event(number: u64) -> broker_core::data::Value {
    ZeekEvent::new("number").arg(number).into()
}

/// The topic and the number of the next event.
pub(crate) async fn next(subscriber: &mut Subscriber) -> (String, u64) {
    let message = timeout(PATIENCE, subscriber.recv()).await.expect("a message in time").unwrap();
    let ZeekMessageView::Event(event) = ZeekMessageView::parse(message.view()).unwrap() else {
        panic!()
    };
    let (number,) = event.read_args::<(u64,)>().unwrap();
    (message.topic().to_string(), number)
}

/// Receives the numbers of a range on one topic, each once and in order.
pub(crate) async fn expect(subscriber: &mut Subscriber, numbers: std::ops::Range<u64>) {
    for number in numbers {
        assert_eq!(next(subscriber).await.1, number);
    }
}
