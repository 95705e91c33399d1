use crate::TcpOptions;
use crate::bind::bind_with;
use broker_core::Address;
use broker_core::transport::TransportError;
use socket2::{Domain, Protocol, Socket, Type};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use tokio::net::{TcpListener, TcpStream};

/// Accepts connections at one or several addresses until it is dropped.
#[derive(Debug)]
pub struct TcpAcceptor {
    url: Address,
    sockets: Vec<TcpListener>,
    /// Which socket is asked first, so that a busy one does not starve the others.
    first: usize,
    options: TcpOptions,
}

impl TcpAcceptor {
    /// The URL given to [`TcpTransport::bind`](crate::TcpTransport::bind), with the port it became.
    #[must_use]
    pub fn url(&self) -> &Address {
        &self.url
    }

    /// Waits for the next connection and says where it comes from. Cancel safe.
    ///
    /// An IPv4 client of a socket for both IP versions shows as `::ffff:a.b.c.d`.
    ///
    /// # Errors
    ///
    /// This one connection could not be taken, mostly for want of a descriptor. The next call may
    /// succeed, but not before something has been closed.
    pub async fn accept(&mut self) -> Result<(TcpStream, Address), TransportError> {
        let (stream, address) = poll_fn(|cx| self.poll_accept(cx)).await.map_err(|error| {
            TransportError::from_io(&error, &format!("accepting at {}", self.url))
        })?;
        self.options.apply(&stream);
        let remote = Address::new(self.url.scheme(), &address.ip().to_string(), address.port());
        Ok((stream, remote))
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        self.first = (self.first + 1) % self.sockets.len().max(1);
        let (before, after) = self.sockets.split_at(self.first);
        for socket in after.iter().chain(before) {
            if let Poll::Ready(accepted) = socket.poll_accept(cx) {
                return Poll::Ready(accepted);
            }
        }
        Poll::Pending
    }
}

/// See [`TcpTransport::bind`](crate::TcpTransport::bind).
pub(crate) async fn bind(
    at: &Address,
    options: &TcpOptions,
) -> Result<TcpAcceptor, TransportError> {
    let open = |address| open(address, options.backlog);
    let (url, sockets) = bind_with(at, options.resolve_time, open).await?;
    Ok(TcpAcceptor { url, sockets, first: 0, options: options.clone() })
}

fn open(address: SocketAddr, backlog: u32) -> io::Result<(TcpListener, u16)> {
    #[cfg(unix)]
    if let Some(socket) = crate::inherited::take_tcp(address) {
        return Ok((TcpListener::from_std(socket)?, address.port()));
    }
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        // The default differs between systems; a specific address is of one version anyway.
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    // Elsewhere it lets a restarted process have its port back; on Windows it lets anybody take it.
    #[cfg(not(windows))]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    socket.set_nonblocking(true)?;
    let listener = TcpListener::from_std(socket.into())?;
    let port = listener.local_addr()?.port();
    Ok((listener, port))
}
