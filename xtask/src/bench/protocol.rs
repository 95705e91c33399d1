//! What a worker process is.

use super::shape::{Reading, Shape};
use serde::{Deserialize, Serialize};

/// What a worker process is, given on its command line.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Task {
    /// Threads of the runtime; 0 is one thread without work stealing.
    pub(super) threads: usize,
    pub(super) role: Role,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Role {
    /// Publishes as fast as its queues allow.
    Publish(Publish),
    /// Receives and counts.
    Subscribe(Subscribe),
    /// Passes messages on.
    Hub(Node),
    /// Answers pings, and receives load beside them.
    Pong(Node),
    /// Sends pings, and load beside them.
    Ping(Node),
    /// Endpoints that peer when told to.
    Crowd(Node),
    /// The same roles for a program that moves frames and does nothing else.
    FloorSend {
        shape: Shape,
        connections: usize,
        /// Encode every message instead of writing the same ones again.
        encode: bool,
    },
    FloorSplit {
        at: String,
        connections: usize,
        /// Check what every message says.
        check: bool,
    },
    FloorRelay {
        at: String,
    },
    FloorPong,
    FloorPing {
        at: String,
    },
    FloorCrowd {
        connections: usize,
    },
    /// Does one thing many times, for counting instructions.
    Repeat {
        what: String,
        times: u64,
    },
}

/// The endpoints of a worker.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Node {
    pub(super) endpoints: usize,
    /// Where the first endpoint listens.
    pub(super) listen: Option<String>,
    /// Whom each endpoint peers with at the start.
    pub(super) dial: Option<String>,
    /// Connections that may be half open, if not the default.
    pub(super) half_open: Option<usize>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Publish {
    pub(super) node: Node,
    pub(super) shape: Shape,
    pub(super) topics: Topics,
    /// Peers that each endpoint waits for.
    pub(super) peers: usize,
    /// How many messages may be under way without having been acknowledged by the subscriber; for
    /// links in the middle of which nobody can wait.
    pub(super) in_flight: Option<u64>,
    /// Publish in batches instead of one by one.
    pub(super) batches: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Subscribe {
    pub(super) node: Node,
    pub(super) shape: Shape,
    pub(super) reading: Reading,
    pub(super) topics: Topics,
    /// Acknowledge after every so many messages.
    pub(super) acknowledge: Option<u64>,
    /// Receive as many as are there, instead of one by one.
    pub(super) batches: bool,
}

/// Which topics are published, and subscribed to.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Topics {
    /// One for all.
    One,
    /// For each endpoint its own ones, so many.
    Own { endpoints: usize, each: usize },
}

impl Topics {
    /// The prefixes of a subscribing endpoint.
    pub(super) fn prefixes(self, endpoint: usize) -> Vec<String> {
        match self {
            Self::One => vec![super::shape::TOPIC.to_owned()],
            Self::Own { each, .. } => {
                (0..each).map(|n| format!("/bench/{endpoint}/{n}/")).collect()
            }
        }
    }

    /// All topics to publish on; neighbours in the list belong to different endpoints.
    pub(super) fn all(self) -> Vec<String> {
        match self {
            Self::One => self.prefixes(0),
            Self::Own { endpoints, each } => (0..each)
                .flat_map(|n| (0..endpoints).map(move |k| format!("/bench/{k}/{n}/event")))
                .collect(),
        }
    }
}
