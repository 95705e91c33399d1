use crate::establish::{check_protocol, establish};
use crate::link::url_of;
use crate::{QuicOptions, config, errors, socket};
use async_trait::async_trait;
use broker_core::transport::{Connection, Incoming, Listener, ListenerProtection, TransportError};
use broker_core::{Address, Reason};
use broker_tls::Tls;
use quinn::{Endpoint, EndpointConfig, ServerConfig, TokioRuntime, TransportConfig};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

/// From this many handshakes at the same time on, whoever begins another one has to prove first
/// that its address is its own, which costs it a round trip.
const UNPROVEN: usize = 32;

const DOING: &str = "the handshake of QUIC failed";

/// Accepts connections at one or several addresses until it is dropped.
pub(crate) struct QuicListener {
    url: Address,
    endpoints: Vec<Endpoint>,
    context: Arc<Context>,
    /// Which endpoint is asked first, so that a busy one does not starve the others.
    first: usize,
}

/// What every accepted connection needs.
struct Context {
    tls: Tls,
    options: QuicOptions,
    transport: Arc<TransportConfig>,
    /// Handshakes in progress.
    handshakes: AtomicUsize,
}

impl QuicListener {
    /// Listens wherever the host of `at` stands for. The URL becomes one to dial as it is: if keys
    /// are pinned, it pins the own one.
    pub(crate) async fn bind(
        at: &Address,
        tls: Tls,
        options: QuicOptions,
        transport: Arc<TransportConfig>,
    ) -> Result<Self, TransportError> {
        let unusable = |reason: String| {
            TransportError::unusable_certificate(format!("listening on {at}: {reason}"))
        };
        tls.check_listening().map_err(|error| unusable(error.to_string()))?;
        let context = Context { tls, options, transport, handshakes: AtomicUsize::new(0) };
        let (config, _) = context.config().map_err(unusable)?;
        let open = |address| open(address, config.clone());
        let resolve_time = context.options.resolve_time;
        let (url, endpoints) = broker_transport_tcp::bind_with(at, resolve_time, open).await?;
        let url = match context.tls.own_pin() {
            Some(pin) if context.tls.is_self_signed() => {
                url.with_query(&format!("pin=sha256:{pin}"))
            }
            _ => url,
        };
        Ok(Self { url, endpoints, context: Arc::new(context), first: 0 })
    }
}

fn open(address: SocketAddr, config: ServerConfig) -> io::Result<(Endpoint, u16)> {
    let socket = socket::open(address)?;
    let port = socket.local_addr()?.port();
    let runtime = Arc::new(TokioRuntime);
    let endpoint = Endpoint::new(EndpointConfig::default(), Some(config), socket, runtime)?;
    Ok((endpoint, port))
}

impl Context {
    /// The configuration for the next connection: certificates may have been replaced, and each
    /// handshake has its own report.
    fn config(&self) -> Result<(ServerConfig, broker_tls::HandshakeReport), String> {
        let (server, report) = self.tls.rustls_server().map_err(|error| error.to_string())?;
        Ok((config::server(server, &self.transport)?, report))
    }

    async fn accept(
        self: Arc<Self>,
        incoming: quinn::Incoming,
        remote: Address,
    ) -> Result<Connection, TransportError> {
        let _in_progress = InProgress::new(&self.handshakes);
        let (config, report) = self.config().map_err(|reason| {
            TransportError::new(Reason::OwnCertificate, format!("{DOING}: {reason}"))
        })?;
        let explain = |error| errors::explain(&error, &report, DOING);
        // This computes the answer to the first packet, with its signature.
        let accept = async |incoming: quinn::Incoming| incoming.accept_with(Arc::new(config));
        let from = incoming.remote_address().ip();
        let connecting = self.tls.in_turn(from, accept(incoming)).await.map_err(explain)?;
        let connection = connecting.await.map_err(explain)?;
        check_protocol(&connection, DOING)?;
        establish(connection, report, remote, &self.options, DOING).await
    }
}

/// Counts a handshake while it is in progress.
struct InProgress<'a>(&'a AtomicUsize);

impl<'a> InProgress<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for InProgress<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[async_trait]
impl Listener for QuicListener {
    fn url(&self) -> &Address {
        &self.url
    }

    fn protection(&self) -> ListenerProtection {
        self.context.tls.listener_protection()
    }

    async fn accept(&mut self) -> Result<Incoming, TransportError> {
        loop {
            let incoming = self.next().await?;
            let busy = self.context.handshakes.load(Ordering::Relaxed) >= UNPROVEN;
            if busy && !incoming.remote_address_validated() && incoming.may_retry() {
                // It cannot fail for one that may be asked to.
                let _ = incoming.retry();
                continue;
            }
            let address = incoming.remote_address();
            let remote = url_of(address);
            let establish = self.context.clone().accept(incoming, remote.clone());
            return Ok(Incoming::peer(remote, establish).without_descriptor());
        }
    }
}

impl QuicListener {
    async fn next(&mut self) -> Result<quinn::Incoming, TransportError> {
        self.first = (self.first + 1) % self.endpoints.len().max(1);
        let (before, after) = self.endpoints.split_at(self.first);
        let mut accepts: Vec<Pin<Box<quinn::Accept<'_>>>> =
            after.iter().chain(before).map(|endpoint| Box::pin(endpoint.accept())).collect();
        let accepted = poll_fn(|cx| {
            let ready = accepts.iter_mut().find_map(|accept| match accept.as_mut().poll(cx) {
                Poll::Ready(accepted) => Some(accepted),
                Poll::Pending => None,
            });
            ready.map_or(Poll::Pending, Poll::Ready)
        });
        accepted.await.ok_or_else(|| {
            let detail = format!("accepting at {}: the socket is gone", self.url);
            TransportError::new(Reason::Io, detail)
        })
    }
}

impl Drop for QuicListener {
    fn drop(&mut self) {
        // The sockets stay as long as there are connections, but take no new ones.
        for endpoint in &self.endpoints {
            endpoint.set_server_config(None);
        }
    }
}
