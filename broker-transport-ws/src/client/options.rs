use std::time::Duration;

/// How a client connects and what it wants.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientOptions {
    /// Topic prefixes. The server takes them once, when the connection is made.
    pub subscriptions: Vec<String>,

    /// What the client calls itself, as shown by the server: letters, digits and `-/_.=:*@`.
    pub application: Option<String>,

    /// A token for servers that ask for one.
    pub token: Option<String>,

    /// The time between attempts to connect, and again after every loss. Default 10 s; `None` tries
    /// once.
    pub retry: Option<Duration>,

    /// How long connecting may take, from the name of the host to the acknowledgement. Default 10
    /// s.
    pub connect_time: Duration,

    /// The longest message from the server, in bytes. Default 64 MiB.
    pub message: usize,

    /// Messages waiting to be sent, and events waiting to be taken. Default 1024 each; then whoever
    /// publishes waits, and the server is no longer read from.
    pub queue_messages: usize,

    /// How long the server may be silent before it is asked for a sign of life, and then how long
    /// it may take to give one. Default 30 s; zero never asks.
    pub ping_interval: Duration,

    /// How long the server may take to agree to the end. Default 1 s: those of the C++ library
    /// never do.
    pub close_time: Duration,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            subscriptions: Vec::new(),
            application: None,
            token: None,
            retry: Some(Duration::from_secs(10)),
            connect_time: Duration::from_secs(10),
            message: 64 * 1024 * 1024,
            queue_messages: 1024,
            ping_interval: Duration::from_secs(30),
            close_time: Duration::from_secs(1),
        }
    }
}
