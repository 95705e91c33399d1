//! The addresses that a host stands for, of this machine and of others.

use if_addrs::{IfAddr, Interface};
use std::io;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::time::Duration;

/// Where a listener is to be, before the port.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ListenAddresses {
    /// Every address of the machine, whichever IP versions it has.
    Everywhere,
    /// All of these, except those that turn out not to belong to this machine.
    At(Vec<SocketAddr>),
}

/// The addresses that the host of a URL stands for; the error is a clause.
///
/// Names of interfaces are looked at before host names: finding them needs no resolver, and the
/// C++ Broker takes every name for an interface.
pub(crate) async fn listen_addresses(
    host: &str,
    resolve_time: Duration,
) -> Result<ListenAddresses, String> {
    if host.is_empty() {
        return Ok(ListenAddresses::Everywhere);
    }
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(ListenAddresses::At(vec![SocketAddr::new(ip.to_canonical(), 0)]));
    }
    let interface = interface_addresses(host).unwrap_or_default();
    if !interface.is_empty() {
        return Ok(ListenAddresses::At(interface));
    }
    let addresses = resolve(host, 0, resolve_time)
        .await
        .map_err(|reason| format!("{reason}, and no network interface is called {host}"))?;
    Ok(ListenAddresses::At(addresses))
}

fn interface_addresses(name: &str) -> io::Result<Vec<SocketAddr>> {
    let all = if_addrs::get_if_addrs()?;
    Ok(all.iter().filter(|interface| interface.name == name).map(address).collect())
}

fn address(interface: &Interface) -> SocketAddr {
    match &interface.addr {
        IfAddr::V4(v4) => SocketAddr::new(v4.ip.into(), 0),
        IfAddr::V6(v6) => {
            // A link-local address means nothing without its link.
            let scope = if v6.ip.is_unicast_link_local() { interface.index } else { None };
            SocketAddrV6::new(v6.ip, 0, 0, scope.unwrap_or(0)).into()
        }
    }
}

/// The distinct addresses of a host name, in the order of the resolver.
///
/// The error is the clause that says why there are none.
pub(crate) async fn resolve(
    name: &str,
    port: u16,
    time: Duration,
) -> Result<Vec<SocketAddr>, String> {
    let found = tokio::time::timeout(time, tokio::net::lookup_host((name, port)))
        .await
        .map_err(|_| format!("the name {name} did not resolve within {time:?}"))?
        .map_err(|error| {
            let text = error.to_string();
            let reason = text.strip_prefix("failed to lookup address information: ");
            format!("the name {name} does not resolve ({})", reason.unwrap_or(&text))
        })?;
    let mut addresses = Vec::new();
    for address in found {
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        return Err(format!("the name {name} has no address"));
    }
    Ok(addresses)
}
