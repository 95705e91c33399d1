//! When the certificates that are in use end.

use crate::x509::Certificate;
use std::time::{Duration, SystemTime};

/// So long before a certificate ends it is time for a new one.
const AHEAD: Duration = Duration::from_secs(14 * DAY);

pub(crate) const DAY: u64 = 24 * 60 * 60;

/// A certificate, and when it ends.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CertificateEnd {
    /// `own` for the own certificate and those that are presented with it, `ca` for one that is
    /// trusted.
    pub role: &'static str,
    /// Whose it is, as names in certificates are shown.
    pub subject: String,
    /// The last moment of its validity.
    pub at: SystemTime,
    /// The certificate as messages call it.
    whose: String,
    /// What to do about it.
    advice: &'static str,
    at_shown: String,
}

impl CertificateEnd {
    /// When `certificate` ends, which messages call `whose`.
    pub(crate) fn new(
        role: &'static str,
        certificate: &Certificate<'_>,
        whose: String,
        advice: &'static str,
    ) -> Self {
        let at = u64::try_from(certificate.not_after().timestamp()).unwrap_or_default();
        // A year has at most four digits.
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(at);
        let at_shown = certificate.not_after().to_string();
        Self { role, subject: certificate.name(), at, whose, advice, at_shown }
    }

    /// A sentence that names the certificate, if it has ended or does within the next 14 days.
    #[must_use]
    pub fn warning(&self, now: SystemTime) -> Option<String> {
        let Self { whose, advice, at_shown, .. } = self;
        let Ok(left) = self.at.duration_since(now) else {
            return Some(format!("{whose} expired at {at_shown}; {advice}"));
        };
        let left = match left.as_secs() {
            _ if left > AHEAD => return None,
            seconds @ 0..DAY => format!("{} hours", seconds / (60 * 60)),
            seconds if seconds < 2 * DAY => "1 day".to_owned(),
            seconds => format!("{} days", seconds / DAY),
        };
        Some(format!("{whose} ends in {left}, at {at_shown}; {advice}"))
    }
}
