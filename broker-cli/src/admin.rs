//! Telling a running node what to do: a Unix socket with one JSON object per line, and the commands
//! that use it. Only the user whom the node runs as, and root, are listened to.

use crate::failure::{Exit, Failure};
use crate::options::{LEVELS, UrlParser, levels, seconds};
use crate::session::{Drain, Order, Orders};
use broker::Address;
use broker::event::Severity;
use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

/// How long an order or its answer may take.
const TIME: Duration = Duration::from_secs(10);

/// How long a node may take to end when its peers have gone, and to be gone.
const AFTER_DRAIN: Duration = Duration::from_secs(30);

/// The longest line.
const LONGEST: u64 = 64 * 1024;

/// Connections at the same time.
const CONNECTIONS: usize = 16;

/// What goes over the socket to a node.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
enum Request {
    Reload,
    AddPeer { url: String },
    RemovePeer { url: String },
    LogLevel { level: String },
    Drain { over: f64, within: f64 },
}

/// What comes back.
#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    /// What was done.
    #[serde(default)]
    done: Vec<String>,
    /// Why nothing was.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Request {
    fn order(self) -> Result<Order, String> {
        let url = |text: String| text.parse::<Address>().map_err(|error| error.to_string());
        Ok(match self {
            Self::Reload => Order::Reload,
            Self::AddPeer { url: text } => Order::AddPeer(url(text)?),
            Self::RemovePeer { url: text } => Order::RemovePeer(url(text)?),
            Self::LogLevel { level } => {
                let found = LEVELS.into_iter().find(|known| known.name() == level);
                Order::LogLevel(found.ok_or_else(|| format!("{level:?} is no level"))?)
            }
            Self::Drain { over, within } => {
                let time = |seconds| {
                    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
                };
                Order::Drain(Drain { over: time(over)?, within: time(within)? })
            }
        })
    }
}

/// Listens at a path, which it takes over if a node that is gone has left it. Returns the orders.
pub(crate) fn serve(path: &Path) -> Result<Orders, Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::other(format!("admin socket {}: {error}", path.display()))
    };
    let is_left = std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())
        && std::os::unix::net::UnixStream::connect(path).is_err();
    if is_left {
        std::fs::remove_file(path).map_err(|error| failed(&error))?;
    }
    let listener = UnixListener::bind(path).map_err(|error| failed(&error))?;
    let mode = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(path, mode).map_err(|error| failed(&error))?;
    let (orders, received) = mpsc::channel(1);
    tokio::spawn(async move {
        let places = std::sync::Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let Ok(place) = std::sync::Arc::clone(&places).acquire_owned().await else { return };
            match listener.accept().await {
                Ok((stream, _)) if is_trusted(&stream) => {
                    let orders = orders.clone();
                    tokio::spawn(async move {
                        let _ = visit(stream, orders).await;
                        drop(place);
                    });
                }
                Ok(_) => {}
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    });
    Ok(received)
}

/// Whether the other end is the user of this process, or root.
fn is_trusted(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    stream.peer_cred().is_ok_and(|peer| peer.uid() == own || peer.uid() == 0)
}

type Given = (Order, oneshot::Sender<Result<Vec<String>, String>>);

async fn visit(mut stream: UnixStream, orders: mpsc::Sender<Given>) -> std::io::Result<()> {
    let (reader, mut writer) = stream.split();
    let mut lines = BufReader::new(reader.take(LONGEST)).lines();
    while let Some(line) = timeout(TIME, lines.next_line()).await?? {
        let request = serde_json::from_str::<Request>(&line).map_err(|error| error.to_string());
        let order = request.and_then(Request::order);
        let is_drain = matches!(order, Ok(Order::Drain(_)));
        let outcome = match order {
            Ok(order) => timeout(TIME, give(&orders, order)).await?,
            Err(error) => Err(error),
        };
        let is_over = is_drain && outcome.is_ok();
        let answer = match outcome {
            Ok(done) => Answer { done, error: None },
            Err(error) => Answer { done: Vec::new(), error: Some(error) },
        };
        let mut text = serde_json::to_vec(&answer)?;
        text.push(b'\n');
        timeout(TIME, writer.write_all(&text)).await??;
        if is_over {
            // Whoever reads on learns when the process has ended.
            std::future::pending::<()>().await;
        }
    }
    Ok(())
}

async fn give(orders: &mpsc::Sender<Given>, order: Order) -> Result<Vec<String>, String> {
    let (sender, answer) = oneshot::channel();
    let gone = || "the node is ending".to_owned();
    orders.send((order, sender)).await.map_err(|_| gone())?;
    answer.await.map_err(|_| gone())?
}

/// Where the socket of a node is.
#[derive(Debug, Args)]
pub(crate) struct Socket {
    /// The socket: what the node was given with --admin
    #[arg(long, value_name = "PATH")]
    socket: PathBuf,
}

/// Have a running node read its configuration again
///
/// Peers, listeners, topics to forward, names, the log level and certificates are put into force;
/// what else has changed is named and needs a restart. A file with an error changes nothing, and
/// ends this with 1. The same as SIGHUP, with an answer.
#[derive(Args)]
pub(crate) struct Reload {
    #[command(flatten)]
    socket: Socket,
}

/// Change a running node
///
/// Ends with 0 if it was done, with 1 if not, and with 3 if there is no node. What is changed like
/// this lasts until the node is restarted.
#[derive(Args)]
pub(crate) struct Admin {
    #[command(flatten)]
    socket: Socket,

    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Read the configuration again
    Reload,
    /// Peer with an address as well
    AddPeer {
        #[arg(value_parser = UrlParser::default())]
        url: Address,
    },
    /// End the peering with an address
    RemovePeer {
        #[arg(value_parser = UrlParser::default())]
        url: Address,
    },
    /// Show log events from this level on
    LogLevel {
        #[arg(value_parser = levels())]
        level: Severity,
    },
    /// End without haste, and wait until the node has ended
    ///
    /// The node accepts nobody any more at any listener and says at /ready that it is draining. It
    /// sends the peers that have connected to it elsewhere: with a bye behind what is queued for
    /// them, after which those with --peer A,B,C go to the next address, and those with one address
    /// try that again until somebody listens there. Meanwhile messages pass as before. Then other
    /// relays, and the peers that the node has dialled itself, are told, and clients of WebSocket
    /// get code 1001. After that the node ends with exit code 0.
    ///
    /// This ends with 0 when the node has ended, and with 1 if it drains already. A peer that has
    /// not read everything in time loses the rest. SIGTERM ends a node that drains at once.
    Drain {
        /// Tell the peers one after the other within this time, so that they do not all arrive
        /// elsewhere at once
        #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "0")]
        over: Duration,
        /// How long each peer may take to read what is queued for it
        #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "10")]
        within: Duration,
    },
}

impl Reload {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        self.socket.ask(&Request::Reload, Duration::ZERO).await
    }
}

impl Admin {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let mut end = Duration::ZERO;
        let request = match self.what {
            What::Reload => Request::Reload,
            What::AddPeer { url } => Request::AddPeer { url: url.to_string() },
            What::RemovePeer { url } => Request::RemovePeer { url: url.to_string() },
            What::LogLevel { level } => Request::LogLevel { level: level.name().to_owned() },
            What::Drain { over, within } => {
                end = over.saturating_add(within).saturating_add(AFTER_DRAIN);
                Request::Drain { over: over.as_secs_f64(), within: within.as_secs_f64() }
            }
        };
        self.socket.ask(&request, end).await
    }
}

impl Socket {
    /// Asks for something, and waits this long for the end of the node, if at all.
    async fn ask(&self, request: &Request, end: Duration) -> Result<(), Failure> {
        let path = self.socket.display();
        let failed = |error: std::io::Error| {
            let text = format!("no node at {path}: {error}; is there one with --admin {path}?");
            Failure::new(Exit::CannotConnect, text)
        };
        let asked = async {
            let mut stream = UnixStream::connect(&self.socket).await?;
            let mut line = serde_json::to_vec(request)?;
            line.push(b'\n');
            stream.write_all(&line).await?;
            let mut answer = String::new();
            let mut stream = BufReader::new(stream);
            stream.read_line(&mut answer).await?;
            Ok((answer, stream))
        };
        let answer = timeout(TIME, asked).await.map_err(|_| {
            Failure::new(Exit::TimedOut, format!("the node at {path} does not answer"))
        })?;
        let (answer, mut rest) = answer.map_err(failed)?;
        let Answer { done, error } = serde_json::from_str(&answer).map_err(|_| {
            let text = format!("{path} does not want to be told anything by this user");
            Failure::new(Exit::Refused, text)
        })?;
        let mut out =
            crate::output::Output::new(crate::output::Format::Text, crate::output::Need::Output)?;
        for done in done {
            out.text(format!("{}\n", crate::output::text::printable(&done)).as_bytes());
        }
        out.flush().await?;
        if let Some(error) = error {
            return Err(Failure::other(error));
        }
        if !end.is_zero() && timeout(end, rest.read_to_end(&mut Vec::new())).await.is_err() {
            let text = format!("the node at {path} has not ended within {} s", end.as_secs_f64());
            return Err(Failure::new(Exit::TimedOut, text));
        }
        Ok(())
    }
}
