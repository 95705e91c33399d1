//! Why a value is not what was asked for.

use crate::Kind;
use crate::path::{Path, Step};
use std::fmt;

/// A value that does not convert, with the place of the part that is to blame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConversionError {
    problem: Box<Problem>,
    path: Path,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Problem {
    Kind { expected: &'static str, found: Kind },
    Range { expected: &'static str, found: i128 },
    Length { expected: usize, found: usize },
    NotUtf8,
    Other(String),
}

impl ConversionError {
    fn new(problem: Problem) -> Self {
        Self { problem: Box::new(problem), path: Path::default() }
    }

    /// Something went wrong in the conversion of an own type; `message` is what [`Display`](fmt)
    /// shows.
    pub fn custom(message: impl Into<String>) -> Self {
        Self::new(Problem::Other(message.into()))
    }

    /// A value of another kind; `expected` is the name of the kind, or of a type that has no kind
    /// of its own.
    #[must_use]
    pub fn kind(expected: &'static str, found: Kind) -> Self {
        Self::new(Problem::Kind { expected, found })
    }

    pub(super) fn range(expected: &'static str, found: impl Into<i128>) -> Self {
        Self::new(Problem::Range { expected, found: found.into() })
    }

    pub(super) fn length(expected: usize, found: usize) -> Self {
        Self::new(Problem::Length { expected, found })
    }

    pub(super) fn not_utf8() -> Self {
        Self::new(Problem::NotUtf8)
    }

    /// The same error, seen from the vector (or set) whose element at `index` it is about.
    #[must_use]
    pub fn in_element(self, index: usize) -> Self {
        self.inside(Step::Index(index))
    }

    pub(super) fn inside(mut self, step: Step) -> Self {
        self.path.inside(step);
        self
    }
}

impl fmt::Display for ConversionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.problem {
            Problem::Kind { expected, found } => {
                write!(f, "expected {expected}, found {}", found.name())?;
            }
            Problem::Range { expected, found } => {
                write!(f, "expected {expected}, found {found}, which is out of range")?;
            }
            Problem::Length { expected, found } => {
                write!(f, "expected vector of {expected} elements, found {found}")?;
            }
            Problem::NotUtf8 => f.write_str("expected UTF-8, found other bytes")?,
            Problem::Other(message) => f.write_str(message)?,
        }
        if self.path.is_root() { Ok(()) } else { write!(f, " at {}", self.path) }
    }
}

impl std::error::Error for ConversionError {}
