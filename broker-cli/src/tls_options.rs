//! What the command line can say about encryption.

use crate::failure::Failure;
use crate::settings::Layers;
use broker::tls::Pin;
use clap::Args;
use std::path::PathBuf;

/// Certificates and demands for tls://, wss:// and quic:// addresses. Without any of these, links
/// are encrypted and not authenticated; with any of them both sides have to present a
/// certificate of a trusted CA. A passphrase of the key is read from BROKER_TLS_PASSPHRASE.
#[derive(Debug, Args)]
#[command(next_help_heading = "Encryption (tls://, wss://, quic://)")]
pub(crate) struct TlsArgs {
    /// PEM file with the own certificate, followed by its intermediates [default: none]
    #[arg(long, value_name = "FILE")]
    tls_certificate: Option<PathBuf>,

    /// PEM file with the private key [default: none]
    #[arg(long, value_name = "FILE")]
    tls_key: Option<PathBuf>,

    /// PEM file with trusted CAs [default: none]
    #[arg(long, value_name = "FILE")]
    tls_ca_file: Option<PathBuf>,

    /// Directory with PEM files of trusted CAs [default: none]
    #[arg(long, value_name = "DIR")]
    tls_ca_dir: Option<PathBuf>,

    /// PEM file with the own key and a certificate that carries it, instead of all of the above. It
    /// is made if there is none. Endpoints know each other by --tls-pin, or ?pin=sha256:... of a
    /// quic:// address, which a node with this option shows where it listens [default: none]
    #[arg(long, value_name = "FILE", conflicts_with_all = ["tls_certificate", "tls_key", "tls_ca_file", "tls_ca_dir"])]
    tls_self_signed: Option<PathBuf>,

    /// The certificate of a dialled peer must be valid for the host that was dialled [default: any
    /// certificate of a trusted CA will do]
    #[arg(long)]
    tls_check_host: bool,

    /// The certificate of every peer must be valid for this name, or another one given like this;
    /// may be repeated [default: any name]
    #[arg(long, value_name = "NAME")]
    tls_name: Vec<String>,

    /// The public key of every peer must be this one, or another one given like this: the SHA-256
    /// of its SubjectPublicKeyInfo as 64 hexadecimal digits; may be repeated [default: any key]
    #[arg(long, value_name = "PIN")]
    tls_pin: Vec<Pin>,

    /// Refuse what the C++ Broker accepts and strict libraries do not: certificates of X.509
    /// version 1, those of CAs as the certificate of an endpoint, and keys in the legacy encryption
    /// of PEM [default: they are accepted and named in the log]
    #[arg(long)]
    tls_strict: bool,
}

impl TlsArgs {
    /// Puts what the command line says over what else is said.
    pub(crate) fn add_to(&self, to: &mut Layers) -> Result<(), Failure> {
        to.path("--tls-certificate", "tls.certificate", self.tls_certificate.as_ref())?;
        to.path("--tls-key", "tls.key", self.tls_key.as_ref())?;
        to.path("--tls-ca-file", "tls.ca-file", self.tls_ca_file.as_ref())?;
        to.path("--tls-ca-dir", "tls.ca-dir", self.tls_ca_dir.as_ref())?;
        to.path("--tls-self-signed", "tls.self-signed", self.tls_self_signed.as_ref())?;
        to.switch("--tls-check-host", "tls.check-host", self.tls_check_host, true);
        to.switch("--tls-strict", "tls.strict", self.tls_strict, true);
        to.list("--tls-name", "tls.names", self.tls_name.iter().cloned());
        to.list("--tls-pin", "tls.pins", self.tls_pin.iter().map(Pin::to_string));
        Ok(())
    }
}
