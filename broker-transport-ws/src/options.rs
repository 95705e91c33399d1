use crate::access::{AccessOptions, in_full};
use broker_core::OverflowPolicy;
use broker_core::limits::seconds;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How clients are served, and every limit on the way. In a configuration file each field is the
/// key of the same name, with hyphens; times are seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct WsOptions {
    /// Who may connect, and do what.
    pub access: AccessOptions,

    /// Whether clients of `wss://` have to present a certificate of a trusted CA, as in servers of
    /// the C++ library that have certificates. Default off, as in Zeek: a client may present one,
    /// and access rules may ask for it. Peers have to in any case, if there are certificates at
    /// all.
    pub require_certificate: bool,

    /// The longest message from a client, in bytes, in however many fragments. Default 16 MiB.
    /// Memory follows what has arrived; while a long message is put together it is held twice.
    pub message: usize,

    /// Clients of the JSON API at one time. Default 4096; the next one is told to try again later.
    pub clients: usize,

    /// How long a connection may take for TLS, the HTTP request and the first message. Default 8 s,
    /// less than the endpoint's own limit for handshakes, so that a client can be told.
    #[serde(with = "seconds")]
    pub handshake_time: Duration,

    /// How long a client may take for one message, from its first byte to its last. Default 60 s;
    /// zero is forever.
    #[serde(with = "seconds")]
    pub message_time: Duration,

    /// Topic prefixes in the subscriptions of one client. Default 16384.
    pub subscriptions: usize,

    /// Messages waiting for one client. Default 8192, as in Zeek.
    pub queue_messages: usize,

    /// Bytes waiting for one client. Default 64 MiB, so that a reader at full speed is not cut for
    /// a few of the longest messages. That much memory a client that does not read can hold at
    /// most, and clients that wait for the same message share it.
    pub queue_bytes: usize,

    /// What happens to a message for a client whose queue is full. Default `disconnect`: the client
    /// still gets what was queued, then an error and a Close frame. With `drop_oldest` and
    /// `drop_newest` it is told how many messages it missed. `wait` is not possible here, because
    /// it would make everybody wait for the slowest client.
    pub overflow_policy: OverflowPolicy,

    /// Bytes of pongs and errors waiting for one client, which no policy drops. Default 256 KiB;
    /// a client that causes more without reading is cut.
    pub queue_control_bytes: usize,

    /// How long a client may be silent before it is asked for a sign of life, and then how long it
    /// may take to give one. Default 30 s; zero never asks.
    #[serde(with = "seconds")]
    pub ping_interval: Duration,

    /// How long a client that is being closed may take to read its last messages and to answer.
    /// Default 3 s.
    #[serde(with = "seconds")]
    pub close_time: Duration,

    /// Whether a browser that asks for `/` gets the example page. Default off.
    pub page: bool,
}

impl Default for WsOptions {
    fn default() -> Self {
        Self {
            access: AccessOptions::default(),
            require_certificate: false,
            message: 16 * 1024 * 1024,
            clients: 4096,
            handshake_time: Duration::from_secs(8),
            message_time: Duration::from_secs(60),
            subscriptions: 16384,
            queue_messages: 8192,
            queue_bytes: 64 * 1024 * 1024,
            overflow_policy: OverflowPolicy::Disconnect,
            queue_control_bytes: 256 * 1024,
            ping_interval: Duration::from_secs(30),
            close_time: Duration::from_secs(3),
            page: false,
        }
    }
}

/// The options cannot work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidOptions {
    /// Nothing could ever be received, or sent.
    #[error("the limit {0} is zero")]
    ZeroLimit(&'static str),
    /// One client would hold up all others.
    #[error("the overflow policy of clients cannot be wait: everybody would wait for the slowest")]
    Wait,
    /// No browser names an origin like that.
    #[error(
        "{0:?} is no origin; one is written like https://dashboard.example or http://10.0.0.1:8080, and \
         stands for itself alone"
    )]
    Origin(String),
    /// A token that everybody knows.
    #[error("a rule for clients has an empty token")]
    EmptyToken,
    /// A token that a header field cannot carry, so that only few could ever present it.
    #[error("a rule for clients has a token with white space at an end or a control character")]
    UnusableToken,
}

/// The longest time that is reckoned with: a hundred years. Longer ones count as that, so that no
/// sum of times overflows.
pub(crate) const MAX_DURATION: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

impl WsOptions {
    /// The same options with no time above [`MAX_DURATION`].
    pub(crate) fn clamp_durations(mut self) -> Self {
        let Self { handshake_time, message_time, ping_interval, close_time, .. } = &mut self;
        for time in [handshake_time, message_time, ping_interval, close_time] {
            *time = (*time).min(MAX_DURATION);
        }
        self
    }

    /// Checks that the options can work.
    ///
    /// # Errors
    ///
    /// They cannot.
    pub fn check(&self) -> Result<(), InvalidOptions> {
        for (name, value) in [
            ("message", self.message),
            ("clients", self.clients),
            ("subscriptions", self.subscriptions),
            ("queue-messages", self.queue_messages),
            ("queue-bytes", self.queue_bytes),
            ("queue-control-bytes", self.queue_control_bytes),
        ] {
            if value == 0 {
                return Err(InvalidOptions::ZeroLimit(name));
            }
        }
        if self.overflow_policy == OverflowPolicy::Wait {
            return Err(InvalidOptions::Wait);
        }
        if self.access.rules.iter().any(|rule| rule.token.as_deref() == Some("")) {
            return Err(InvalidOptions::EmptyToken);
        }
        let is_usable = |token: &str| token.trim() == token && !token.chars().any(char::is_control);
        let mut tokens = self.access.rules.iter().filter_map(|rule| rule.token.as_deref());
        if !tokens.all(is_usable) {
            return Err(InvalidOptions::UnusableToken);
        }
        match self.access.origins.iter().find(|origin| in_full(origin).is_none()) {
            Some(origin) => Err(InvalidOptions::Origin(origin.clone())),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AccessRule;

    #[test]
    fn the_defaults_work_and_zero_does_not() {
        assert_eq!(WsOptions::default().check(), Ok(()));
        let options = WsOptions { queue_messages: 0, ..WsOptions::default() };
        assert_eq!(options.check(), Err(InvalidOptions::ZeroLimit("queue-messages")));
        for (token, error) in [
            ("", InvalidOptions::EmptyToken),
            (" ", InvalidOptions::UnusableToken),
            ("s3cret\n", InvalidOptions::UnusableToken),
        ] {
            let rule = AccessRule { token: Some(token.into()), ..AccessRule::default() };
            let access = AccessOptions { rules: vec![rule], ..AccessOptions::default() };
            assert_eq!(WsOptions { access, ..WsOptions::default() }.check(), Err(error));
        }
        let options = WsOptions { overflow_policy: OverflowPolicy::Wait, ..WsOptions::default() };
        assert_eq!(options.check(), Err(InvalidOptions::Wait));
    }
}
