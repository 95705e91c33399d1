//! Why a value is not a Zeek message.

use super::MessageType;
use crate::Kind;
use crate::path::{Path, Step};
use std::fmt;

/// What is wrong with a value that should be a Zeek message, and with which element of it.
#[derive(Clone, PartialEq, Eq)]
pub struct InvalidMessage {
    problem: Problem,
    path: Path,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Problem {
    Kind { what: &'static str, expected: Kind, found: Kind },
    Short { what: &'static str, least: usize, found: usize },
    Version(u64),
    Type(u64),
    EntryLength(usize),
    BatchDepth(usize),
    Another(MessageType),
}

impl InvalidMessage {
    #[cold]
    pub(super) fn new(problem: Problem) -> Self {
        Self { problem, path: Path::default() }
    }

    /// A valid message that is no event.
    #[cold]
    pub(super) fn another(found: MessageType) -> Self {
        Self::new(Problem::Another(found))
    }

    #[cold]
    pub(super) fn inside(mut self, index: usize) -> Self {
        self.path.inside(Step::Index(index));
        self
    }
}

impl fmt::Display for InvalidMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problem {
            Problem::Kind { what, expected, found } => {
                write!(f, "{what} must be of type {}, not {}", expected.name(), found.name())?;
            }
            Problem::Short { what, least, found } => {
                write!(f, "{what} must have at least {least} elements, not {found}")?;
            }
            Problem::Version(version) => {
                write!(f, "unknown format version {version}, only 1 is known")?;
            }
            Problem::Type(number) => {
                write!(f, "unknown message type {number}, only 1 to 5 are known")?;
            }
            Problem::EntryLength(found) => {
                write!(f, "metadata entry must have exactly 2 elements, not {found}")?;
            }
            Problem::BatchDepth(limit) => {
                write!(f, "more than {limit} batches inside each other")?;
            }
            Problem::Another(found) => {
                write!(f, "the message is no event but of the type {found:?}")?;
            }
        }
        if self.path.is_root() { Ok(()) } else { write!(f, " at {}", self.path) }
    }
}

impl fmt::Debug for InvalidMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InvalidMessage({self})")
    }
}

impl std::error::Error for InvalidMessage {}
