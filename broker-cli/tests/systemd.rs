//! What systemd gives a node and is told by it.
#![cfg(all(unix, feature = "http", feature = "quic"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{Cli, Signal, run, within};
use std::net::{TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::{ExitStatus, Stdio};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::UnixDatagram;
use tokio::process::{Child, ChildStdout, Command};

/// Starts a node with these two descriptors, as systemd does.
fn start_with(sockets: [OwnedFd; 2], args: &[&str]) -> (Child, Lines<BufReader<ChildStdout>>) {
    let [first, second] = sockets.map(Stdio::from);
    // A shell puts them where they belong, and then is the node.
    let script =
        "LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=a:b exec \"$@\" 3<&0 4<&2 </dev/null 2>&1";
    let mut child = Command::new("sh")
        .args(["-c", script, "sh", env!("CARGO_BIN_EXE_broker-cli"), "node"])
        .args(args)
        .stdin(first)
        .stdout(Stdio::piped())
        .stderr(second)
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, lines)
}

async fn line(output: &mut Lines<BufReader<ChildStdout>>) -> String {
    within("a line", output.next_line()).await.unwrap().unwrap()
}

async fn end(mut child: Child) -> ExitStatus {
    within("the end", child.wait()).await.unwrap()
}

#[tokio::test]
async fn listeners_take_the_inherited_sockets_at_their_addresses() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let (tcp, unix) =
        (TcpListener::bind("127.0.0.1:0").unwrap(), UnixListener::bind(&path).unwrap());
    let (tcp_url, unix_url) =
        (format!("tcp://{}", tcp.local_addr().unwrap()), format!("unix://{}", path.display()));
    let sockets = [tcp.try_clone().unwrap().into(), unix.into()];
    let args = ["--listen", &tcp_url, "--listen", &unix_url];
    let (mut child, mut output) = start_with(sockets, &args);
    for url in [&tcp_url, &unix_url] {
        assert!(line(&mut output).await.contains(url.as_str()));
        run(&["ping", url, "--count", "1"]).await.expect(0);
    }
    child.start_kill().unwrap();
    child.wait().await.unwrap();
    // The socket is still that of whoever has started the node: the next one has it without a gap.
    drop(tcp);
    assert!(path.exists(), "it was not the node's to remove");
}

#[tokio::test]
async fn quic_and_http_take_theirs_as_well() {
    let (udp, tcp) =
        (UdpSocket::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let (quic, http) = (udp.local_addr().unwrap(), tcp.local_addr().unwrap());
    let (quic, http) = (format!("quic://{quic}"), format!("http://{http}"));
    let (_child, mut output) =
        start_with([udp.into(), tcp.into()], &["--listen", &quic, "--http", &http[7..]]);
    assert!(line(&mut output).await.contains(&quic));
    assert!(line(&mut output).await.contains(&http));
    run(&["check", "--http", &http]).await.expect(0);
    run(&["ping", &quic, "--count", "1"]).await.expect(0);
}

#[tokio::test]
async fn a_socket_that_no_listener_takes_is_an_error() {
    let (one, two) =
        (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let (used, unused) = (one.local_addr().unwrap(), two.local_addr().unwrap());
    let sockets = [one.into(), two.into()];
    let (child, mut output) = start_with(sockets, &["--listen", &format!("tcp://{used}")]);
    line(&mut output).await;
    let text = line(&mut output).await;
    assert!(
        text.contains(&format!("--listen or --http at the same address: {unused}/tcp")),
        "{text}"
    );
    assert_eq!(end(child).await.code(), Some(2));
}

/// A node that tells its supervisor how it is, and what it tells.
struct Watched {
    node: Cli,
    socket: UnixDatagram,
}

impl Watched {
    /// The next thing that it says, apart from signs of life.
    async fn says(&self) -> String {
        loop {
            let said = self.receives().await;
            if said != "WATCHDOG=1" {
                return said;
            }
        }
    }

    async fn receives(&self) -> String {
        let mut bytes = [0; 1024];
        let length = within("a datagram", self.socket.recv(&mut bytes)).await.unwrap();
        String::from_utf8_lossy(&bytes[..length]).trim_end().to_owned()
    }
}

#[tokio::test]
async fn a_supervisor_hears_of_the_start_the_status_reloads_and_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name| directory.path().join(name).display().to_string();
    let socket = UnixDatagram::bind(path("notify")).unwrap();
    std::fs::write(path("hub.toml"), "listen = [\"127.0.0.1:0\"]\n").unwrap();
    let variables = [&format!("NOTIFY_SOCKET={}", path("notify")), "WATCHDOG_USEC=100000"];
    let command = [&["env"][..], &variables].concat();
    let args = ["node", "--config", &path("hub.toml"), "--events", "--admin", &path("admin")];
    let mut watched = Watched { node: Cli::start_by(&command, &args), socket };
    assert_eq!(watched.receives().await, "READY=1");
    let url = watched.node.listening().await;
    assert_eq!(watched.says().await, "STATUS=0 peers, 0 clients");
    assert_eq!(watched.receives().await, "WATCHDOG=1");
    assert_eq!(watched.receives().await, "WATCHDOG=1");
    let sub = Cli::start(&["sub", "/t", "--peer", &url]);
    assert_eq!(watched.says().await, "STATUS=1 peers, 0 clients");
    watched.node.signal(Signal::HUP);
    let reloading = watched.says().await;
    let time = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
    assert!(time.parse::<u64>().unwrap() > 0);
    assert_eq!(watched.says().await, "READY=1");
    run(&["reload", "--socket", &path("admin")]).await.expect(0);
    assert!(watched.says().await.starts_with("RELOADING=1\n"));
    assert_eq!(watched.says().await, "READY=1");
    drop(sub);
    assert_eq!(watched.says().await, "STATUS=0 peers, 0 clients");
    watched.node.signal(Signal::TERM);
    assert_eq!(watched.says().await, "STOPPING=1");
    watched.node.end().await.expect(0);
}
