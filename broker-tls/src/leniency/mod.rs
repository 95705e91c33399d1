//! Certificates that OpenSSL accepts and strict libraries do not.
//!
//! They are accepted because sites of the C++ Broker have them, named in the log whenever one is
//! used, and refused if [`TlsOptions::strict`](crate::TlsOptions::strict) is set. What is accepted,
//! who needs it and what it risks is said in the file of each kind.

pub(crate) mod ca_as_leaf;
pub(crate) mod version_1;

use crate::x509::Certificate;
use ca_as_leaf::CA_AS_LEAF;
use version_1::VERSION_1;

/// One kind of such certificates.
pub(crate) struct Leniency {
    pub(crate) applies: fn(&Certificate<'_>) -> bool,
    /// As in "the certificate ...".
    pub(crate) what: &'static str,
    pub(crate) risk: &'static str,
    pub(crate) cure: &'static str,
}

impl Leniency {
    /// The kind of the certificate of an endpoint, if it is of such a kind.
    pub(crate) fn of(leaf: &Certificate<'_>) -> Option<&'static Self> {
        [&VERSION_1, &CA_AS_LEAF].into_iter().find(|kind| (kind.applies)(leaf))
    }

    /// What the log says when `whose` is used, as in `the certificate "CN=x"`.
    pub(crate) fn used(&self, whose: &str) -> String {
        let Self { what, risk, cure, .. } = self;
        format!("{whose} {what}, and is accepted though {risk}; {cure} (strict refuses it)")
    }

    /// Why `whose` is refused.
    pub(crate) fn refused(&self, whose: &str) -> String {
        let Self { what, risk, cure, .. } = self;
        format!("{whose} {what}, which the option strict refuses because {risk}; {cure}")
    }
}
