use crate::explain;
use broker_core::transport::{Protection, TransportError, TransportErrorKind as Kind};
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;

/// What the handshake of one connection found out, for the state of the link and for messages.
#[derive(Debug, Clone)]
pub struct Witness(Arc<State>);

#[derive(Debug)]
struct State {
    /// The own certificate as messages call it; none in the anonymous mode.
    own: Option<String>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    peer: Option<String>,
    refusal: Option<String>,
}

impl Witness {
    pub(crate) fn new(own: Option<String>) -> Self {
        Self(Arc::new(State { own, seen: Mutex::default() }))
    }

    pub(crate) fn saw_peer(&self, name: String) {
        self.0.seen.lock().peer = Some(name);
    }

    pub(crate) fn saw_refusal(&self, reason: String) {
        self.0.seen.lock().refusal = Some(reason);
    }

    /// How the connection is protected once its handshake is done.
    #[must_use]
    pub fn protection(&self) -> Protection {
        match &self.0.seen.lock().peer {
            Some(name) => Protection::Authenticated(name.clone()),
            None => Protection::Encrypted,
        }
    }

    /// Whether no certificates are configured here.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        self.0.own.is_none()
    }

    /// Explains a failure of the encrypted stream or of its handshake, with what was found out
    /// about the certificates; `doing` says during what.
    #[must_use]
    pub fn explain(&self, error: &io::Error, doing: &str) -> TransportError {
        let inner = error.get_ref();
        let reason = inner.and_then(|inner| self.explain_inner(inner));
        match reason {
            Some((kind, reason)) => TransportError::new(kind, format!("{doing}: {reason}")),
            None => TransportError::from_io(error, doing),
        }
    }

    fn explain_inner(
        &self,
        inner: &(dyn std::error::Error + Send + Sync + 'static),
    ) -> Option<(Kind, String)> {
        if let Some(error) = inner.downcast_ref::<rustls::Error>() {
            let refusal = self.0.seen.lock().refusal.clone();
            return Some(explain::rustls_error(error, refusal, self.0.own.as_deref()));
        }
        #[cfg(feature = "anon-tls")]
        if let Some(error) = inner.downcast_ref::<openssl::ssl::Error>() {
            return Some(explain::openssl_error(error));
        }
        None
    }
}
