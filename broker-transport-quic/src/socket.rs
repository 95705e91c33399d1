use broker_core::Reason;
use broker_core::transport::TransportError;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// What the socket should be able to hold, as packets come in bursts. The system may allow less.
const BUFFER: usize = 2 * 1024 * 1024;

/// Opens a socket at an address; `::` serves both IP versions.
pub(crate) fn open(at: SocketAddr) -> io::Result<UdpSocket> {
    #[cfg(unix)]
    if let Some(socket) = broker_transport_tcp::inherited::take(&at.into(), Type::DGRAM) {
        return Ok(socket.into());
    }
    let socket = Socket::new(Domain::for_address(at), Type::DGRAM, Some(Protocol::UDP))?;
    if at.is_ipv6() {
        // The default differs between systems; a specific address is of one version anyway.
        socket.set_only_v6(!at.ip().is_unspecified())?;
    }
    // A smaller buffer works too.
    let _ = socket.set_recv_buffer_size(BUFFER);
    let _ = socket.set_send_buffer_size(BUFFER);
    socket.bind(&at.into())?;
    Ok(socket.into())
}

/// Any port of this machine, from which addresses of the same IP version as `like` can be reached.
///
/// The system picks the source address for each packet, so an address that changes is followed.
pub(crate) fn any_port(like: SocketAddr) -> SocketAddr {
    if like.is_ipv6() {
        SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), 0)
    } else {
        SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0)
    }
}

/// Waits until the other machine says that nothing listens at `address`; forever if it does not.
///
/// Only connected sockets learn of such answers, and those of QUIC are not. The empty packet that
/// provokes the answer means nothing to a listener.
///
/// # Errors
///
/// Always: that answer, or there is no way to the address.
pub(crate) async fn refusal(address: SocketAddr, doing: &str) -> TransportError {
    match provoke_refusal(address).await {
        Ok(never) => match never {},
        Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => TransportError::new(
            Reason::Unreachable,
            format!("{doing}: this machine has no address to connect from"),
        ),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => TransportError::new(
            Reason::Refused,
            format!(
                "{doing}: connection refused, nothing listens there for QUIC (a UDP port; those of \
                 tcp:// and tls:// are others)"
            ),
        ),
        Err(error) => TransportError::from_io(&error, doing),
    }
}

async fn provoke_refusal(address: SocketAddr) -> io::Result<std::convert::Infallible> {
    let socket = tokio::net::UdpSocket::bind(any_port(address)).await?;
    socket.connect(address).await?;
    socket.send(&[]).await?;
    loop {
        // Whatever else arrives is not for this socket.
        socket.recv(&mut [0; 1]).await?;
    }
}
