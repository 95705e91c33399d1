use std::net::SocketAddr;
use std::time::Duration;

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
