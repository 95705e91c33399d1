//! What went wrong, before it becomes a Python exception.

use broker::{PeerError, PublishError, Reason, TransportError};
use pyo3::prelude::*;

/// A failure that can be told without the interpreter.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    kind: &'static str,
    reason: Option<Reason>,
    text: String,
}

impl Fault {
    pub(crate) fn new(kind: &'static str, text: impl ToString) -> Self {
        Self { kind, reason: None, text: text.to_string() }
    }

    pub(crate) fn closed(text: &str) -> Self {
        Self::new("closed", text)
    }

    /// The exception, of which `zeek_broker._errors` picks the class.
    pub(crate) fn raise(&self, py: Python<'_>) -> PyErr {
        let exception = || {
            let reason = self.reason.map(Reason::name);
            let advice = self.reason.map(Reason::advice);
            let errors = py.import("zeek_broker._errors")?;
            errors.getattr("make")?.call1((self.kind, reason, &self.text, advice))
        };
        exception().map_or_else(|error| error, PyErr::from_value)
    }
}

impl From<PeerError> for Fault {
    fn from(error: PeerError) -> Self {
        Self { kind: "peer", reason: Some(error.failure.reason()), text: error.to_string() }
    }
}

impl From<TransportError> for Fault {
    fn from(error: TransportError) -> Self {
        Self { kind: "transport", reason: Some(error.kind().reason()), text: error.to_string() }
    }
}

impl From<PublishError> for Fault {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::ShutDown => Self::closed("the endpoint has been shut down"),
            error => Self::new("data", error),
        }
    }
}
