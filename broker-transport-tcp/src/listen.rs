use crate::TcpOptions;
use crate::places::{Places, places};
use broker_core::Url;
use broker_core::transport::{TransportError, TransportErrorKind as Kind};
use socket2::{Domain, Protocol, Socket, Type};
use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::task::{Context, Poll};
use tokio::net::{TcpListener, TcpStream};

/// How often a port that the system chose for one address may turn out to be taken at another one.
const PORT_ATTEMPTS: u32 = 32;

/// Accepts connections at one or several addresses until it is dropped.
#[derive(Debug)]
pub struct TcpAcceptor {
    url: Url,
    sockets: Vec<TcpListener>,
    /// Which socket is asked first, so that a busy one does not starve the others.
    first: usize,
    options: TcpOptions,
}

impl TcpAcceptor {
    /// The URL given to [`TcpTransport::bind`](crate::TcpTransport::bind), with the port it became.
    #[must_use]
    pub fn url(&self) -> &Url {
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
    pub async fn accept(&mut self) -> Result<(TcpStream, Url), TransportError> {
        let (stream, address) = poll_fn(|cx| self.poll_accept(cx)).await.map_err(|error| {
            TransportError::from_io(&error, &format!("accepting at {}", self.url))
        })?;
        self.options.apply(&stream);
        let remote = Url::new(self.url.scheme(), &address.ip().to_string(), address.port());
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
pub(crate) async fn bind(at: &Url, options: &TcpOptions) -> Result<TcpAcceptor, TransportError> {
    let places = places(at.host(), options).await.map_err(|reason| {
        TransportError::new(Kind::Resolve, format!("listening on {at}: {reason}"))
    })?;
    let sockets = match places {
        Places::Everywhere => bind_everywhere(at.port(), options.backlog),
        Places::At(places) => bind_all(&places, at.port(), options.backlog),
    };
    let sockets = sockets.map_err(|failure| failure.explain(at))?;
    let port = sockets.first().and_then(|socket| socket.local_addr().ok()).map(|at| at.port());
    let url = at.clone().with_port(port.unwrap_or(at.port()));
    Ok(TcpAcceptor { url, sockets, first: 0, options: options.clone() })
}

/// What went wrong, and at which of possibly several addresses.
struct BindFailure {
    place: SocketAddr,
    error: io::Error,
}

impl BindFailure {
    fn explain(&self, at: &Url) -> TransportError {
        let place = self.place;
        let doing = format!("listening on {at}");
        let kind = TransportError::from_io(&self.error, &doing).kind();
        let reason = match kind {
            Kind::AddressInUse => {
                format!("{place} is already in use, by another process or another listener")
            }
            Kind::AddressNotAvailable => {
                format!("{} is not an address of this machine", place.ip())
            }
            Kind::PermissionDenied if place.port() < 1024 => {
                format!("{place} is not allowed, ports below 1024 need a privilege of the process")
            }
            Kind::PermissionDenied => format!("{place} is not allowed for this process"),
            _ => return TransportError::from_io(&self.error, &format!("{doing}: {place}")),
        };
        TransportError::new(kind, format!("{doing}: {reason}"))
    }

    /// Whether the address is simply not there, or its whole IP version.
    fn is_missing(&self) -> bool {
        self.error.kind() == io::ErrorKind::AddrNotAvailable || is_unknown_family(&self.error)
    }
}

/// The error of a kernel without IPv6 (or without IPv4); the standard library has no kind for it.
fn is_unknown_family(error: &io::Error) -> bool {
    let number = if cfg!(windows) {
        10047
    } else if cfg!(any(target_os = "linux", target_os = "android")) {
        97
    } else {
        47
    };
    error.raw_os_error() == Some(number)
}

fn bind_everywhere(port: u16, backlog: u32) -> Result<Vec<TcpListener>, BindFailure> {
    let both = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port);
    let only_v4 = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port);
    match open(both, backlog) {
        Err(failure) if failure.is_missing() => open(only_v4, backlog),
        outcome => outcome,
    }
    .map(|socket| vec![socket])
}

/// Binds all places on one port, or none; places that are not of this machine are left out.
fn bind_all(
    places: &[SocketAddr],
    port: u16,
    backlog: u32,
) -> Result<Vec<TcpListener>, BindFailure> {
    let mut attempts = if port == 0 { PORT_ATTEMPTS } else { 1 };
    loop {
        attempts -= 1;
        match bind_on_one_port(places, port, backlog) {
            Err(failure) if attempts > 0 && failure.error.kind() == io::ErrorKind::AddrInUse => {}
            outcome => return outcome,
        }
    }
}

fn bind_on_one_port(
    places: &[SocketAddr],
    mut port: u16,
    backlog: u32,
) -> Result<Vec<TcpListener>, BindFailure> {
    let mut sockets = Vec::with_capacity(places.len());
    let mut missing = None;
    for place in places {
        let mut place = *place;
        place.set_port(port);
        match open(place, backlog) {
            Ok(socket) => {
                port = socket.local_addr().map_err(|error| BindFailure { place, error })?.port();
                sockets.push(socket);
            }
            Err(failure) if failure.is_missing() => missing = Some(failure),
            Err(failure) => return Err(failure),
        }
    }
    match missing {
        Some(failure) if sockets.is_empty() => Err(failure),
        _ => Ok(sockets),
    }
}

fn open(place: SocketAddr, backlog: u32) -> Result<TcpListener, BindFailure> {
    open_socket(place, backlog).map_err(|error| BindFailure { place, error })
}

fn open_socket(place: SocketAddr, backlog: u32) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(place), Type::STREAM, Some(Protocol::TCP))?;
    if place.is_ipv6() {
        // The default differs between systems; a specific address is of one version anyway.
        socket.set_only_v6(!place.ip().is_unspecified())?;
    }
    // Elsewhere it lets a restarted process have its port back; on Windows it lets anybody take it.
    #[cfg(not(windows))]
    socket.set_reuse_address(true)?;
    socket.bind(&place.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}
