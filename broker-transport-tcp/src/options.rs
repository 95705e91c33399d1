use broker_core::Limits;
use socket2::{SockRef, TcpKeepalive};
use std::time::Duration;
use tokio::net::TcpStream;

/// How sockets are opened and what is set on them. Further fields may come: make one with
/// `..TcpOptions::default()`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcpOptions {
    /// How long connecting to one address may take. Default 3 s, as [`Limits::connect_time`].
    pub connect_time: Duration,

    /// How long the resolver may take for a name. Default 10 s.
    pub resolve_time: Duration,

    /// Connections that the kernel completes ahead of `accept`; the system may allow fewer.
    /// Default 4096.
    pub backlog: u32,

    /// Whether small frames leave at once instead of waiting for the acknowledgement of earlier
    /// ones. Default on: frames are already batched above the socket.
    pub nodelay: bool,

    /// Probes on idle connections, which find out about a peer that vanished without a word: the
    /// protocol has no probes of its own. Default [`Keepalive::default`]; `None` sends none.
    pub keepalive: Option<Keepalive>,
}

/// When the kernel probes an idle connection, and when it gives up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keepalive {
    /// How long nothing arrives before the first probe. Default 60 s.
    pub idle: Duration,
    /// The time between probes. Default 10 s.
    pub interval: Duration,
    /// How many unanswered probes end the connection. Default 6.
    pub count: u32,
}

impl Default for TcpOptions {
    fn default() -> Self {
        Self::from_limits(&Limits::default())
    }
}

impl Default for Keepalive {
    fn default() -> Self {
        Self { idle: Duration::from_secs(60), interval: Duration::from_secs(10), count: 6 }
    }
}

impl TcpOptions {
    /// The defaults with the times that `limits` sets.
    #[must_use]
    pub fn from_limits(limits: &Limits) -> Self {
        Self {
            connect_time: limits.connect_time,
            resolve_time: Duration::from_secs(10),
            backlog: 4096,
            nodelay: true,
            keepalive: Some(Keepalive::default()),
        }
    }

    /// Sets what this side wants on a connected socket.
    ///
    /// Failures are ignored: a socket that takes no options is one whose connection is already
    /// gone, and the first read says so.
    pub(crate) fn apply(&self, stream: &TcpStream) {
        let socket = SockRef::from(stream);
        let _ = socket.set_tcp_nodelay(self.nodelay);
        if let Some(keepalive) = self.keepalive {
            let _ = socket.set_tcp_keepalive(&keepalive.into());
        }
    }
}

impl From<Keepalive> for TcpKeepalive {
    fn from(keepalive: Keepalive) -> Self {
        Self::new()
            .with_time(keepalive.idle)
            .with_interval(keepalive.interval)
            .with_retries(keepalive.count)
    }
}
