//! Everything that is bounded, in one place: name, default and reason.

use serde::{Deserialize, Serialize};
use std::num::NonZeroUsize;
use std::time::Duration;

/// The least room a read gets. A connection that waits for its next frame holds none.
pub const READ_CHUNK_MIN: usize = 2 * 1024;

/// The most room a read gets: how far memory may run ahead of received bytes.
pub const READ_CHUNK_MAX: usize = 64 * 1024;

/// Small frames are copied into segments of this size, the unit of one write.
pub const SEGMENT: usize = 64 * 1024;

/// Frames from this size on are shared between their destinations instead of being copied.
pub const SHARED_FRAME_MIN: usize = 4 * 1024;

/// How much a writer takes from a queue at once, so that the bound of the queue covers nearly all
/// that is waiting.
pub const WRITE_BATCH: usize = 256 * 1024;

/// The longest topic: its length travels in 16 bits.
pub const TOPIC: usize = 0xffff;

/// The destinations of longer topics are looked up each time: topics as long as they may be would
/// make much of what is remembered.
pub const CACHED_TOPIC_LEN_MAX: usize = 256;

/// The longest time that an endpoint reckons with: a hundred years. Longer ones count as that, so
/// that no sum of times overflows.
pub const MAX_DURATION: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// How much may be known about an overlay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverlayLimits {
    /// Relays and those they serve.
    pub endpoints: usize,
    /// Bytes of what they claim.
    pub bytes: usize,
    /// Bytes of one topic.
    pub topic: usize,
}

/// How large a filter may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FilterLimits {
    /// The most entries.
    pub entries: usize,
    /// The most bytes of one entry.
    pub entry: usize,
    /// The most bytes of all entries together.
    pub bytes: usize,
}

/// The smallest limit of frames in a handshake that makes sense: every message of it without a
/// filter is shorter.
pub const HANDSHAKE_FRAME_MIN: usize = 64;

/// The smallest limit of frames that makes sense: every ping that ends a peering and a small
/// message are shorter.
pub const FRAME_MIN: usize = 128;

/// The smallest limit of waiting control frames that makes sense: the two messages that lead a
/// handshake fit, and a few pongs.
pub const CONTROL_BYTES_MIN: usize = 256;

/// The smallest budget of memory that makes sense: what a few connections need to read and write.
pub const MEMORY_MIN: usize = 1024 * 1024;

/// A limit that cannot work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidLimit {
    /// A number is too small.
    #[error("the limit {key} is {value}, which lets nothing through; the smallest is {least}")]
    TooSmall {
        /// The key in a configuration file.
        key: &'static str,
        /// What was configured.
        value: usize,
        /// What would do.
        least: usize,
    },
    /// A time in which nothing can be done.
    #[error("the limit {0} is zero, which is no time for anything")]
    NoTime(&'static str),
}

/// Bytes that stand for the length of a topic in a filter, at most.
const LENGTH_OF_ENTRY: usize = 4;

/// The configurable limits of an endpoint. In a configuration file each one is the key of the same
/// name, with hyphens, in the table `limits`; times are seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Limits {
    /// The largest frame before the other side has said who it is, in bytes. Default 64 KiB, far
    /// above what a greeting needs. After that a handshake may carry a whole filter, see
    /// [`Self::filter_frame`].
    pub handshake_frame: NonZeroUsize,

    /// The largest frame of an established peering, in bytes. Default 64 MiB, far above what Zeek
    /// sends; memory follows what has arrived, not what is announced.
    pub frame: NonZeroUsize,

    /// How long a connection may take from being open to being peered. Default 10 s: the C++ Broker
    /// waits forever, and so do those who attack it.
    #[serde(with = "seconds")]
    pub handshake_time: Duration,

    /// How long connecting to one address may take. Default 3 s.
    #[serde(with = "seconds")]
    pub connect_time: Duration,

    /// How long dialling may take in all: every address of a name, and the handshake of the
    /// transport. Default 30 s.
    #[serde(with = "seconds")]
    pub dial_time: Duration,

    /// Connections that are accepted and not peered yet, or that are being closed. Default 1024, so
    /// that hundreds may come at once after a restart. The next one takes the place of the oldest
    /// from the address that has most of them, which is closed: an honest peer needs
    /// milliseconds, while whoever wants to fill the places holds them.
    pub half_open: NonZeroUsize,

    /// Peers. Default 4096. When all places are taken, an address from which more than half of them
    /// were accepted gives its newest one to who comes from elsewhere; nobody else gives way.
    /// Clients are bounded by whoever serves them.
    pub peers: NonZeroUsize,

    /// Containers inside each other in one value. Default 64, which the JSON form of the C++ Broker
    /// can just express; its decoder overflows the stack instead. Numbers above 256 count as that,
    /// which every stack has room for.
    pub data_depth: usize,

    /// Entries in the filter of one peer. Default 16384; a peer that announces more is cut, and a
    /// local subscription that would make the own filter larger is refused.
    pub filter_entries: usize,

    /// Bytes of one entry in a filter. Default 1024, many times what Zeek uses; topics are mostly
    /// below a hundred, and what two entries have in common is gone through whenever one of them
    /// comes or goes. A peer that announces a longer one is cut, a local subscription to it is
    /// refused.
    pub filter_entry: usize,

    /// Bytes of all entries in the filter of one peer. Default 1 MiB; a peer that announces more
    /// is cut, and a local subscription that would make the own filter larger is refused. A frame
    /// may be much larger, and a filter stays as long as the peer does.
    pub filter_bytes: usize,

    /// How many more bad messages than good ones a peer may send before it is cut: malformed ones,
    /// ones in the name of somebody else, and ones on topics that are internal to an endpoint. None
    /// of them gets through. Default 1024: a conforming peer may pass on what somebody else has
    /// made and this side finds too deep, but it does not do little else.
    pub bad_messages: usize,

    /// Messages waiting for one peer. Default 8192, as in Zeek.
    pub outbox_messages: NonZeroUsize,

    /// Bytes of memory waiting for one peer. Default 64 MiB.
    pub outbox_bytes: NonZeroUsize,

    /// Bytes of routing updates, pings and pongs waiting for one peer. No policy drops these, so a
    /// peer that causes them without reading is cut here. Default 1 MiB.
    pub outbox_control_bytes: NonZeroUsize,

    /// Bytes of memory that the connections and local consumers of the endpoint hold in all: what
    /// waits in the queues of peers, clients, subscribers and hubs, and frames that have not
    /// arrived in full. Beyond it whoever holds most gives way first: a queue as its policy says,
    /// the connection of an unfinished frame is cut. A message that waits in several queues and is
    /// shared by them counts for each. Default 1 GiB, which 16 peers that read nothing reach and a
    /// working overlay does not; 0 is no bound but those of each connection. What a connection
    /// needs in any case, some hundred KiB at most, does not count.
    pub memory: usize,

    /// How long a frame of a peer may take from its first byte to its last; 0 is as long as it
    /// likes. Default 60 s: a frame of the largest size, 64 MiB, gets through a line of 10 Mbit/s,
    /// and whoever sends a byte now and then does not hold memory for long.
    #[serde(with = "seconds")]
    pub frame_time: Duration,

    /// How long a peer may accept no byte at all before it is cut, which happens at the latest when
    /// twice that time is over; 0 waits forever. Default 10 s.
    #[serde(with = "seconds")]
    pub stalled_write: Duration,

    /// How long a peer may take to acknowledge the end of a peering. Default 3 s, as in the
    /// C++ Broker.
    #[serde(with = "seconds")]
    pub bye: Duration,

    /// How long a peer may have been silent when a second connection claims to be that peer. After
    /// that it is pinged, and taken for lost if it is still silent when the time for the bye is
    /// over. Default 10 s; so a peer that vanished without a word and came back with its old id
    /// gets in again after seconds, while the C++ Broker refuses it until the operating system
    /// gives up.
    #[serde(with = "seconds")]
    pub liveness: Duration,

    /// How long a connection that is being closed may take to hand over its last bytes. Default
    /// 1 s.
    #[serde(with = "seconds")]
    pub linger: Duration,

    /// Messages waiting for one local subscriber or hub. Default 8192.
    pub subscriber_messages: NonZeroUsize,

    /// Bytes of memory waiting for one local subscriber or hub. Default 64 MiB.
    pub subscriber_bytes: NonZeroUsize,

    /// Events waiting for one event stream. Default 16384; the oldest go first, and are counted.
    /// The end of an endpoint makes two for each of its peers and clients at once.
    pub events: NonZeroUsize,

    /// Log events of one kind (level, id and reason) that are reported at once. After that there is
    /// one each second, with the number of those that were held back. Default 20: enough to see
    /// what is going on, and nobody can flood the log from outside.
    pub log_burst: NonZeroUsize,

    /// Ended peers that the registry remembers. Default 1024; the oldest go first.
    pub remembered_peers: usize,

    /// Peers that get a label of their own in the metrics. Default 256; the others share one, so
    /// that ever new peers do not make ever new time series.
    pub metrics_peers: usize,

    /// Topics whose destinations are remembered per routing table. Default 4096.
    pub routes_remembered: NonZeroUsize,

    /// Publishers of whom it is remembered which of their messages have been here, each with a
    /// window of 1 KiB. Default 4096; whoever has been silent longest goes first, and a message of
    /// theirs that comes again by another path is taken for a new one.
    pub streams_remembered: NonZeroUsize,

    /// Endpoints that something is known of because other relays have told: relays and those they
    /// serve. Default 16384; what cannot be reached is forgotten first, and then the neighbour is
    /// cut that has told the most.
    pub overlay_endpoints: NonZeroUsize,

    /// Bytes of what other relays have told of the overlay. Default 16 MiB, enough for ten topics
    /// of each of the endpoints; beyond it the neighbour is cut that has told the most.
    pub overlay_bytes: NonZeroUsize,
}

const fn number(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).expect("the defaults are not zero")
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake_frame: number(64 * 1024),
            frame: number(64 * 1024 * 1024),
            handshake_time: Duration::from_secs(10),
            connect_time: Duration::from_secs(3),
            dial_time: Duration::from_secs(30),
            half_open: number(1024),
            peers: number(4096),
            data_depth: 64,
            filter_entries: 16384,
            filter_entry: 1024,
            filter_bytes: 1024 * 1024,
            bad_messages: 1024,
            outbox_messages: number(8192),
            outbox_bytes: number(64 * 1024 * 1024),
            outbox_control_bytes: number(1024 * 1024),
            memory: 1024 * 1024 * 1024,
            frame_time: Duration::from_secs(60),
            stalled_write: Duration::from_secs(10),
            bye: Duration::from_secs(3),
            liveness: Duration::from_secs(10),
            linger: Duration::from_secs(1),
            subscriber_messages: number(8192),
            subscriber_bytes: number(64 * 1024 * 1024),
            events: number(16384),
            log_burst: number(20),
            remembered_peers: 1024,
            metrics_peers: 256,
            routes_remembered: number(4096),
            streams_remembered: number(4096),
            overlay_endpoints: number(16384),
            overlay_bytes: number(16 * 1024 * 1024),
        }
    }
}

impl Limits {
    /// Every time, for those who have to treat all of them alike.
    fn times(&mut self) -> [&mut Duration; 8] {
        [
            &mut self.handshake_time,
            &mut self.connect_time,
            &mut self.dial_time,
            &mut self.frame_time,
            &mut self.stalled_write,
            &mut self.bye,
            &mut self.liveness,
            &mut self.linger,
        ]
    }

    /// The largest frame of a handshake once the other side has said who it is: a filter of
    /// [`Self::filter_bytes`] and [`Self::filter_entries`] fits. Whoever is let in with a filter
    /// that grows gets in again with it.
    #[must_use]
    pub fn filter_frame(&self) -> usize {
        let lengths = self.filter_entries.saturating_mul(LENGTH_OF_ENTRY);
        let filter = self.filter_bytes.saturating_add(lengths);
        let handshake = self.handshake_frame.get();
        handshake.saturating_add(filter).min(self.frame.get()).max(handshake)
    }

    /// Checks that an endpoint can work with these limits.
    ///
    /// # Errors
    ///
    /// One of them is too small; the text names its key and what would do.
    pub fn check(&self) -> Result<(), InvalidLimit> {
        let memory = if self.memory == 0 { MEMORY_MIN } else { self.memory };
        for (key, value, least) in [
            ("handshake-frame", self.handshake_frame.get(), HANDSHAKE_FRAME_MIN),
            ("frame", self.frame.get(), FRAME_MIN),
            ("outbox-control-bytes", self.outbox_control_bytes.get(), CONTROL_BYTES_MIN),
            ("memory", memory, MEMORY_MIN),
        ] {
            if value < least {
                return Err(InvalidLimit::TooSmall { key, value, least });
            }
        }
        for (key, time) in [
            ("handshake-time", self.handshake_time),
            ("connect-time", self.connect_time),
            ("dial-time", self.dial_time),
        ] {
            if time.is_zero() {
                return Err(InvalidLimit::NoTime(key));
            }
        }
        Ok(())
    }

    /// How large the filter of a peer may be, and the own one, since peers have such limits too.
    pub fn filter(&self) -> FilterLimits {
        let Self { filter_entries: entries, filter_entry: entry, filter_bytes: bytes, .. } = *self;
        FilterLimits { entries, entry, bytes }
    }

    /// How much may be known of the overlay.
    pub fn overlay(&self) -> OverlayLimits {
        OverlayLimits {
            endpoints: self.overlay_endpoints.get(),
            bytes: self.overlay_bytes.get(),
            topic: self.filter_entry,
        }
    }

    /// The same limits with no time above [`MAX_DURATION`].
    pub fn clamp_durations(mut self) -> Self {
        for time in self.times() {
            *time = (*time).min(MAX_DURATION);
        }
        self
    }
}

/// Times that may be absent, as seconds with a fraction; for `#[serde(with = "…")]`.
pub mod optional_seconds {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::time::Duration;

    /// Writes the number of seconds, or nothing.
    pub fn serialize<S: Serializer>(time: &Option<Duration>, to: S) -> Result<S::Ok, S::Error> {
        time.map(|time| time.as_secs_f64()).serialize(to)
    }

    /// Reads a number of seconds that may be absent.
    ///
    /// # Errors
    ///
    /// It is negative, not finite or too large.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
        Option::<f64>::deserialize(from)?.map(super::seconds::from_number).transpose()
    }
}

/// Times as seconds with a fraction, the form of every time in a configuration file; for
/// `#[serde(with = "…")]`.
pub mod seconds {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use std::time::Duration;

    /// Writes the number of seconds.
    pub fn serialize<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64(time.as_secs_f64())
    }

    /// Reads a number of seconds.
    ///
    /// # Errors
    ///
    /// It is negative, not finite or too large.
    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        from_number(f64::deserialize(from)?)
    }

    /// Reads a number above 0, for times in which something has to be done.
    ///
    /// # Errors
    ///
    /// Those of [`deserialize`], and 0.
    pub fn positive<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        match deserialize(from)? {
            Duration::ZERO => Err(D::Error::custom("0 seconds are too little, it has to be more")),
            time => Ok(time),
        }
    }

    pub(super) fn from_number<E: Error>(seconds: f64) -> Result<Duration, E> {
        Duration::try_from_secs_f64(seconds)
            .map_err(|_| E::custom(format!("{seconds} is not a number of seconds")))
    }
}
