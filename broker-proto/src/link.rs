//! What is known about an open connection, whichever transport carries it.

use crate::Address;
use std::fmt;

/// What is known about an open connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The other side's address, in the scheme of the transport.
    pub remote: Address,
    /// What protects the link.
    pub protection: Protection,
}

/// What protects a link against others on its path.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protection {
    /// The link never leaves this process.
    InProcess,
    /// The link never leaves this machine, whose system says who is at the other side.
    SameHost {
        /// The number of the user.
        user: u32,
        /// The number of the process, where the system tells it.
        process: Option<i32>,
    },
    /// Nothing.
    Plain,
    /// Encrypted, but nobody knows with whom.
    Encrypted,
    /// Encrypted, and the other side proved to be the one named here.
    Authenticated(String),
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InProcess => f.write_str("in process"),
            Self::SameHost { user, process: Some(process) } => {
                write!(f, "same host, user {user}, process {process}")
            }
            Self::SameHost { user, process: None } => write!(f, "same host, user {user}"),
            Self::Plain => f.write_str("plain"),
            Self::Encrypted => f.write_str("encrypted, not authenticated"),
            Self::Authenticated(name) => write!(f, "authenticated as {name}"),
        }
    }
}
