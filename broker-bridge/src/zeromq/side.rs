//! A cluster as the other side of a bridge.

use super::address;
use super::cluster::{Cluster, Command, Orders};
use super::line::{Line, as_client, naming, random};
use super::logs::{LogTap, Loggers, Outward};
use super::members::Own;
use super::options::Keys;
use super::topics::{Wanted, stays_here, to_cluster};
use crate::Carried;
use crate::inbox::{Inbox, InboxLimits};
use crate::other_side::{Connector, Incoming, Introduction, OtherSide, Outgoing, Parcels};
use broker_core::data::View;
use broker_core::data::zeek::ZeekMessageView;
use broker_core::transport::{Protection, TransportError};
use broker_core::{Address, Reason};
use broker_transport_tcp::TcpTransport;
use broker_zmtp::{Config, SocketType};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

/// What waits for the overlay at most; the number is that of a node of Zeek.
const INBOX: InboxLimits = InboxLimits { messages: 10_000, bytes: 256 * 1024 * 1024 };

/// Commands on their way to the task with the connections.
const COMMANDS: usize = 16;

/// Makes connections to one cluster.
pub(super) struct ClusterConnector {
    pub(super) cluster: address::Cluster,
    pub(super) keys: Keys,
    pub(super) tcp: TcpTransport,
    /// How long a connection may take until it is ready.
    pub(super) time: Duration,
}

/// What goes to a cluster.
#[derive(Debug)]
pub(super) enum Parcel {
    Event { topic: Vec<u8>, payload: Vec<u8> },
    Logs(Vec<u8>),
}

/// A cluster, through the task with the connections.
pub(super) struct ClusterSide {
    commands: mpsc::Sender<Command>,
    wishes: watch::Sender<Wanted>,
    inbox: Inbox,
    outward: Outward,
    loggers: Option<Loggers>,
    task: JoinHandle<()>,
    _stop: DropGuard,
}

impl ClusterConnector {
    /// A new name for this connection. Nodes must not take a process that comes back for the one
    /// that they have known: half of what they know of that is out of date.
    fn own(&self) -> Result<Own, TransportError> {
        let unique = u128::from_be_bytes(random()?);
        let host = hostname();
        let pid = std::process::id();
        let name = self.cluster.name.clone();
        let id = match &name {
            Some(name) => format!("zeromq_{name}_{host}_{pid}_N{unique:x}"),
            None => format!("broker_{host}_{pid}_N{unique:x}"),
        };
        Ok(Own { id, name, expects: self.cluster.members.clone() })
    }

    async fn open(
        &self,
        what: &str,
        at: &Address,
        socket: SocketType,
    ) -> Result<Line, TransportError> {
        let stream = self.tcp.dial(at).await?;
        let mechanism = as_client(self.keys.client.as_ref())?;
        let config = Config { mechanism, ..Config::new(socket) };
        let mut line = Line::new(stream, config, naming(what, at));
        line.open().await?;
        Ok(line)
    }

    async fn connect_now(
        &self,
        topics: Vec<String>,
    ) -> Result<(ClusterSide, Introduction), TransportError> {
        let own = self.own()?;
        let address::Cluster { subscribe, publish, loggers, filter, .. } = &self.cluster;
        let (subscriber, publisher) = tokio::try_join!(
            self.open("the XPUB of the proxy", subscribe, SocketType::XSub),
            self.open("the XSUB of the proxy", publish, SocketType::XPub),
        )?;
        let (sender, inbox) = Inbox::new(INBOX);
        let stop = CancellationToken::new();
        let guard = stop.clone().drop_guard();
        if let Some((host, port)) = &self.cluster.logs {
            let host = host.clone().or_else(|| subscriber.local_ip().map(|ip| ip.to_string()));
            let at = Address::new("zeromq", &host.unwrap_or_default(), *port);
            if self.keys.client.is_some() && self.keys.server.is_none() {
                let text = format!("{at}: taking log batches needs curve-server-secretkey as well");
                return Err(TransportError::new(Reason::InvalidAddress, text));
            }
            let tap =
                LogTap::bind(&self.tcp, &at, self.keys.server.clone(), sender.clone()).await?;
            let text = format!("log batches are taken at {}", tap.url().host_and_port());
            sender.push(Incoming::Noted(text));
            tokio::spawn(tap.serve(stop.clone()));
        }
        let client = self.keys.client.as_ref();
        let loggers = Loggers::start(loggers, &own.id, &self.tcp, client, &sender, &stop);
        let wanted = Wanted::new(&topics);
        let (wishes, wished) = watch::channel(wanted.clone());
        let mut cluster = Cluster::new(subscriber, publisher, own, wanted, sender);
        cluster.ready().await?;
        let (commands, orders) = mpsc::channel(COMMANDS);
        let task = tokio::spawn(cluster.run(Orders { commands: orders, wishes: wished }));
        let outward = Outward::new(filter);
        let protection = match client {
            Some(_) => Protection::Authenticated("a server with the key of the cluster".to_owned()),
            None => Protection::Plain,
        };
        let introduction =
            Introduction { version: "ZMTP 3".to_owned(), endpoint: None, protection };
        let side = ClusterSide { commands, wishes, inbox, outward, loggers, task, _stop: guard };
        Ok((side, introduction))
    }
}

impl Connector for ClusterConnector {
    type Side = ClusterSide;

    async fn connect(
        &self,
        topics: Vec<String>,
    ) -> Result<(ClusterSide, Introduction), TransportError> {
        let connecting = timeout(self.time, self.connect_now(topics)).await;
        connecting.unwrap_or_else(|_| {
            let text = format!(
                "connecting to {}: the proxy did not show the subscriptions of this process within \
                 {} s; perhaps the two ports belong to different clusters",
                self.cluster.subscribe,
                self.time.as_secs_f64()
            );
            Err(TransportError::new(Reason::TimedOut, text))
        })
    }
}

impl ClusterSide {
    /// An event as it is in the cluster; its bytes stay as they are.
    fn event(topic: &[u8], payload: &[u8], parcels: &mut Parcels<Parcel>) {
        let (topic, payload) = (to_cluster(topic).into_owned(), payload.to_vec());
        let length = topic.len() + payload.len();
        parcels.push(Parcel::Event { topic, payload }, length);
    }
}

impl OtherSide for ClusterSide {
    type Parcel = Parcel;

    fn encode(&mut self, topic: &[u8], value: View<'_>, parcels: &mut Parcels<Parcel>) {
        if stays_here(topic) {
            return parcels.leave(Carried::NotAllowed);
        }
        let (mut events, mut logs) = (Vec::new(), Vec::new());
        if let Err(other) = unpack(value, &mut events, &mut logs) {
            (0..other).for_each(|_| parcels.leave(Carried::NoEvent));
        }
        for event in events {
            Self::event(topic, event.raw(), parcels);
        }
        if self.loggers.is_none() {
            logs.iter().for_each(|_| parcels.leave(Carried::NoEvent));
        } else if !logs.is_empty() {
            self.outward.encode(logs.into_iter(), parcels);
        }
    }

    fn subscribe(&mut self, topics: &[String]) -> bool {
        self.wishes.send(Wanted::new(topics)).is_ok()
    }

    async fn exchange(&mut self, outgoing: &mut VecDeque<Outgoing<Parcel>>) -> Option<Incoming> {
        tokio::select! {
            Ok(place) = self.commands.reserve(), if !outgoing.is_empty() => {
                match outgoing.pop_front() {
                    Some(Outgoing::Message(Parcel::Event { topic, payload })) => {
                        place.send(Command::Publish { topic, payload });
                    }
                    Some(Outgoing::Message(Parcel::Logs(batch))) => {
                        let took = self.loggers.as_ref().is_some_and(|l| l.push(batch));
                        if !took {
                            return Some(Incoming::Refused("no logger takes log batches".into()));
                        }
                    }
                    Some(Outgoing::Ping(number)) => place.send(Command::Confirm(number)),
                    None => {}
                }
                Some(Incoming::Sent)
            }
            incoming = self.inbox.next() => incoming,
        }
    }

    async fn close(self, limit: Duration) {
        let Self { commands, loggers, task, .. } = self;
        if let Some(loggers) = loggers {
            loggers.settle(limit).await;
        }
        drop(commands);
        let _ = timeout(limit, task).await;
    }
}

/// Takes a message apart into its events, whose encoding stays as it is, and its log messages. The
/// error is the number of messages that are neither.
fn unpack<'a>(
    value: View<'a>,
    events: &mut Vec<View<'a>>,
    logs: &mut Vec<ZeekMessageView<'a>>,
) -> Result<(), u64> {
    let mut other = 0;
    match ZeekMessageView::parse(value) {
        Ok(ZeekMessageView::Event(_)) => events.push(value),
        Ok(log @ (ZeekMessageView::LogCreate(_) | ZeekMessageView::LogWrite(_))) => logs.push(log),
        Ok(ZeekMessageView::Batch(batch)) => {
            for item in batch.items() {
                other += unpack(item, events, logs).err().unwrap_or_default();
            }
        }
        Ok(ZeekMessageView::IdentifierUpdate(_)) | Err(_) => other += 1,
    }
    if other > 0 { Err(other) } else { Ok(()) }
}

/// The name of this machine, as far as it can stand in an id.
fn hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim().split('.').next().unwrap_or_default();
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).take(64).collect();
    if name.is_empty() { "host".to_owned() } else { name }
}
