//! Certificates and policies of Broker endpoints, as configurations for rustls.
//!
//! [`Tls`] is made from [`TlsOptions`] and gives out a configuration for each connection, together
//! with the [`HandshakeReport`] of its handshake: how the link is protected, or why it could not be
//! made. Nothing in here opens a socket, so every transport with a TLS layer can use it.
//!
//! While transports use a [`Tls`], a task looks at its files ([`Tls::watch_files`]). Connections
//! read no files; the handshakes of accepted ones take turns at computing ([`Tls::in_turn`]).
//!
//! ```
//! use broker_tls::{Tls, TlsOptions};
//!
//! let tls = Tls::new(TlsOptions::default())?;
//! assert!(tls.warnings().is_empty());
//! # Ok::<(), broker_tls::TlsError>(())
//! ```
//!
//! Three modes: certificates of a CA at both sides; keys that endpoints make for themselves and pin
//! each other by; and none of these.
//!
//! Without certificates links are encrypted only. Two programs built with rustls then agree on TLS
//! 1.3; the C++ Broker dials such endpoints but cannot be dialled that way. What it speaks then is
//! in [`anonymous`].
//!
//! The cryptography is that of `ring`: it builds with a C compiler alone (its competitor
//! `aws-lc-rs` wants more tools on some platforms and takes much longer), and it has the algorithms
//! that endpoints of the C++ Broker use, P-384 key exchange included.

pub mod anonymous;
mod authorities;
mod chain;
mod ends;
mod errors;
mod expectations;
mod files;
mod identity;
mod key;
mod legacy_key;
mod leniency;
mod material;
mod names;
mod observer;
mod options;
mod report;
mod self_signed;
mod tls;
mod turns;
mod verifier;
mod x509;

pub use ends::CertificateEnd;
pub use errors::TlsError;
pub use options::{Passphrase, Pin, TlsOptions};
pub use report::{CertificateSummary, Details, HandshakeReport};
pub use tls::Tls;
