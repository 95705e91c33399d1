//! What an address of a cluster says.

use crate::BridgeAddress;
use broker_core::Address;
use std::collections::BTreeSet;

/// The parameters of this kind.
pub(super) const PARAMETERS: &[&str] = &["publish", "name", "logs", "logger", "filter", "member"];

/// A cluster, and what this process is to be in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cluster {
    /// Where the proxy's XPUB listens, which nodes subscribe at.
    pub(super) subscribe: Address,
    /// Where the proxy's XSUB listens, which nodes publish at.
    pub(super) publish: Address,
    /// The name of a member.
    pub(super) name: Option<String>,
    /// The other members, for whose presence the manager waits.
    pub(super) members: BTreeSet<String>,
    /// Where log batches are taken. Without a host that is the address of this machine by which it
    /// reaches the proxy.
    pub(super) logs: Option<(Option<String>, u16)>,
    /// Where log batches go.
    pub(super) loggers: Vec<Address>,
    /// The filter whose name log batches carry.
    pub(super) filter: String,
}

impl Cluster {
    pub(super) fn new(url: &Address, address: &BridgeAddress) -> Result<Self, String> {
        let subscribe = url.clone().with_path("").with_query("");
        let publish = match address.get("publish") {
            Some(text) => port("publish", text)?,
            None => url.port().checked_add(1).ok_or("publish: there is no port behind 65535")?,
        };
        let publish = subscribe.clone().with_port(publish);
        let name = address.get("name").map(word).transpose()?;
        let members: Result<_, _> = address.all("member").map(word).collect();
        let logs = address.get("logs").map(|text| match text.rsplit_once(':') {
            Some((host, number)) => {
                let host = host.trim_matches(['[', ']']).to_owned();
                port("logs", number).map(|number| (Some(host), number))
            }
            None => port("logs", text).map(|number| (None, number)),
        });
        let logger = |text: &str| {
            let url = format!("zeromq://{text}").parse::<Address>();
            url.map_err(|error| format!("logger={text}: {error}"))
        };
        let loggers: Result<_, _> = address.all("logger").map(logger).collect();
        let filter = address.get("filter").unwrap_or("default").to_owned();
        Ok(Self {
            subscribe,
            publish,
            name,
            members: members?,
            logs: logs.transpose()?,
            loggers: loggers?,
            filter,
        })
    }

    /// Whether the parameters of an address can be used; which host and port it has does not
    /// matter.
    pub(super) fn check(address: &BridgeAddress) -> Result<(), String> {
        Self::new(&Address::new("zeromq", "host", 1), address).map(drop)
    }
}

fn port(name: &str, text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| format!("{name}={text}: this is no port"))
}

/// The name of a node, which becomes a part of topics.
fn word(text: &str) -> Result<String, String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    match !text.is_empty() && text.len() <= 128 && text.chars().all(is_part) {
        true => Ok(text.to_owned()),
        false => Err(format!("{text:?} is not the name of a node: letters, digits, - and _")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(text: &str) -> Result<Cluster, String> {
        let url: Address = text.parse().unwrap();
        let address = super::super::KIND.parse(&url).map_err(|error| error.to_string())?;
        Cluster::new(&url, &address)
    }

    #[test]
    fn the_address_says_where_the_sockets_are() {
        let plain = cluster("zeromq://manager:5555?to=/a&from=/b").unwrap();
        assert_eq!(plain.subscribe.to_string(), "zeromq://manager:5555");
        assert_eq!(plain.publish.to_string(), "zeromq://manager:5556");
        assert_eq!((plain.name, plain.logs, plain.loggers), (None, None, Vec::new()));
        let full = "zeromq://[::1]:27760?publish=9&name=bridge&logs=5&member=w-1&member=m\
                    &logger=host:7&logger=[::1]:8&filter=x";
        let full = cluster(full).unwrap();
        assert_eq!((full.publish.port(), full.name.as_deref()), (9, Some("bridge")));
        assert_eq!((full.logs, full.members.len()), (Some((None, 5)), 2));
        assert_eq!(full.loggers[1].to_string(), "zeromq://[::1]:8");
        assert_eq!(
            cluster("zeromq://h:1?logs=[::1]:5").unwrap().logs,
            Some((Some("::1".into()), 5))
        );
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for query in ["publish=x", "name=a.b", "name=", "logs=70000", "logger=host", "member=%2f"] {
            assert!(cluster(&format!("zeromq://h:1?{query}")).is_err(), "{query}");
        }
        assert!(cluster("zeromq://h:65535").is_err());
        assert!(cluster("zeromq://h:65535?publish=1").is_ok());
    }
}
