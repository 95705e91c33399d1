use crate::TcpOptions;
use crate::hosts::resolve;
use crate::race::dial_first;
use broker_core::transport::TransportError;
use broker_core::{Address, Reason};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::net::{TcpSocket, TcpStream};

/// See [`TcpTransport::dial`](crate::TcpTransport::dial).
pub(crate) async fn dial(to: &Address, options: &TcpOptions) -> Result<TcpStream, TransportError> {
    dial_with(to, options.resolve_time, |address, doing| async move {
        dial_address(address, &doing, options).await
    })
    .await
}

/// Dials the host and the port of `to`, whatever its scheme, with `dial`, which gets an address and
/// what messages are to say that it is doing.
///
/// A host name is resolved within `resolve_time`, and its addresses are raced as RFC 8305 has it:
/// IPv6 and IPv4 in turns, the next one when an attempt fails or takes longer than 250 ms, and the
/// first that accepts wins. Cancel safe if `dial` is: dropping the future abandons the attempts.
///
/// # Errors
///
/// The host is empty, the port is 0, the name does not resolve, or no address accepted; the message
/// then has a reason for each address, and the kind is that of the most telling one.
pub async fn dial_with<C, D, F>(
    to: &Address,
    resolve_time: Duration,
    dial: D,
) -> Result<C, TransportError>
where
    D: Fn(SocketAddr, String) -> F,
    F: Future<Output = Result<C, TransportError>>,
{
    let doing = format!("connecting to {to}");
    let invalid =
        |reason| TransportError::new(Reason::InvalidAddress, format!("{doing}: {reason}"));
    if to.host().is_empty() {
        return Err(invalid("the host is missing"));
    }
    if to.port() == 0 {
        return Err(invalid("nobody can be reached at port 0"));
    }
    if let Ok(ip) = to.host().parse::<IpAddr>() {
        return dial(SocketAddr::new(ip, to.port()), doing).await;
    }
    let addresses = resolve(to.host(), to.port(), resolve_time).await.map_err(|reason| {
        TransportError::new(Reason::NameResolution, format!("{doing}: {reason}"))
    })?;
    dial_first(&addresses, &doing, dial).await
}

/// Connects to one address.
pub(crate) async fn dial_address(
    address: SocketAddr,
    doing: &str,
    options: &TcpOptions,
) -> Result<TcpStream, TransportError> {
    let socket = if address.is_ipv6() { TcpSocket::new_v6() } else { TcpSocket::new_v4() };
    let socket = socket.map_err(|error| TransportError::from_io(&error, doing))?;
    let time = options.connect_time;
    let stream = tokio::time::timeout(time, socket.connect(address))
        .await
        .map_err(|_| {
            TransportError::new(Reason::TimedOut, format!("{doing}: no answer within {time:?}"))
        })?
        .map_err(|error| dial_error(&error, doing))?;
    if is_own_reflection(&stream) {
        let error = std::io::ErrorKind::ConnectionRefused.into();
        return Err(dial_error(&error, doing));
    }
    options.apply(&stream);
    Ok(stream)
}

fn dial_error(error: &std::io::Error, doing: &str) -> TransportError {
    if error.kind() == std::io::ErrorKind::AddrNotAvailable {
        // Said of the other side's address when listening, but of this side's here.
        let detail = format!("{doing}: this machine has no address or port to connect from");
        return TransportError::new(Reason::Unreachable, detail);
    }
    TransportError::from_io(error, doing)
}

/// Whether the socket is connected to itself, as TCP allows when the dialled port happens to be the
/// one chosen for the dialling side. Nothing listens there then, and whoever wants to could not.
fn is_own_reflection(stream: &TcpStream) -> bool {
    matches!((stream.local_addr(), stream.peer_addr()), (Ok(local), Ok(peer)) if local == peer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn addresses_are_tried_until_one_accepts() {
        let listener = std::net::TcpListener::bind("127.0.0.2:0").unwrap();
        let accepting = listener.local_addr().unwrap();
        let refusing = SocketAddr::new("127.0.0.1".parse().unwrap(), accepting.port());
        let options = TcpOptions::default();
        let options = &options;
        let dial =
            |address, doing: String| async move { dial_address(address, &doing, options).await };
        let stream = dial_first(&[refusing, accepting], "connecting", dial).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), accepting);
    }

    #[tokio::test]
    async fn a_socket_connected_to_itself_is_recognised() {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let own = socket.local_addr().unwrap();
        let stream = socket.connect(own).await.unwrap();
        assert!(is_own_reflection(&stream));
    }
}
