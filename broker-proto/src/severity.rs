/// How much an entry of the log matters; the first is the gravest.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Severity {
    /// Normal operation is most likely lost.
    Critical,
    /// A part has failed for good.
    Error,
    /// Something unexpected that may pass.
    Warning,
    /// Noteworthy normal activity.
    Info,
    /// Background detail.
    Verbose,
    /// For troubleshooting.
    Debug,
}

impl Severity {
    /// The name, in lower case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
            Self::Verbose => "verbose",
            Self::Debug => "debug",
        }
    }
}
