//! Log batches, which nodes of a cluster push to its loggers and which never go through the proxy.

mod outward;
mod pull;
mod push;

pub(super) use outward::Outward;
pub(super) use pull::LogTap;
pub(super) use push::Loggers;

/// What the first part of a message with a batch says.
const LOG_WRITE: &[u8] = b"log-write";
/// The serialization of batches.
const SERIALIZER: &[u8] = b"zeek-bin-serializer";

/// In front of the stream, the topic of log messages in the overlay.
const TOPIC: &str = "zeek/logs/";
