use crate::opening::OpeningHandshake;
use crate::security::is_secure;
use crate::{NATIVE_PATH, Shared};
use async_trait::async_trait;
use broker_core::event::{LogId, Severity};
use broker_core::transport::{
    Established, Incoming, Listener, ListenerProtection, Protection, TransportError,
};
use broker_core::{Address, Reason};
use broker_transport_tcp::TcpAcceptor;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

pub(crate) async fn listen(
    shared: &Arc<Shared>,
    at: &Address,
) -> Result<Box<dyn Listener>, TransportError> {
    if !matches!(at.path(), "" | "/" | crate::JSON_PATH | NATIVE_PATH) {
        let detail = format!("listening on {at}: the paths of a listener are fixed");
        return Err(TransportError::new(Reason::InvalidAddress, detail));
    }
    let acceptor = shared.security.bind(at).await?;
    warn_if_open(shared, acceptor.url());
    Ok(Box::new(WsListener { shared: Arc::clone(shared), acceptor }))
}

/// Says so if anybody on the network may do everything.
fn warn_if_open(shared: &Shared, url: &Address) {
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
        service.log(Severity::Warning, LogId::OpenListener, text);
    }
}

struct WsListener {
    shared: Arc<Shared>,
    acceptor: TcpAcceptor,
}

#[async_trait]
impl Listener for WsListener {
    fn url(&self) -> &Address {
        self.acceptor.url()
    }

    fn protection(&self) -> ListenerProtection {
        match self.shared.security.listener_protection(self.url()) {
            ListenerProtection::Authenticated(_) if !self.shared.options.require_certificate => {
                ListenerProtection::Authenticated("certificates, which only peers have to have")
            }
            certain => certain,
        }
    }

    async fn accept(&mut self) -> Result<Incoming, TransportError> {
        let (stream, remote) = self.acceptor.accept().await?;
        let (shared, at) = (Arc::clone(&self.shared), self.url().clone());
        Ok(Incoming::new(
            remote.clone(),
            async move { establish(&shared, &at, remote, stream).await },
        ))
    }
}

/// From an accepted socket to a peer, a client, or an answer that says why it became neither.
async fn establish(
    shared: &Shared,
    at: &Address,
    remote: Address,
    socket: TcpStream,
) -> Result<Established, TransportError> {
    let options = &shared.options;
    let security = &shared.security;
    let deadline = Instant::now() + options.handshake_time;
    let secure = is_secure(at);
    let opening = |stream, protection| OpeningHandshake {
        stream,
        remote,
        protection,
        options,
        service: shared.service.get(),
        deadline,
        peers_need_certificates: secure && security.has_certificates(),
    };
    if !secure {
        return opening(Box::new(socket), Protection::Plain).run().await;
    }
    let mut first = [0];
    let peeked = timeout_at(deadline, socket.peek(&mut first)).await;
    if peeked.is_ok_and(|count| count.is_ok_and(|count| count > 0))
        && first.iter().all(u8::is_ascii_alphabetic)
    {
        return Err(opening(Box::new(socket), Protection::Plain).refuse_plain_http().await);
    }
    let secured = security.secure_accepted(socket, at, !options.require_certificate);
    let (stream, protection) = timeout_at(deadline, secured).await.unwrap_or_else(|_| {
        let detail = "the other side did not finish the TLS handshake in time";
        Err(TransportError::new(Reason::TimedOut, detail))
    })?;
    opening(stream, protection).run().await
}
