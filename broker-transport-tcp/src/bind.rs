use crate::hosts::{ListenAddresses, listen_addresses};
use broker_core::transport::TransportError;
use broker_core::{Address, Reason};
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
    at: &Address,
    resolve_time: Duration,
    open: impl Fn(SocketAddr) -> io::Result<(S, u16)> + Sync,
) -> Result<(Address, Vec<S>), TransportError> {
    let addresses = listen_addresses(at.host(), resolve_time).await.map_err(|reason| {
        TransportError::new(Reason::NameResolution, format!("listening on {at}: {reason}"))
    })?;
    let open = |address| open(address).map_err(|error| BindFailure { address, error });
    let bound = match addresses {
        ListenAddresses::Everywhere => bind_everywhere(at.port(), &open),
        ListenAddresses::At(addresses) => bind_all(&addresses, at.port(), &open),
    };
    let (sockets, port) = bound.map_err(|failure| failure.explain(at))?;
    Ok((at.clone().with_port(port), sockets))
}

/// What went wrong, and at which of possibly several addresses.
struct BindFailure {
    address: SocketAddr,
    error: io::Error,
}

impl BindFailure {
    fn explain(&self, at: &Address) -> TransportError {
        let address = self.address;
        let doing = format!("listening on {at}");
        let kind = TransportError::from_io(&self.error, &doing).reason();
        let reason = match kind {
            Reason::AddressInUse => {
                format!("{address} is already in use, by another process or another listener")
            }
            Reason::AddressNotAvailable => {
                format!("{} is not an address of this machine", address.ip())
            }
            Reason::PermissionDenied if address.port() < 1024 => {
                format!(
                    "{address} is not allowed, ports below 1024 need a privilege of the process"
                )
            }
            Reason::PermissionDenied => format!("{address} is not allowed for this process"),
            _ => return TransportError::from_io(&self.error, &format!("{doing}: {address}")),
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

/// Binds all addresses on one port, or none; addresses that are not of this machine are left out.
fn bind_all<S>(
    addresses: &[SocketAddr],
    port: u16,
    open: Open<'_, S>,
) -> Result<(Vec<S>, u16), BindFailure> {
    let mut attempts = if port == 0 { PORT_ATTEMPTS } else { 1 };
    loop {
        attempts -= 1;
        match bind_on_one_port(addresses, port, open) {
            Err(failure) if attempts > 0 && failure.error.kind() == io::ErrorKind::AddrInUse => {}
            outcome => return outcome,
        }
    }
}

fn bind_on_one_port<S>(
    addresses: &[SocketAddr],
    mut port: u16,
    open: Open<'_, S>,
) -> Result<(Vec<S>, u16), BindFailure> {
    let mut sockets = Vec::with_capacity(addresses.len());
    let mut missing = None;
    for address in addresses {
        let mut address = *address;
        address.set_port(port);
        match open(address) {
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
