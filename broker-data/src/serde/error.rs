use crate::path::{Path, Step};
use crate::{Kind, Value};
use std::fmt;

/// Why a type and a value do not convert into each other, and at which part.
#[derive(Clone, PartialEq, Eq)]
pub struct Error(Box<Inner>);

#[derive(Clone, PartialEq, Eq)]
struct Inner {
    message: String,
    path: Path,
}

impl Error {
    pub(super) fn new(message: impl fmt::Display) -> Self {
        Self(Box::new(Inner { message: message.to_string(), path: Path::default() }))
    }

    pub(super) fn kind(expected: &str, found: &Value) -> Self {
        Self::new(format_args!("expected {expected}, found {}", found.kind().name()))
    }

    pub(super) fn of_kind(expected: Kind, found: &Value) -> Self {
        Self::kind(expected.name(), found)
    }

    pub(super) fn inside(mut self, step: Step) -> Self {
        self.0.path.inside(step);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        if self.0.path.is_root() { Ok(()) } else { write!(f, " at {}", self.0.path) }
    }
}

impl fmt::Debug for Error {
    /// What a program shows that returns it from `main`: the text, not how it is stored.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({self})")
    }
}

impl std::error::Error for Error {}

impl serde::ser::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message)
    }
}

impl serde::de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(message)
    }
}
