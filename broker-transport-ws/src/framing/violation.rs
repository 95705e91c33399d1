use std::fmt;

/// A code in a Close frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// The purpose of the connection is fulfilled.
    pub const NORMAL: Self = Self(1000);
    /// The side that closes is going away, as at the end of a program.
    pub const GOING_AWAY: Self = Self(1001);
    /// The other side broke the protocol.
    pub const PROTOCOL: Self = Self(1002);
    /// Stands for a Close frame without a code; never sent.
    pub const NONE: Self = Self(1005);
    /// Stands for the end of a connection without a Close frame; never sent.
    pub const ABNORMAL: Self = Self(1006);
    /// A text that is not UTF-8.
    pub const INVALID_TEXT: Self = Self(1007);
    /// The other side may not do what it tried.
    pub const POLICY: Self = Self(1008);
    /// A message that is too large.
    pub const TOO_BIG: Self = Self(1009);
    /// The side that closes cannot go on.
    pub const INTERNAL: Self = Self(1011);
    /// The side that closes has too much to do.
    pub const TRY_AGAIN_LATER: Self = Self(1013);
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Why a connection has to be closed, and with which code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason} (close code {code})")]
pub(crate) struct Violation {
    pub(crate) code: CloseCode,
    pub(crate) reason: String,
}

impl Violation {
    pub(crate) fn new(code: CloseCode, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }
}

/// The longest reason in a Close frame: a control frame has at most 125 bytes, two of them for the
/// code.
const REASON_MAX: usize = 123;

/// As much of a reason as fits into a Close frame.
pub(crate) fn fitting(reason: &str) -> &str {
    let mut end = reason.len().min(REASON_MAX);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    reason.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_cut_between_characters() {
        assert_eq!(fitting("short"), "short");
        let long = "\u{e9}".repeat(100);
        assert_eq!(fitting(&long).len(), 122);
    }
}
