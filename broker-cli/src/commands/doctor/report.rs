//! What the doctor says.

use crate::failure::{Exit, exit_code};
use broker::{Failure, Reason};
use serde::Serialize;
use std::fmt;
use std::time::Duration;

/// What came of one layer.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "check")]
pub(super) struct Check {
    layer: &'static str,
    ok: bool,
    #[serde(rename = "warning", skip_serializing_if = "std::ops::Not::not")]
    is_warning: bool,
    /// What was found.
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
    #[serde(flatten)]
    explanation: Option<Explanation>,
    /// What a layer has to tell beyond the message.
    #[serde(flatten)]
    details: serde_json::Map<String, serde_json::Value>,
}

impl Check {
    pub(super) fn passed(layer: &'static str, message: impl Into<String>) -> Self {
        Self {
            layer,
            ok: true,
            is_warning: false,
            message: message.into(),
            seconds: None,
            explanation: None,
            details: serde_json::Map::new(),
        }
    }

    /// Nothing that fails, but something to see to.
    #[cfg(any(feature = "tls", feature = "quic"))]
    pub(super) fn warning(layer: &'static str, message: impl Into<String>) -> Self {
        Self { is_warning: true, ..Self::passed(layer, message) }
    }

    pub(super) fn failed(layer: &'static str, finding: &Finding) -> Self {
        Self {
            ok: false,
            explanation: Some(finding.failure.reason().into()),
            ..Self::passed(layer, finding.message())
        }
    }

    /// The node has noticed a circle in its overlay.
    #[cfg(feature = "http")]
    pub(super) fn circle(message: String, circle: &crate::commands::map::Circle) -> Self {
        let explanation = Some(Reason::LoopDetected.into());
        Self { ok: false, explanation, ..Self::passed("overlay", message) }.with("circle", circle)
    }

    pub(super) fn took(mut self, time: Duration) -> Self {
        self.seconds = Some(time.as_secs_f64());
        self
    }

    /// Adds a member for programs.
    pub(super) fn with(mut self, name: &str, value: impl Serialize) -> Self {
        self.details.insert(name.to_owned(), serde_json::to_value(value).unwrap_or_default());
        self
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self {
            Self { is_warning: true, .. } => "WARN",
            Self { ok: true, .. } => "ok",
            Self { .. } => "FAILED",
        };
        write!(f, "{word:<6}  {:<9}  {}", self.layer, self.message)?;
        if let Some(seconds) = self.seconds {
            write!(f, " ({:.1} ms)", seconds * 1e3)?;
        }
        Ok(())
    }
}

/// What the table of reasons has to say about a failure.
#[derive(Debug, Serialize)]
struct Explanation {
    reason: &'static str,
    blame: &'static str,
    meaning: &'static str,
    advice: &'static str,
}

impl From<Reason> for Explanation {
    fn from(reason: Reason) -> Self {
        Self {
            reason: reason.name(),
            blame: reason.blame().name(),
            meaning: reason.meaning(),
            advice: reason.advice(),
        }
    }
}

/// The end of the examination.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "verdict")]
pub(super) struct Verdict {
    ok: bool,
    message: String,
    #[serde(flatten)]
    explanation: Option<Explanation>,
}

impl Verdict {
    pub(super) fn healthy(url: &broker::Address) -> Self {
        let message = format!("{url} can be peered with");
        Self { ok: true, message, explanation: None }
    }

    /// It can be peered with, and its overlay has a circle.
    #[cfg(feature = "http")]
    pub(super) fn circle(message: String) -> Self {
        Self { ok: false, message, explanation: Some(Reason::LoopDetected.into()) }
    }

    pub(super) fn ok(&self) -> bool {
        self.ok
    }

    pub(super) fn of(finding: &Finding) -> Self {
        let explanation = Some(finding.failure.reason().into());
        Self { ok: false, message: finding.message(), explanation }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.explanation {
            None => write!(f, "All is well: {}.", self.message),
            Some(Explanation { blame, meaning, advice, .. }) => write!(
                f,
                "What it means: {meaning} To be looked at: {blame}. What to try: {advice}"
            ),
        }
    }
}

/// What is wrong.
#[derive(Debug)]
pub(super) struct Finding {
    pub(super) failure: Failure,
    /// What was found out about it afterwards.
    pub(super) confirmed: Option<String>,
}

impl From<Failure> for Finding {
    fn from(failure: Failure) -> Self {
        Self { failure, confirmed: None }
    }
}

impl From<broker::core::transport::TransportError> for Finding {
    fn from(error: broker::core::transport::TransportError) -> Self {
        Failure::from(error).into()
    }
}

impl Finding {
    fn message(&self) -> String {
        match &self.confirmed {
            Some(confirmed) => format!("{}; {confirmed}", self.failure),
            None => self.failure.to_string(),
        }
    }

    /// The exit code of a command that has nothing but this to tell.
    pub(super) fn exit(&self) -> Exit {
        match (self.failure.reason(), exit_code(&self.failure)) {
            // Without a connection there is nothing to refuse it.
            (Reason::Refused, _) => Exit::CannotConnect,
            (_, Exit::Failure) => Exit::Refused,
            (_, exit) => exit,
        }
    }
}
