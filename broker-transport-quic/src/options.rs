use broker_core::Limits;
use broker_core::limits::seconds;
use serde::{Deserialize, Serialize};
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

/// How connections behave, and what is bounded. In a configuration file each field that is not one
/// of [`Limits`] is the key of the same name, with hyphens; times are seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct QuicOptions {
    /// How long an address may take to answer at all. Default 5 s, the longer one of
    /// [`Limits::connect_time`] and half of [`Limits::handshake_time`]: no cheaper layer below
    /// answers first, so a listener that many dial at once needs the time of a handshake.
    #[serde(skip)]
    pub connect_time: Duration,

    /// How long the handshake of QUIC may take from the first answer on. Default half of
    /// [`Limits::handshake_time`], which leaves the other half to the handshake of Broker.
    #[serde(skip)]
    pub handshake_time: Duration,

    /// How long the resolver may take for a name. Default 10 s.
    #[serde(serialize_with = "seconds::serialize", deserialize_with = "seconds::positive")]
    pub resolve_time: Duration,

    /// How long nothing may arrive before the connection counts as lost; the smaller one of both
    /// sides is in force. An idle side sends a probe every third of this time, so a dead path is
    /// noticed within four thirds of it. At least 100 ms are in force. Default 4 s.
    #[serde(serialize_with = "seconds::serialize", deserialize_with = "seconds::positive")]
    pub idle_timeout: Duration,

    /// How long bytes that are still in flight when a connection is let go may take to arrive,
    /// as long as the process lives. Default 10 s.
    #[serde(with = "seconds")]
    pub linger: Duration,

    /// Which order this side wants. Default [`Order::PerTopic`].
    pub order: Order,

    /// How the rate is found that the path can carry. Default [`Congestion::Cubic`].
    pub congestion: Congestion,

    /// Bytes that may be in flight on one stream: the most one topic gets out of a link is this
    /// much for each round trip. Both directions may hold as much for each of their 17 streams.
    /// At least 16 KiB are in force. Default 2 MiB.
    pub stream_window: NonZeroU32,

    /// Bytes for streams that are not ready for them, beyond which other streams wait too. One
    /// frame may exceed it. Default 8 MiB.
    pub backlog: NonZeroUsize,

    /// Bytes of received frames above 64 KiB that are put together at the same time. One frame may
    /// exceed it if it is alone. Default 64 MiB.
    pub assembly: NonZeroUsize,

    /// The largest frame, as [`Limits::frame`]. Default 64 MiB.
    #[serde(skip)]
    pub frame: usize,

    /// The largest frame before the peering is established, as [`Limits::filter_frame`].
    /// Default 64 KiB.
    #[serde(skip)]
    pub handshake_frame: usize,
}

/// Which frames arrive in the order in which they were sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Order {
    /// Those on the same topic. Frames on different topics may overtake each other, so a large or a
    /// lost one does not hold up the others.
    #[default]
    PerTopic,
    /// All, as over TCP. Either side can ask for it, for both directions.
    Total,
}

/// How the rate is found that a path can carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Congestion {
    /// By filling it until packets are lost, as most systems do for TCP. Fair to others, and slow
    /// where packets are lost for other reasons.
    #[default]
    Cubic,
    /// By measuring it, whatever is lost; much faster on a lossy path, at the cost of others on it.
    /// The implementation is younger.
    Bbr,
}

impl Default for QuicOptions {
    fn default() -> Self {
        Self::from_limits(&Limits::default())
    }
}

impl QuicOptions {
    /// The defaults with what `limits` sets.
    #[must_use]
    pub fn from_limits(limits: &Limits) -> Self {
        Self {
            connect_time: limits.connect_time.max(limits.handshake_time / 2),
            handshake_time: limits.handshake_time / 2,
            resolve_time: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(4),
            linger: Duration::from_secs(10),
            order: Order::default(),
            congestion: Congestion::default(),
            stream_window: const { NonZeroU32::new(2 * 1024 * 1024).unwrap() },
            backlog: const { NonZeroUsize::new(8 * 1024 * 1024).unwrap() },
            assembly: const { NonZeroUsize::new(64 * 1024 * 1024).unwrap() },
            frame: limits.frame.get(),
            handshake_frame: limits.filter_frame(),
        }
    }

    /// The same with what `limits` sets.
    #[must_use]
    pub fn within(self, limits: &Limits) -> Self {
        let Self { connect_time, handshake_time, frame, handshake_frame, .. } =
            Self::from_limits(limits);
        Self { connect_time, handshake_time, frame, handshake_frame, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_from_a_configuration_file_and_limits_are_not_among_them() {
        let options: QuicOptions =
            toml::from_str("idle-timeout = 1.5\norder = 'total'\nstream-window = 65536").unwrap();
        let expected = QuicOptions {
            idle_timeout: Duration::from_millis(1500),
            order: Order::Total,
            stream_window: NonZeroU32::new(65536).unwrap(),
            ..QuicOptions::default()
        };
        assert_eq!(options, expected);
        let limits = Limits { frame: NonZeroUsize::new(3_000_000).unwrap(), ..Limits::default() };
        assert_eq!(options.within(&limits), QuicOptions { frame: 3_000_000, ..expected });
        for wrong in ["frame = 1", "idle-timeout = -1", "order = 'any'"] {
            toml::from_str::<QuicOptions>(wrong).unwrap_err();
        }
    }

    #[test]
    fn what_would_let_nothing_through_is_refused() {
        for key in ["idle-timeout", "resolve-time", "stream-window", "backlog", "assembly"] {
            let error = toml::from_str::<QuicOptions>(&format!("{key} = 0")).unwrap_err();
            let text = error.to_string();
            assert!(text.contains(key), "{key}: {error}");
            assert!(text.contains("too little") || text.contains("nonzero"), "{key}: {error}");
        }
        toml::from_str::<QuicOptions>("linger = 0").unwrap();
    }
}
