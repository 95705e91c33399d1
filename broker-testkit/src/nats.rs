//! Servers of NATS, for tests of bridges to them.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::timeout;

/// Servers start, elect leaders and deliver again within seconds.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A server with JetStream, which is killed at the end.
pub struct Server {
    program: PathBuf,
    arguments: Vec<String>,
    pub at: String,
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
    pub async fn start(program: &Path) -> Self {
        Self::start_with(program, &[]).await
    }

    pub async fn start_with(program: &Path, more: &[&str]) -> Self {
        let mut server = Self::unstarted(program, more);
        server.run().await;
        server
    }

    /// One that has an address, and does not run yet.
    #[must_use]
    pub fn unstarted(program: &Path, more: &[&str]) -> Self {
        let host = loopback();
        let port = free_port(&host);
        let more: Vec<String> = more.iter().map(|one| (*one).to_owned()).collect();
        Self::new(program, &host, port, &more)
    }

    /// So many servers that are one cluster.
    pub async fn cluster(program: &Path, count: usize) -> Vec<Self> {
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
    pub async fn run(&mut self) {
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
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Stops it, or lets it go on.
    pub fn signal(&self, signal: &str) {
        let id = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    pub fn url(&self, query: &str) -> String {
        format!("nats://{}?{query}", self.at)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits until something is so that nothing tells of.
pub async fn eventually(mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, wait).await.expect("the state in time");
}
