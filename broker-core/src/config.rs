//! How an endpoint is configured.

use crate::event::Severity;
use crate::{EndpointId, OverflowPolicy};
use broker_proto::PeerRule;
use broker_proto::limits::{Limits, MAX_DURATION, optional_seconds, seconds};
use broker_proto::routing::LoopPolicy;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::time::Duration;

/// The configuration of an endpoint. In a file each field is the key of the same name, with
/// hyphens; times are seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The endpoint's id. Default: a fresh random one at every start, as in the C++ Broker.
    pub endpoint_id: Option<EndpointId>,

    /// Whether messages of one peer are passed on to others. Default true; a leaf of the overlay
    /// says false and still sends its own messages.
    pub forwarding: bool,

    /// Whether peers are told what is wanted behind this endpoint, and messages that come by
    /// several paths are let through once. Default true. With false, version 1 of the protocol is
    /// all that is spoken: messages are passed on as the C++ Broker does it, and a circle of such
    /// endpoints multiplies them.
    pub relay: bool,

    /// What becomes of a message that a peer of version 1 brings back. Default `warn`. With `drop`,
    /// two endpoints that publish the same within 10 s may be taken for one whose messages go round
    /// in a circle: of peers of version 1, what comes over more relays is dropped then.
    pub loops: LoopPolicy,

    /// What peers may do. If not empty, a peer has to meet one of these rules, and the first one
    /// that it meets says what it may do. Default: everybody may do everything.
    pub peer_rules: Vec<PeerRule>,

    /// What happens to messages for a peer whose queue is full. Default `drop_oldest`.
    pub overflow_policy: OverflowPolicy,

    /// By which fraction at most a retry comes later than asked for. Default 0.1: endpoints that
    /// lost the same peer do not all come back at one instant.
    pub retry_jitter: f64,

    /// Doubles the time between retries with every failure, up to this time. Default: no doubling,
    /// as in the C++ Broker.
    #[serde(with = "optional_seconds")]
    pub retry_max: Option<Duration>,

    /// The least grave log events that are still reported. Default warnings.
    pub log_level: Severity,

    /// The window of the high-water marks in the peering statistics. Default 60 s, as in Zeek.
    #[serde(with = "seconds")]
    pub stats_window: Duration,

    /// Prefixes of topics whose messages and bytes are counted by themselves, as
    /// [`Endpoint::prefix_counts`](crate::Endpoint::prefix_counts) and the metrics show. Default
    /// none, at most 64. A message counts for every prefix that its topic has.
    pub count_prefixes: BTreeSet<String>,

    /// What is bounded, and where.
    pub limits: Limits,
}

/// As many prefixes are counted: a message is compared with each of them when it is the first on
/// its topic.
pub(crate) const COUNT_PREFIXES: usize = 64;

impl Default for Config {
    fn default() -> Self {
        Self {
            endpoint_id: None,
            forwarding: true,
            relay: true,
            loops: LoopPolicy::default(),
            peer_rules: Vec::new(),
            overflow_policy: OverflowPolicy::default(),
            retry_jitter: 0.1,
            retry_max: None,
            log_level: Severity::Warning,
            stats_window: Duration::from_secs(60),
            count_prefixes: BTreeSet::new(),
            limits: Limits::default(),
        }
    }
}

/// The queue settings of known implementations, to be chosen by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Preset {
    /// The C++ library: 2048 messages for each peer, then the peer is cut.
    Broker,
    /// Zeek: 8192 messages for each peer, then the oldest are dropped, and messages of peers are
    /// not passed on.
    Zeek,
}

impl Config {
    /// The same configuration with no time above [`MAX_DURATION`].
    pub(crate) fn clamp_durations(mut self) -> Self {
        self.stats_window = self.stats_window.min(MAX_DURATION);
        self.retry_max = self.retry_max.map(|time| time.min(MAX_DURATION));
        self.limits = self.limits.clamp_durations();
        self
    }

    /// Takes the settings of a known implementation over.
    pub fn apply(&mut self, preset: Preset) {
        match preset {
            Preset::Broker => {
                self.limits.outbox_messages = const { NonZeroUsize::new(2048).unwrap() };
                self.overflow_policy = OverflowPolicy::Disconnect;
                self.forwarding = true;
            }
            Preset::Zeek => {
                self.limits.outbox_messages = const { NonZeroUsize::new(8192).unwrap() };
                self.overflow_policy = OverflowPolicy::DropOldest;
                self.forwarding = false;
            }
        }
    }
}
