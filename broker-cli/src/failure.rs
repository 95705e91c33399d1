//! How commands end: exit codes, and the message for the user.

use broker::core::transport::TransportError;
use broker::{Address, PeerError, Reason};
use std::fmt;
use std::process::ExitCode;

/// Why a command ended, as its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Nothing went wrong.
    Ok = 0,
    /// Something failed that has no code of its own.
    Failure = 1,
    /// The command line or a configuration file makes no sense.
    Usage = 2,
    /// No connection to a peer.
    CannotConnect = 3,
    /// A connection, but no peering: handshake or encryption refused it.
    Refused = 4,
    /// What was waited for did not happen in time.
    TimedOut = 5,
    /// Ended by a signal before it was done.
    Interrupted = 130,
}

/// The end of a command that did not do all it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    exit: Exit,
    /// What to tell; empty if there is nothing to say.
    message: String,
}

impl Failure {
    pub(crate) fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into() }
    }

    /// A failure without a code of its own.
    pub(crate) fn other(message: impl Into<String>) -> Self {
        Self::new(Exit::Failure, message)
    }

    /// Something in the command line that only shows when it is looked at as a whole.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// The reader of the output has closed it: there is nothing left to do or to report.
    pub(crate) fn closed_pipe() -> Self {
        Self::new(Exit::Ok, "")
    }

    /// A signal came before the command was done.
    pub(crate) fn interrupted() -> Self {
        Self::new(Exit::Interrupted, "")
    }

    /// Listening did not work.
    pub(crate) fn listening(error: &TransportError) -> Self {
        let exit = match error.reason() {
            Reason::UnsupportedScheme | Reason::InvalidAddress => Exit::Usage,
            _ => Exit::Failure,
        };
        Self::new(exit, error.to_string())
    }

    /// A peering did not come about.
    pub(crate) fn peering(url: &Address, error: &PeerError) -> Self {
        let exit = exit_code(&error.failure);
        let reason = error.failure.to_string();
        let place = if reason.contains(&url.to_string()) {
            String::new()
        } else {
            format!("cannot peer with {url}: ")
        };
        Self::new(exit, format!("{place}{reason}"))
    }

    /// Standard output cannot be written.
    pub(crate) fn output(error: &std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self::closed_pipe(),
            _ => Self::other(Self::describe_output(error)),
        }
    }

    /// What to tell about standard output that cannot be written.
    pub(crate) fn describe_output(error: &std::io::Error) -> String {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => "nobody reads standard output any more".to_owned(),
            _ => format!("writing to standard output: {error}"),
        }
    }

    pub(crate) fn message(&self) -> Option<&str> {
        Some(self.message.as_str()).filter(|message| !message.is_empty())
    }

    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// The exit code for a peering that did not come about.
pub(crate) fn exit_code(failure: &broker::Failure) -> Exit {
    match failure.reason() {
        Reason::UnsupportedScheme | Reason::InvalidAddress => Exit::Usage,
        Reason::HandshakeTimeout => Exit::TimedOut,
        // Only an open connection can be closed.
        Reason::Closed | Reason::Reset => Exit::Refused,
        Reason::Cancelled => Exit::Failure,
        // The problem is on this side, as for a listener: no peer has refused anything.
        _ if is_unusable_here(failure) => Exit::Failure,
        _ if failure.is_refusal() => Exit::Refused,
        _ if matches!(failure, broker::Failure::Transport(_)) => Exit::CannotConnect,
        _ => Exit::Failure,
    }
}

fn is_unusable_here(failure: &broker::Failure) -> bool {
    let broker::Failure::Transport(error) = failure else { return false };
    error.is_unusable_certificate()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peering(failure: broker::Failure) -> Failure {
        let url = Address::new("tcp", "host", 9);
        Failure::peering(&url, &PeerError { failure })
    }

    #[test]
    fn every_way_of_not_becoming_a_peer_has_its_exit_code() {
        let transport = |reason| peering(TransportError::new(reason, "connecting").into()).exit();
        for reason in [
            Reason::NameResolution,
            Reason::Refused,
            Reason::TimedOut,
            Reason::Unreachable,
            Reason::Io,
        ] {
            assert_eq!(transport(reason), Exit::CannotConnect);
        }
        for reason in [
            Reason::Tls,
            Reason::OwnCertificate,
            Reason::PeerWantsTls,
            Reason::NotBroker,
            Reason::AccessDenied,
            Reason::Closed,
            Reason::Reset,
        ] {
            assert_eq!(transport(reason), Exit::Refused);
        }
        let unusable = TransportError::unusable_certificate("connecting");
        assert_eq!(peering(unusable.into()).exit(), Exit::Failure);
        for reason in [Reason::UnsupportedScheme, Reason::InvalidAddress] {
            assert_eq!(transport(reason), Exit::Usage);
        }
        assert_eq!(peering(broker::Failure::NotBroker("it speaks SSH")).exit(), Exit::Refused);
        assert_eq!(peering(broker::Failure::Cancelled).exit(), Exit::Failure);
    }

    #[test]
    fn messages_about_peerings_name_the_address_once() {
        let named = TransportError::new(Reason::Refused, "connecting to tcp://host:9: refused");
        assert_eq!(peering(named.into()).to_string(), "connecting to tcp://host:9: refused");
        let unnamed = peering(broker::Failure::NilId).to_string();
        assert_eq!(unnamed, "cannot peer with tcp://host:9: the peer uses the nil id");
    }
}
