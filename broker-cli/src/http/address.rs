use broker::Address;
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// The default address of `node --http`, and of the commands that ask there.
pub(crate) const DEFAULT: &str = "127.0.0.1:9990";

/// A host and a port, written as `host:port` or `http://host:port`. Without a host it is this
/// machine alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct HttpAddress(Address);

impl HttpAddress {
    pub(crate) fn host(&self) -> &str {
        self.0.host()
    }

    pub(crate) fn port(&self) -> u16 {
        self.0.port()
    }

    /// The address as a URL.
    pub(crate) fn url(&self) -> &Address {
        &self.0
    }

    /// The same host with the port it really has.
    pub(crate) fn at_port(&self, port: u16) -> Address {
        self.0.clone().with_port(port)
    }
}

impl TryFrom<String> for HttpAddress {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<HttpAddress> for String {
    fn from(address: HttpAddress) -> Self {
        address.0.to_string()
    }
}

impl FromStr for HttpAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url: Address = text.parse().map_err(|error| format!("{error}"))?;
        // What has no scheme is taken for the default one of Broker.
        let is_http = text.starts_with("http://") || !text.contains("://");
        if !is_http || !url.path().is_empty() || !url.query().is_empty() {
            return Err("not an address as in 127.0.0.1:9990".to_owned());
        }
        let host = if url.host().is_empty() { "127.0.0.1" } else { url.host() };
        Ok(Self(Address::new("http", host, url.port())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_a_host_and_a_port_and_nothing_else() {
        for (text, url) in [
            ("127.0.0.1:9990", "http://127.0.0.1:9990"),
            ("http://host:1", "http://host:1"),
            ("http://[::1]:1/", "http://[::1]:1"),
            (":1", "http://127.0.0.1:1"),
            ("1/tcp", "http://127.0.0.1:1"),
        ] {
            assert_eq!(text.parse::<HttpAddress>().unwrap().url().to_string(), url);
        }
        for text in ["host", "https://host:1", "tcp://host:1", "http://host:1/metrics", ""] {
            assert!(text.parse::<HttpAddress>().is_err(), "{text}");
        }
    }
}
