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
    /// What was found.
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blame: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    meaning: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<&'static str>,
    /// What a layer has to tell beyond the message.
    #[serde(flatten)]
    details: serde_json::Map<String, serde_json::Value>,
}

impl Check {
    pub(super) fn passed(layer: &'static str, message: impl Into<String>) -> Self {
        Self {
            layer,
            ok: true,
            message: message.into(),
            seconds: None,
            reason: None,
            blame: None,
            meaning: None,
            advice: None,
            details: serde_json::Map::new(),
        }
    }

    pub(super) fn failed(layer: &'static str, finding: &Finding) -> Self {
        let reason = finding.failure.reason();
        Self {
            ok: false,
            reason: Some(reason.name()),
            blame: Some(reason.blame().name()),
            meaning: Some(reason.meaning()),
            advice: Some(reason.advice()),
            ..Self::passed(layer, finding.message())
        }
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
        let word = if self.ok { "ok" } else { "FAILED" };
        write!(f, "{word:<6}  {:<9}  {}", self.layer, self.message)?;
        if let Some(seconds) = self.seconds {
            write!(f, " ({:.1} ms)", seconds * 1e3)?;
        }
        Ok(())
    }
}

/// The end of the examination.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename = "verdict")]
pub(super) struct Verdict {
    ok: bool,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    blame: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    meaning: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<&'static str>,
}

impl Verdict {
    pub(super) fn healthy(url: &broker::Url) -> Self {
        let message = format!("{url} can be peered with");
        Self { ok: true, message, reason: None, blame: None, meaning: None, advice: None }
    }

    pub(super) fn of(finding: &Finding) -> Self {
        let reason = finding.failure.reason();
        Self {
            ok: false,
            message: finding.message(),
            reason: Some(reason.name()),
            blame: Some(reason.blame().name()),
            meaning: Some(reason.meaning()),
            advice: Some(reason.advice()),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.ok {
            return write!(f, "All is well: {}.", self.message);
        }
        let part = |text: Option<&'static str>| text.unwrap_or_default();
        write!(
            f,
            "What it means: {} To be looked at: {}. What to try: {}",
            part(self.meaning),
            part(self.blame),
            part(self.advice)
        )
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

impl From<broker::transport::TransportError> for Finding {
    fn from(error: broker::transport::TransportError) -> Self {
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
