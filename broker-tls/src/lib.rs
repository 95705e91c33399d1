//! Certificates and policies of Broker endpoints, as configurations for rustls.
//!
//! [`Tls`] is made from [`TlsOptions`] and gives out a configuration for each connection, together
//! with the [`Witness`] of its handshake: how the link is protected, or why it could not be made.
//! Nothing in here opens a socket, so every transport with a TLS layer can use it.
//!
//! Without certificates links are encrypted only. Two programs built with rustls then agree on TLS
//! 1.3; the reference dials such endpoints but cannot be dialled that way. The feature `anon-tls`
//! adds what it speaks, through OpenSSL, and for that one mode.
//!
//! The cryptography is that of `ring`: it builds with a C compiler alone (its competitor
//! `aws-lc-rs` wants more tools on some platforms and takes much longer), and it has the algorithms
//! that endpoints of the reference use, P-384 key exchange included.

mod anonymous;
#[cfg(feature = "anon-tls")]
mod anonymous_openssl;
mod authorities;
mod chain;
mod error;
mod expectations;
mod explain;
mod files;
mod identity;
mod key;
mod legacy_key;
mod options;
mod reload;
mod tls;
mod verifier;
mod witness;
mod x509;

pub use error::TlsError;
pub use options::{Passphrase, Pin, TlsOptions};
pub use tls::Tls;
pub use witness::Witness;

use rustls::pki_types::CertificateDer;

/// The name for people of the owner of a verified chain: the subject of its first certificate, or
/// else an alternative name, or else the SHA-256 of its key.
#[must_use]
pub fn peer_name(chain: &[CertificateDer<'_>]) -> Option<String> {
    chain.first().and_then(|der| x509::Certificate::parse(der)).map(|leaf| leaf.name())
}
