use crate::hosts::{Places, places};
use broker_core::Url;
use broker_core::transport::{TransportError, TransportErrorKind as Kind};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// How often a port that the system chose for one address may turn out to be taken at another one.
const PORT_ATTEMPTS: u32 = 32;

/// Opens sockets of any kind at host and port of `at`, whatever its scheme, and returns them with
/// the URL that has the port it became. Which addresses a host stands for is said at
/// [`TcpTransport::bind`](crate::TcpTransport::bind); a name is resolved within `resolve_time`.
///
/// `open` opens one socket and says which port it got. For the address `::` it is to serve both IP
/// versions, for others their own alone.
///
/// # Errors
///
/// The address is in use, not of this machine or not allowed for this process, or the name is not
/// known.
pub async fn bind_with<S>(
    at: &Url,
    resolve_time: Duration,
    open: impl Fn(SocketAddr) -> io::Result<(S, u16)> + Sync,
) -> Result<(Url, Vec<S>), TransportError> {
    let places = places(at.host(), resolve_time).await.map_err(|reason| {
        TransportError::new(Kind::Resolve, format!("listening on {at}: {reason}"))
    })?;
    let open = |place| open(place).map_err(|error| BindFailure { place, error });
    let bound = match places {
        Places::Everywhere => bind_everywhere(at.port(), &open),
        Places::At(places) => bind_all(&places, at.port(), &open),
    };
    let (sockets, port) = bound.map_err(|failure| failure.explain(at))?;
    Ok((at.clone().with_port(port), sockets))
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

/// Opens one socket, and says which port it got.
type Open<'a, S> = &'a dyn Fn(SocketAddr) -> Result<(S, u16), BindFailure>;

fn bind_everywhere<S>(port: u16, open: Open<'_, S>) -> Result<(Vec<S>, u16), BindFailure> {
    let both = SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port);
    let only_v4 = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port);
    match open(both) {
        Err(failure) if failure.is_missing() => open(only_v4),
        outcome => outcome,
    }
    .map(|(socket, port)| (vec![socket], port))
}

/// Binds all places on one port, or none; places that are not of this machine are left out.
fn bind_all<S>(
    places: &[SocketAddr],
    port: u16,
    open: Open<'_, S>,
) -> Result<(Vec<S>, u16), BindFailure> {
    let mut attempts = if port == 0 { PORT_ATTEMPTS } else { 1 };
    loop {
        attempts -= 1;
        match bind_on_one_port(places, port, open) {
            Err(failure) if attempts > 0 && failure.error.kind() == io::ErrorKind::AddrInUse => {}
            outcome => return outcome,
        }
    }
}

fn bind_on_one_port<S>(
    places: &[SocketAddr],
    mut port: u16,
    open: Open<'_, S>,
) -> Result<(Vec<S>, u16), BindFailure> {
    let mut sockets = Vec::with_capacity(places.len());
    let mut missing = None;
    for place in places {
        let mut place = *place;
        place.set_port(port);
        match open(place) {
            Ok((socket, bound)) => {
                port = bound;
                sockets.push(socket);
            }
            Err(failure) if failure.is_missing() => missing = Some(failure),
            Err(failure) => return Err(failure),
        }
    }
    match missing {
        Some(failure) if sockets.is_empty() => Err(failure),
        _ => Ok((sockets, port)),
    }
}
