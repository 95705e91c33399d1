//! The records of log streams, in the serialization that Zeek's nodes use among themselves: one by
//! one in [`LogWrite`](super::LogWrite) messages of Broker, and in batches with their columns in
//! front ([`LogBatch`]) where a cluster uses ZeroMQ.
//!
//! Everything is big-endian. A record has no length of its own, so it has to be read to find where
//! it ends. Nothing is allocated ahead of the bytes that are there.

mod batch;
mod column;
mod reader;
mod value;

pub use batch::{LogBatch, LogBatchView, record_of_write, row_of_write, serial_of_record};
pub use column::{Column, LogType};
pub use value::{LogValue, write_json_row};

/// Why bytes are no records of a log stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {at}")]
pub struct InvalidLog {
    what: &'static str,
    at: usize,
}
