use crate::establish::{Fresh, Outcome, Room};
use crate::security::is_secure;
use crate::service::Place;
use crate::{NATIVE_PATH, Shared};
use async_trait::async_trait;
use broker_core::Url;
use broker_core::event::Severity;
use broker_core::transport::{
    Incoming, Listener, ListenerProtection, Protection, TransportError, TransportErrorKind as Kind,
};
use broker_transport_tcp::TcpAcceptor;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;

/// Peers that are connected and have not been taken by the endpoint yet.
const BACKLOG: usize = 16;

/// How long accepting pauses after an error, which is mostly a lack of descriptors.
const PAUSE: Duration = Duration::from_millis(100);

pub(crate) async fn listen(
    shared: &Arc<Shared>,
    at: &Url,
) -> Result<Box<dyn Listener>, TransportError> {
    if !matches!(at.path(), "" | "/" | crate::JSON_PATH | NATIVE_PATH) {
        let detail = format!("listening on {at}: the paths of a listener are fixed");
        return Err(TransportError::new(Kind::InvalidAddress, detail));
    }
    let acceptor = shared.security.bind(at).await?;
    let url = acceptor.url().clone();
    warn_if_open(shared, &url);
    let (peers, incoming) = mpsc::channel(BACKLOG);
    let closed = CancellationToken::new();
    let door =
        Door { shared: Arc::clone(shared), url: url.clone(), peers, visits: VecDeque::new() };
    tokio::spawn(closed.clone().run_until_cancelled_owned(door.run(acceptor)));
    let protection = match shared.security.listener_protection(&url) {
        ListenerProtection::Authenticated(_) if !shared.options.require_certificate => {
            ListenerProtection::Authenticated("certificates, which only peers have to have")
        }
        certain => certain,
    };
    Ok(Box::new(WsListener { url, protection, incoming, closed }))
}

/// Says so if anybody on the network may do everything.
fn warn_if_open(shared: &Shared, url: &Url) {
    let loopback = match url.host().parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => url.host() == "localhost",
    };
    if loopback || !shared.options.access.is_open() {
        return;
    }
    if let Some(service) = shared.service.get() {
        let text = format!(
            "{url}: whoever reaches this address may publish and subscribe to everything; set \
             access rules, or listen on 127.0.0.1"
        );
        service.log(Severity::Warning, "open-listener", text, None);
    }
}

/// Accepts connections, finds out what each one wants, and hands peers to the endpoint.
struct Door {
    shared: Arc<Shared>,
    url: Url,
    peers: mpsc::Sender<Incoming>,
    /// What connections are that have not become anything yet, the oldest first, and some that
    /// have.
    visits: VecDeque<AbortOnDrop>,
}

/// A task that ends with whoever started it.
struct AbortOnDrop(AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Door {
    async fn run(mut self, mut acceptor: TcpAcceptor) {
        loop {
            match acceptor.accept().await {
                Ok((stream, remote)) => self.admit(stream, remote),
                Err(error) => {
                    let text = format!("accepting on {}: {error}", self.url);
                    self.complain("accept-failed", text, error.kind().name());
                    if error.kind() == Kind::OutOfResources {
                        // It may be these that use them up.
                        self.visits.retain(|visit| !visit.0.is_finished());
                        self.visits.pop_front();
                    }
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Gives a new connection its own task. If there are too many of them the oldest makes room:
    /// who means it is quick.
    fn admit(&mut self, stream: TcpStream, remote: Url) {
        let limit = self.shared.options.half_open;
        if self.visits.len() >= limit {
            self.visits.retain(|visit| !visit.0.is_finished());
        }
        if self.visits.len() >= limit {
            self.visits.pop_front();
            let text = format!(
                "{limit} connections are neither peer nor client yet, the limit: closed the oldest \
                 one for that from {remote}"
            );
            self.complain("too-many-half-open", text, "too-many-half-open");
        }
        let visit = Visit {
            shared: Arc::clone(&self.shared),
            at: self.url.clone(),
            remote,
            peers: self.peers.clone(),
        };
        self.visits.push_back(AbortOnDrop(tokio::spawn(visit.run(stream)).abort_handle()));
    }

    fn complain(&self, id: &'static str, text: String, reason: &'static str) {
        if let Some(service) = self.shared.service.get() {
            service.complain(id, text, Some(reason));
        }
    }
}

/// One accepted connection.
struct Visit {
    shared: Arc<Shared>,
    at: Url,
    remote: Url,
    peers: mpsc::Sender<Incoming>,
}

impl Visit {
    async fn run(self, stream: TcpStream) {
        let service = self.shared.service.get();
        match self.find_out(stream).await {
            Ok(Outcome::Peer(connection)) => {
                // Fails only if the listener has been dropped, and its connections with it.
                let _ = self.peers.send(Incoming::ready(connection)).await;
            }
            Ok(Outcome::Client(client)) => {
                if let Some(service) = service {
                    service.attach(*client);
                }
            }
            Ok(Outcome::Answered) => {}
            Err(error) => {
                if let Some(service) = service {
                    let text = format!("{}: {error}", self.remote);
                    service.complain("handshake-failed", text, Some(error.kind().name()));
                }
            }
        }
    }
}

impl Visit {
    async fn find_out(&self, socket: TcpStream) -> Result<Outcome, TransportError> {
        let options = &self.shared.options;
        let security = &self.shared.security;
        let deadline = Instant::now() + options.handshake_time;
        let secure = is_secure(&self.at);
        let fresh = |stream, protection| Fresh {
            stream,
            remote: self.remote.clone(),
            protection,
            options,
            has_room: self,
            deadline,
            proof_of_peers: secure && security.has_certificates(),
        };
        if !secure {
            return fresh(Box::new(socket), Protection::Plain).run().await;
        }
        let mut first = [0];
        let peeked = timeout_at(deadline, socket.peek(&mut first)).await;
        if peeked.is_ok_and(|count| count.is_ok_and(|count| count > 0))
            && first.iter().all(u8::is_ascii_alphabetic)
        {
            return Err(fresh(Box::new(socket), Protection::Plain).refuse_plain_http().await);
        }
        let secured = security.secure_accepted(socket, &self.at, !options.require_certificate);
        let (stream, protection) = timeout_at(deadline, secured).await.unwrap_or_else(|_| {
            let detail = "the other side did not finish the TLS handshake in time";
            Err(TransportError::new(Kind::TimedOut, detail))
        })?;
        fresh(stream, protection).run().await
    }
}

impl Room for Visit {
    fn take_place(&self) -> Option<Place> {
        self.shared.service.get().and_then(crate::service::Service::take_place)
    }

    fn has_room(&self) -> bool {
        self.shared.service.get().is_some_and(crate::service::Service::has_room)
    }
}

struct WsListener {
    url: Url,
    protection: ListenerProtection,
    incoming: mpsc::Receiver<Incoming>,
    closed: CancellationToken,
}

#[async_trait]
impl Listener for WsListener {
    fn url(&self) -> &Url {
        &self.url
    }

    fn protection(&self) -> ListenerProtection {
        self.protection.clone()
    }

    async fn accept(&mut self) -> Result<Incoming, TransportError> {
        self.incoming.recv().await.ok_or_else(TransportError::closed)
    }
}

impl Drop for WsListener {
    fn drop(&mut self) {
        self.closed.cancel();
    }
}
