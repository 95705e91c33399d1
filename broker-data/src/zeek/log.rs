//! Log streams and global variables.

use crate::{BString, EnumValue, Value};

/// The creation of a log stream.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct LogCreate {
    /// The stream, for example `Conn::LOG`.
    pub stream: EnumValue,
    /// The writer, for example `Log::WRITER_ASCII`.
    pub writer: EnumValue,
    /// What the writer needs to know. Zeek sends a vector of path, rotation base, rotation interval
    /// and network time (reals), a table with the configuration and the name of the post-processor.
    pub writer_info: Value,
    /// The columns. Zeek sends a vector of vectors of name, secondary name or nil, type and subtype
    /// (counts) and whether the column is optional.
    pub fields: Value,
}

/// One record of a log stream. Zeek sends them in batches only.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct LogWrite {
    /// The stream, for example `Conn::LOG`.
    pub stream: EnumValue,
    /// The writer, for example `Log::WRITER_ASCII`.
    pub writer: EnumValue,
    /// The path, for example `conn`.
    pub path: BString,
    /// The record in Zeek's own serialization.
    pub record: BString,
}

/// A new value for a global variable.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct IdentifierUpdate {
    /// The name of the variable.
    pub identifier: BString,
    /// The new value; may be none.
    pub value: Value,
}
