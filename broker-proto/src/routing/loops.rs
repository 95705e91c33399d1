//! Circles through peers of version 1, whose messages have nothing that tells one from another.

use crate::EndpointId;
use crate::wire::DEFAULT_TTL;
use crate::wire::envelope::Envelope;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

/// What becomes of a message that comes again, with fewer hops left, from a peer of version 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum LoopPolicy {
    /// It is reported and goes on, until it has no hop left.
    #[default]
    Warn,
    /// It is reported and dropped.
    Drop,
}

impl LoopPolicy {
    /// The name in configurations.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Warn => "warn",
            Self::Drop => "drop",
        }
    }
}

impl fmt::Display for LoopPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How long a message may be on its way round a circle. The same content that is published again
/// later is no sign of one.
const WINDOW: Duration = Duration::from_secs(10);

/// Messages that are remembered at least; twice as many at most.
const REMEMBERED: usize = 4096;

/// Recognizes messages that come back through peers of version 1, by what they say: the same
/// content with fewer hops left.
///
/// Only a relay sends messages with less than all hops. As long as no peer of version 1 has done
/// so nothing is remembered, and a message costs no more than a comparison.
#[derive(Debug, Default)]
pub(super) struct Loops {
    policy: LoopPolicy,
    watching: AtomicBool,
    keys: RandomState,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    recent: HashMap<u64, First>,
    older: HashMap<u64, First>,
}

/// How a message has come first.
#[derive(Debug, Clone, Copy)]
struct First {
    from: EndpointId,
    ttl: u16,
    at: Duration,
}

impl Loops {
    pub(super) fn new(policy: LoopPolicy) -> Self {
        Self { policy, ..Self::default() }
    }

    pub(super) fn drops(&self) -> bool {
        self.policy == LoopPolicy::Drop
    }

    /// Whether a peer of version 1 has passed on messages of others.
    #[inline]
    pub(super) fn is_watching(&self) -> bool {
        self.watching.load(Relaxed)
    }

    /// A message has come from a peer of version 1. If it has been here before, with more hops
    /// left, returns from whom.
    #[inline]
    pub(super) fn came_back(
        &self,
        message: &Envelope<'_>,
        from: EndpointId,
        now: Duration,
    ) -> Option<EndpointId> {
        if message.ttl >= DEFAULT_TTL && !self.is_watching() {
            return None;
        }
        self.watching.store(true, Relaxed);
        self.note(message, from, now)
    }

    /// A message goes to a peer of version 1, from which it may come back.
    #[inline(never)]
    pub(super) fn note(
        &self,
        message: &Envelope<'_>,
        from: EndpointId,
        now: Duration,
    ) -> Option<EndpointId> {
        let Envelope { receiver, kind, ttl, topic, payload, .. } = *message;
        let key = self.keys.hash_one((receiver, kind, topic, payload));
        let mut seen = self.seen.lock();
        let known = seen.recent.get(&key).or_else(|| seen.older.get(&key)).copied();
        if let Some(first) = known.filter(|first| now.saturating_sub(first.at) < WINDOW) {
            if ttl < first.ttl {
                return Some(first.from);
            }
            if ttl == first.ttl {
                return None;
            }
        }
        if seen.recent.len() >= REMEMBERED {
            seen.older = mem::take(&mut seen.recent);
        }
        seen.recent.insert(key, First { from, ttl, at: now });
        None
    }
}
