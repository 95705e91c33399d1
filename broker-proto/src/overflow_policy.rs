use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What happens when a message arrives for a peer whose queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OverflowPolicy {
    /// The queue is discarded and the peering removed, as in the C++ library by default.
    Disconnect,
    /// The arriving message is dropped.
    DropNewest,
    /// The oldest waiting message is dropped, as in Zeek by default.
    #[default]
    DropOldest,
    /// Local publishers wait for room. Messages that are passed on for others cannot wait without
    /// holding up their sender's link; they are dropped like under `drop_newest`.
    Wait,
}

/// What happens when a message arrives for a local consumer whose queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SubscriberPolicy {
    /// The arriving message is dropped.
    DropNewest,
    /// The oldest waiting message is dropped.
    #[default]
    DropOldest,
    /// Whoever delivers waits: local publishers, and the links that bring messages for this
    /// consumer, which in time fills the queues at the other end of these links.
    Wait,
}

impl From<SubscriberPolicy> for OverflowPolicy {
    fn from(policy: SubscriberPolicy) -> Self {
        match policy {
            SubscriberPolicy::DropNewest => Self::DropNewest,
            SubscriberPolicy::DropOldest => Self::DropOldest,
            SubscriberPolicy::Wait => Self::Wait,
        }
    }
}

/// The text names no overflow policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown overflow policy {0:?} (expected disconnect, drop_newest, drop_oldest or wait)")]
pub struct UnknownPolicy(String);

impl OverflowPolicy {
    /// The name in configurations and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Disconnect => "disconnect",
            Self::DropNewest => "drop_newest",
            Self::DropOldest => "drop_oldest",
            Self::Wait => "wait",
        }
    }
}

impl FromStr for OverflowPolicy {
    type Err = UnknownPolicy;

    fn from_str(text: &str) -> Result<Self, UnknownPolicy> {
        [Self::Disconnect, Self::DropNewest, Self::DropOldest, Self::Wait]
            .into_iter()
            .find(|policy| policy.name() == text)
            .ok_or_else(|| UnknownPolicy(text.chars().take(64).collect()))
    }
}

impl fmt::Display for OverflowPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
