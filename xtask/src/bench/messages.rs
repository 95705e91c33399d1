//! What the driver and its worker processes say to each other: one JSON value per line.

use serde::{Deserialize, Serialize};

/// What the driver tells a worker. The end of the input is the end of the worker.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Command {
    /// Begin publishing.
    Start,
    /// Publish no more.
    Stop,
    /// Let the warm-up pass, then count for a while. Answered by [`Reply::Window`].
    Measure { warm_up: f64, seconds: f64 },
    /// Send load beside the pings: so many messages a second, without limit, or none any more.
    Load(Load),
    /// Send pings: so many a second on a fixed schedule, or each one when the last one is back.
    /// Answered by [`Reply::Latency`].
    Ping { rate: Option<f64>, seconds: f64 },
    /// Peer with this address. Answered by [`Reply::Window`] when everyone has.
    Dial(String),
    /// Answered by [`Reply::Memory`].
    Memory,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Load {
    Unlimited,
    Rate(f64),
    Off,
}

/// What a worker tells the driver.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Reply {
    /// The worker is connected, and listens here.
    Ready {
        url: Option<String>,
    },
    Window(Window),
    Latency(Latency),
    /// Resident memory in bytes.
    Memory(u64),
    /// The last words.
    End(End),
    Failed(String),
}

/// What happened within a time.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Window {
    pub(super) seconds: f64,
    pub(super) count: u64,
    /// Processor time of the whole process.
    pub(super) cpu_seconds: f64,
}

/// Round trips, in microseconds.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Latency {
    pub(super) count: u64,
    pub(super) p50: f64,
    pub(super) p90: f64,
    pub(super) p99: f64,
    pub(super) p999: f64,
    pub(super) max: f64,
    pub(super) cpu_seconds: f64,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct End {
    /// The most memory the process ever held, in bytes.
    pub(super) peak_memory: u64,
    /// Messages that were dropped.
    pub(super) lost: u64,
}
