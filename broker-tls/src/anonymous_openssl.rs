//! The anonymous mode of the C++ Broker, TLS 1.2 without certificates, which rustls does not have.

use crate::TlsError;
use crate::self_signed::SelfSigned;
use openssl::error::ErrorStack;
use openssl::pkey::PKey;
use openssl::ssl::{
    Ssl, SslContext, SslContextBuilder, SslMethod, SslMode, SslOptions, SslSessionCacheMode,
    SslVerifyMode, SslVersion,
};
use openssl::x509::X509;

/// Contexts for dialling and for accepting.
pub(crate) struct Contexts {
    client: SslContext,
    server: SslContext,
}

impl Contexts {
    /// Contexts whose accepting one presents `certificate` to those who speak TLS 1.3.
    pub(crate) fn new(certificate: &SelfSigned) -> Result<Self, TlsError> {
        build(certificate).map_err(|error| failed(&error))
    }

    pub(crate) fn client(&self) -> Result<Ssl, TlsError> {
        Ssl::new(&self.client).map_err(|error| failed(&error))
    }

    pub(crate) fn server(&self) -> Result<Ssl, TlsError> {
        Ssl::new(&self.server).map_err(|error| failed(&error))
    }
}

fn failed(error: &ErrorStack) -> TlsError {
    TlsError::new(format!("OpenSSL cannot be set up for the anonymous mode: {error}"))
}

fn build(certificate: &SelfSigned) -> Result<Contexts, ErrorStack> {
    let client = parameters()?;
    let mut server = parameters()?;
    server.set_certificate(X509::from_der(&certificate.certificate)?.as_ref())?;
    server.set_private_key(PKey::private_key_from_der(certificate.key().secret_der())?.as_ref())?;
    Ok(Contexts { client: client.build(), server: server.build() })
}

/// The parameters of the C++ Broker: one anonymous cipher besides those of TLS 1.3, one curve.
fn parameters() -> Result<SslContextBuilder, ErrorStack> {
    let mut context = SslContextBuilder::new(SslMethod::tls())?;
    context.set_min_proto_version(Some(SslVersion::TLS1_2))?;
    context.set_verify(SslVerifyMode::NONE);
    // Anonymous ciphers are below all levels but this one.
    context.set_cipher_list("AECDH-AES256-SHA@SECLEVEL=0")?;
    context.set_groups_list("P-384")?;
    context.set_session_cache_mode(SslSessionCacheMode::OFF);
    context.set_options(
        SslOptions::NO_TICKET | SslOptions::NO_COMPRESSION | SslOptions::NO_RENEGOTIATION,
    );
    context.set_num_tickets(0)?;
    // A cancelled write is repeated with what is left then, perhaps at another address.
    context.set_mode(
        SslMode::AUTO_RETRY
            | SslMode::ACCEPT_MOVING_WRITE_BUFFER
            | SslMode::ENABLE_PARTIAL_WRITE
            | SslMode::RELEASE_BUFFERS,
    );
    Ok(context)
}
