//! `tls://`: the frames of `tcp://` inside TLS.
//!
//! What the sides prove to each other is a matter of [`broker_tls::TlsOptions`].

#[cfg(feature = "anon-tls")]
mod anonymous;
mod handshake;
mod overheard;
mod stream;

pub use broker_tls::{Passphrase, Pin, Tls, TlsError, TlsOptions};

use crate::{TcpAcceptor, TcpTransport, check_url};
use async_trait::async_trait;
use broker_core::transport::{
    Connection, Incoming, Listener, Transport, TransportError, TransportErrorKind,
};
use broker_core::{Limits, Url};
use std::time::Duration;
use tokio::time::timeout;

/// The transport for the scheme `tls`.
#[derive(Debug, Clone)]
pub struct TlsTransport {
    tcp: TcpTransport,
    tls: Tls,
    handshake_time: Duration,
}

impl TlsTransport {
    /// TLS over the sockets of `tcp`. Files of `tls` that have changed are read again before each
    /// connection; [`Tls::reload_error`] tells whether that failed.
    ///
    /// The handshake may take half of [`Limits::handshake_time`], which leaves the other half to
    /// the handshake of Broker.
    #[must_use]
    pub fn new(tcp: TcpTransport, tls: Tls) -> Self {
        Self { tcp, tls, handshake_time: Limits::default().handshake_time / 2 }
    }

    /// Sets how long the TLS handshake of a connection may take.
    #[must_use]
    pub fn with_handshake_time(mut self, time: Duration) -> Self {
        self.handshake_time = time;
        self
    }
}

#[async_trait]
impl Transport for TlsTransport {
    fn schemes(&self) -> &'static [&'static str] {
        &["tls"]
    }

    async fn listen(&self, at: &Url) -> Result<Box<dyn Listener>, TransportError> {
        let doing = format!("listening on {at}");
        check_url(at, "listening on")?;
        refresh(&self.tls).await;
        self.tls.check_listening().map_err(|error| unusable(&error, &doing))?;
        let acceptor = self.tcp.bind(at).await?;
        let (tls, handshake_time) = (self.tls.clone(), self.handshake_time);
        Ok(Box::new(TlsListener { acceptor, tls, handshake_time }))
    }

    async fn connect(&self, to: &Url) -> Result<Connection, TransportError> {
        let doing = format!("connecting to {to}");
        check_url(to, "connecting to")?;
        refresh(&self.tls).await;
        let stream = self.tcp.dial(to).await?;
        timeout(self.handshake_time, handshake::dial(&self.tls, stream, to, &doing))
            .await
            .unwrap_or_else(|_| {
                let detail = format!(
                    "{doing}: connected, but the other side did not answer the TLS handshake \
                     within {:?}, as one that expects no encryption does",
                    self.handshake_time
                );
                Err(TransportError::new(TransportErrorKind::TimedOut, detail))
            })
    }
}

struct TlsListener {
    acceptor: TcpAcceptor,
    tls: Tls,
    handshake_time: Duration,
}

#[async_trait]
impl Listener for TlsListener {
    fn url(&self) -> &Url {
        self.acceptor.url()
    }

    async fn accept(&mut self) -> Result<Incoming, TransportError> {
        let (stream, remote) = self.acceptor.accept().await?;
        let (tls, time, from) = (self.tls.clone(), self.handshake_time, remote.clone());
        let establish = Box::pin(async move {
            refresh(&tls).await;
            timeout(time, handshake::accept(&tls, stream, from)).await.unwrap_or_else(|_| {
                let detail =
                    format!("the other side did not finish the TLS handshake within {time:?}");
                Err(TransportError::new(TransportErrorKind::TimedOut, detail))
            })
        });
        Ok(Incoming { remote, establish })
    }
}

/// Reads changed files again, where that blocks nobody.
async fn refresh(tls: &Tls) {
    let tls = tls.clone();
    // What has been read before stays in use, and the reason is left in `tls`.
    let _ = tokio::task::spawn_blocking(move || tls.reload_if_changed()).await;
}

fn unusable(error: &TlsError, doing: &str) -> TransportError {
    TransportError::new(TransportErrorKind::OwnCertificate, format!("{doing}: {error}"))
}
