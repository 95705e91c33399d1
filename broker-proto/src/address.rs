//! Where endpoints listen and dial: `scheme://host:port[/path][?query]`, `host:port` and Zeek's
//! `9999/tcp`; `unix:///path` between processes of one machine.

use std::convert::Infallible;
use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

/// The parameter of a query whose value is a secret.
const TOKEN: &str = "access_token";

/// What is shown instead of a secret.
const MASK: &str = "***";

/// The scheme that a URL without one gets.
pub const DEFAULT_SCHEME: &str = "tcp";

/// The scheme whose addresses are paths: `unix:///run/broker.sock` has neither host nor port.
const PATHS: &str = "unix";

/// The address of a listener, or of a peer to dial.
///
/// Equality is textual, as in `unpeer(address, port)` of the C++ Broker: `localhost` and
/// `127.0.0.1` are different addresses.
///
/// URLs are shown in logs, events and errors, to people and to programs. So the value of the
/// parameter `access_token` is masked in what [`Display`](fmt::Display) and [`Debug`](fmt::Debug)
/// write; but for that it reads as the same URL. [`Self::to_string_with_secrets`] keeps it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    scheme: String,
    host: String,
    port: u16,
    path: String,
    query: String,
}

/// Why a text is not a usable URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid URL {text:?}: {reason}")]
pub struct InvalidAddress {
    text: String,
    reason: String,
}

impl Address {
    /// A URL from its parts. `host` carries no brackets; it may be empty for a listener that binds
    /// every interface.
    #[must_use]
    pub fn new(scheme: &str, host: &str, port: u16) -> Self {
        Self {
            scheme: scheme.to_owned(),
            host: host.to_owned(),
            port,
            path: String::new(),
            query: String::new(),
        }
    }

    /// The scheme, in lower case.
    #[must_use]
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// The host: a name, an IP address without brackets, or empty.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; 0 asks a listener to pick a free one.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The path, with its leading slash, or empty.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What follows the question mark, or empty. What it means is up to the transport.
    #[must_use]
    pub fn query(&self) -> &str {
        &self.query
    }

    /// The parameters of the query in order, each as its name and its value. Nothing is decoded:
    /// no parameter of this project needs escapes.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        let parts = self.query.split('&').filter(|part| !part.is_empty());
        parts.map(|part| part.split_once('=').unwrap_or((part, "")))
    }

    /// The same URL with another port.
    #[must_use]
    pub fn with_port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// The same URL with another host.
    #[must_use]
    pub fn with_host(mut self, host: &str) -> Self {
        host.clone_into(&mut self.host);
        self
    }

    /// The same URL with another path, with its leading slash, or empty.
    #[must_use]
    pub fn with_path(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// The same URL with another query, without the question mark; an empty one takes it away.
    #[must_use]
    pub fn with_query(mut self, query: &str) -> Self {
        query.clone_into(&mut self.query);
        self
    }

    /// The whole URL, with the token that may be in it. It reads as the same URL.
    #[must_use]
    pub fn to_string_with_secrets(&self) -> String {
        let mut text = self.without_query();
        if !self.query.is_empty() {
            text.push('?');
            text.push_str(&self.query);
        }
        text
    }

    fn without_query(&self) -> String {
        let Self { scheme, host, port, path, .. } = self;
        match host.contains(':') {
            _ if scheme == PATHS => format!("{scheme}://{path}"),
            true => format!("{scheme}://[{host}]:{port}{path}"),
            false => format!("{scheme}://{host}:{port}{path}"),
        }
    }

    /// EndpointContext and port as the C++ Broker prints them: `ADDR:PORT` without brackets.
    #[must_use]
    pub fn host_and_port(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.without_query())?;
        if self.query.is_empty() { Ok(()) } else { write!(f, "?{}", masked(&self.query)) }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text).map_err(|reason| {
            let (url, query) = text.split_once('?').unwrap_or((text, ""));
            let mut shown = without_user(url);
            if !query.is_empty() {
                shown = format!("{shown}?{}", masked(query));
            }
            InvalidAddress { text: shown.chars().take(256).collect(), reason }
        })
    }
}

impl From<&Address> for Address {
    fn from(url: &Address) -> Self {
        url.clone()
    }
}

impl TryFrom<&str> for Address {
    type Error = InvalidAddress;

    fn try_from(text: &str) -> Result<Self, InvalidAddress> {
        text.parse()
    }
}

impl TryFrom<&String> for Address {
    type Error = InvalidAddress;

    fn try_from(text: &String) -> Result<Self, InvalidAddress> {
        text.parse()
    }
}

impl TryFrom<String> for Address {
    type Error = InvalidAddress;

    fn try_from(text: String) -> Result<Self, InvalidAddress> {
        text.parse()
    }
}

impl From<Infallible> for InvalidAddress {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// A URL that can be shown, though somebody may have put a password into it.
fn without_user(url: &str) -> String {
    let (scheme, rest) = url.split_at(url.find("://").map_or(0, |at| at + 3));
    match rest.rsplit_once('@') {
        Some((_, rest)) => format!("{scheme}{MASK}@{rest}"),
        None => url.to_owned(),
    }
}

/// A query that can be shown.
fn masked(query: &str) -> String {
    let shown = |part: &str| match part.split_once('=') {
        Some((name, _)) if name.eq_ignore_ascii_case(TOKEN) => format!("{name}={MASK}"),
        _ => part.to_owned(),
    };
    query.split('&').map(shown).collect::<Vec<_>>().join("&")
}

fn parse(text: &str) -> Result<Address, String> {
    if let Some(port) = zeek_port(text)? {
        return Ok(Address::new(DEFAULT_SCHEME, "", port));
    }
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) => (checked_scheme(scheme)?, rest),
        None => (DEFAULT_SCHEME.to_owned(), text),
    };
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let mut url = if scheme == PATHS {
        if !authority.is_empty() || path.len() < 2 {
            return Err("a path is missing (as in unix:///run/broker.sock)".to_owned());
        }
        Address::new(&scheme, "", 0)
    } else {
        let (host, port) = split_authority(authority)?;
        Address::new(&scheme, host, parse_port(port)?)
    };
    query.clone_into(&mut url.query);
    if path != "/" {
        path.clone_into(&mut url.path);
    }
    Ok(url)
}

/// `9999/tcp` as Zeek writes ports; other protocols are named in the error.
fn zeek_port(text: &str) -> Result<Option<u16>, String> {
    let Some((number, protocol)) = text.split_once('/') else { return Ok(None) };
    if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(None);
    }
    if protocol != "tcp" {
        return Err(format!("a Broker port is a TCP port, not {protocol:?}"));
    }
    parse_port(number).map(Some)
}

fn checked_scheme(scheme: &str) -> Result<String, String> {
    let valid =
        scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    if scheme.is_empty() || !valid {
        return Err("the scheme is not a word".to_owned());
    }
    Ok(scheme.to_ascii_lowercase())
}

fn split_authority(authority: &str) -> Result<(&str, &str), String> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, port) =
            rest.split_once(']').ok_or_else(|| "the bracket is not closed".to_owned())?;
        if host.parse::<Ipv6Addr>().is_err() {
            return Err(format!("{host:?} is not an IPv6 address"));
        }
        let port = port.strip_prefix(':').ok_or_else(no_port)?;
        return Ok((host, port));
    }
    if authority.contains('@') {
        return Err("user information before the host is not supported".to_owned());
    }
    let (host, port) = authority.rsplit_once(':').ok_or_else(no_port)?;
    if host.contains(':') {
        return Err("an IPv6 address needs brackets, as in [::1]:9999".to_owned());
    }
    if host.bytes().any(|b| b.is_ascii_whitespace() || b.is_ascii_control()) {
        return Err(format!("{host:?} is not a host name"));
    }
    Ok((host, port))
}

fn no_port() -> String {
    "the port is missing (as in 127.0.0.1:9999)".to_owned()
}

fn parse_port(text: &str) -> Result<u16, String> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("{text:?} is not a port number"));
    }
    text.parse().map_err(|_| format!("port {text} is above 65535"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_documented_form_is_understood() {
        for (text, shown) in [
            ("tcp://127.0.0.1:9999", "tcp://127.0.0.1:9999"),
            ("TCP://localhost:1/", "tcp://localhost:1"),
            ("tls://[::1]:9999", "tls://[::1]:9999"),
            ("ws://host:80/v1/messages/json", "ws://host:80/v1/messages/json"),
            ("quic://host:1?pin=sha256:00", "quic://host:1?pin=sha256:00"),
            ("ws://host:80/?a", "ws://host:80?a"),
            ("ws://host:80/path?a=/b?c", "ws://host:80/path?a=/b?c"),
            ("host:9999?", "tcp://host:9999"),
            ("host:9999", "tcp://host:9999"),
            ("[::1]:0", "tcp://[::1]:0"),
            (":9999", "tcp://:9999"),
            ("9999/tcp", "tcp://:9999"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), shown, "{text}");
        }
    }

    #[test]
    fn parameters_are_split_at_ampersands_and_the_first_equals_sign() {
        let url: Address = "quic://host:1?pin=sha256:ab=&&flag&x=".parse().unwrap();
        let found: Vec<_> = url.parameters().collect();
        assert_eq!(found, [("pin", "sha256:ab="), ("flag", ""), ("x", "")]);
        assert_eq!(Address::new("tcp", "host", 1).parameters().count(), 0);
        assert_eq!(url.with_query("a=b").to_string(), "quic://host:1?a=b");
    }

    #[test]
    fn tokens_and_passwords_are_not_shown() {
        let text = "ws://[::1]:1/path?to=/a&access_token=s3cret=&Access_Token=s3cret&x";
        let url: Address = text.parse().unwrap();
        let shown = "ws://[::1]:1/path?to=/a&access_token=***&Access_Token=***&x";
        assert_eq!((url.to_string(), format!("{url:?}")), (shown.to_owned(), shown.to_owned()));
        assert_eq!(url.to_string_with_secrets(), text);
        assert_eq!(url.parameters().nth(1), Some(("access_token", "s3cret=")));
        for text in ["ws://host?access_token=s3cret", "ws://me:s3cret@host:1", "me:s3cret@host:1"] {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains("***") && !error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn nonsense_is_refused_with_a_reason() {
        for (text, reason) in [
            ("", "port is missing"),
            ("tcp://", "port is missing"),
            ("tcp://host", "port is missing"),
            ("host:http", "not a port number"),
            ("host:65536", "above 65535"),
            ("9999/udp", "TCP port"),
            ("://host:1", "scheme"),
            ("::1:9999", "brackets"),
            ("[::1", "bracket"),
            ("[host]:1", "IPv6"),
            ("a b:1", "host name"),
            ("ws://user:pw@host:1", "user information"),
            ("user@host", "user information"),
            ("ws://u@[::1]:1", "user information"),
        ] {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text:?} gave {error:?}");
        }
    }
}
