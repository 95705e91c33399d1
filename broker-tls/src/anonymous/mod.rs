//! Anonymous TLS: TLS 1.2 with `TLS_ECDH_anon_WITH_AES_256_CBC_SHA`, and nothing else.
//!
//! A Zeek cluster whose operator has configured nothing speaks this: OpenSSL's listener has no
//! certificate then, so TLS 1.3 is out of the question, and rustls has no suites without
//! certificates. This mode exists to talk to such endpoints.
//!
//! It protects against those who only listen: keys come from an ephemeral key exchange, and data is
//! encrypted and authenticated with them. It does **not** protect against somebody in the middle:
//! nobody proves who they are, so whoever can redirect connections can be either side to the other.
//! That takes certificates or pinned keys, for which this mode is never used.
//!
//! Two extensions are required, which OpenSSL negotiates by default. With encrypt-then-MAC (RFC
//! 7366) a record is authenticated before anything of it is decrypted, so padding reveals nothing.
//! With the extended master secret (RFC 7627) keys belong to one handshake alone. There is no
//! renegotiation, no resumption, no compression and no other suite.
//!
//! [`AnonymousConnection`] is one side of a connection without its input and output. The arithmetic
//! comes from libraries: key exchange and random numbers from `ring`, the rest from RustCrypto,
//! whose AES and SHA-1 use the instructions that processors have for them.

mod connection;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod hello;
mod input;
mod keys;
mod messages;
mod record;
#[cfg(test)]
mod tests;

pub use connection::{AnonymousConnection, AnonymousStatus};
pub use hello::{Hello, inspect};

use rustls::AlertDescription;

/// `TLS_ECDH_anon_WITH_AES_256_CBC_SHA`.
const SUITE: u16 = 0xC019;

/// TLS 1.2 on the wire.
const VERSION: [u8; 2] = [3, 3];

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The other side ended it with this alert.
    #[error("the other side ended the connection with the alert {0:?}")]
    AlertReceived(AlertDescription),
    /// This side ended it, and says so with this alert.
    #[error("{reason}")]
    Refused {
        /// What is in the output for the other side.
        alert: AlertDescription,
        /// What is wrong with what arrived, or lacking at the other side.
        reason: &'static str,
    },
}

/// The refusal of something that arrived.
fn refused<T>(alert: AlertDescription, reason: &'static str) -> Result<T, Error> {
    Err(Error::Refused { alert, reason })
}
