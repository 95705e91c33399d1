//! The layers below everything: names and connections.

use super::report::{Check, Finding};
use broker::core::transport::TransportError;
use broker::{Address, Reason};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

/// How long the resolver may take.
const RESOLVE: Duration = Duration::from_secs(10);

/// The addresses of the host of a URL.
pub(super) async fn resolve(url: &Address) -> Result<(Vec<SocketAddr>, Check), Finding> {
    let fail = |kind, text: String| Finding::from(TransportError::new(kind, text));
    let (host, port) = (url.host(), url.port());
    if port == 0 {
        return Err(fail(Reason::InvalidAddress, format!("{url}: nobody listens at port 0")));
    }
    if let Ok(ip) = host.parse::<IpAddr>() {
        let check = Check::passed("name", format!("{host} is an address"));
        return Ok((vec![SocketAddr::new(ip, port)], check));
    }
    let began = Instant::now();
    let found = timeout(RESOLVE, lookup_host((host, port))).await.map_err(|_| {
        let text = format!("the name {host} did not resolve within {} s", RESOLVE.as_secs());
        fail(Reason::NameResolution, text)
    })?;
    let found = found.map_err(|error| {
        fail(Reason::NameResolution, format!("{host} does not resolve: {error}"))
    })?;
    let mut addresses = Vec::new();
    for address in found {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        return Err(fail(Reason::NameResolution, format!("the name {host} has no address")));
    }
    let texts: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
    let check = Check::passed("name", format!("{host} is {}", texts.join(", ")))
        .took(began.elapsed())
        .with("addresses", texts);
    Ok((addresses, check))
}

/// Connects to an address.
pub(super) async fn connect(
    address: SocketAddr,
    limit: Duration,
) -> Result<(TcpStream, Duration), TransportError> {
    let began = Instant::now();
    match timeout(limit, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => Ok((stream, began.elapsed())),
        Ok(Err(error)) => Err(TransportError::from_io(&error, &address.to_string())),
        Err(_) => {
            let text = format!("{address}: no answer within {} s", limit.as_secs_f64());
            Err(TransportError::new(Reason::TimedOut, text))
        }
    }
}
