//! Endpoints of one CA, and what is expected of their handshakes.

use super::{Outcome, tls};
use crate::pki::{Authority, Files, Issued};
use broker_core::transport::Protection;
use broker_tls::Tls;

pub fn authenticated(name: &str) -> Outcome {
    Ok(Protection::Authenticated(name.to_owned()))
}

/// Checks that both sides failed, with these words in their messages.
#[track_caller]
pub fn assert_refused(outcomes: (Outcome, Outcome), dialler: &str, acceptor: &str) {
    let (dialler_says, acceptor_says) = (outcomes.0.unwrap_err(), outcomes.1.unwrap_err());
    assert!(dialler_says.contains(dialler), "the dialler says {dialler_says:?}");
    assert!(acceptor_says.contains(acceptor), "the acceptor says {acceptor_says:?}");
}

/// A CA with a good endpoint, against which others are tried.
pub struct Setting {
    pub files: Files,
    pub ca: Authority,
    pub good: Tls,
}

impl Setting {
    pub fn new() -> Self {
        let (files, ca) = (Files::new(), Authority::new("the CA"));
        let good = from(&files, &ca);
        Self { files, ca, good }
    }

    /// An endpoint that presents `issued` and trusts the CA.
    pub fn endpoint(&self, issued: &Issued) -> Tls {
        tls(self.files.options("other", issued, &self.ca.pem))
    }
}

/// An endpoint of a CA that trusts this one CA.
pub fn from(files: &Files, ca: &Authority) -> Tls {
    tls(files.options("good", &ca.issue("good"), &ca.pem))
}
