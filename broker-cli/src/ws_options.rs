//! What the command line can say about WebSocket, and what addresses of that kind mean here.

use crate::options::replace_list;
use broker::Address;
use broker::ws::{AccessRule, JSON_PATH, WsOptions};
use clap::Args;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The environment variable with the token that clients have to present: a command line is for
/// everybody to read.
const TOKEN: &str = "BROKER_WS_TOKEN";

/// Clients of the JSON API and endpoints at ws:// and wss:// addresses. A listener serves both, and
/// a token that they have to present is read from BROKER_WS_TOKEN. As a peer, such an address
/// stands for the JSON API of a server, which becomes a peer: ?to=PREFIX says what goes there,
/// ?from=PREFIX what comes from there, transit=1 and repeats=N change what is done against circles;
/// with the path /v1/native it stands for another endpoint of this kind.
#[derive(Debug, Args)]
#[command(next_help_heading = "WebSocket (ws://, wss://)")]
pub(crate) struct WsArgs {
    /// Serve an example page to browsers that ask a listener for / [default: none]
    #[arg(long)]
    ws_page: bool,

    /// Let web pages of this origin connect, as in `https://dashboard.example`, and no others but
    /// the own; may be repeated [default: all]
    #[arg(long, value_name = "ORIGIN")]
    ws_origin: Vec<String>,
}

impl WsArgs {
    /// Lets what the command line says override what the file says.
    pub(crate) fn apply(&self, options: &mut WsOptions) {
        options.page |= self.ws_page;
        replace_list(&mut options.access.origins, &self.ws_origin);
        if let Ok(token) = std::env::var(TOKEN) {
            let rule = AccessRule { token: Some(token), ..AccessRule::default() };
            options.access.rules = vec![rule];
        }
    }
}

/// Whether an address to dial is the JSON API of a server.
pub(crate) fn is_json(url: &Address) -> bool {
    matches!(url.scheme(), "ws" | "wss") && url.path() == JSON_PATH
}

/// An address as it is dialled: one without a path means the JSON API.
pub(crate) fn with_path(url: Address) -> Address {
    match (url.scheme(), url.path()) {
        ("ws" | "wss", "" | "/") => url.with_path(JSON_PATH),
        _ => url,
    }
}

/// What does not stand for itself in the topics of an address.
const ENCODED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b':');

/// An address that a command publishes at, which says what of it goes there.
pub(crate) fn for_publishing(url: Address, topic: &str) -> Address {
    if !is_json(&url) || url.parameters().any(|(name, _)| name == "to") {
        return url;
    }
    let separator = if url.query().is_empty() { "" } else { "&" };
    let query = format!("{}{separator}to={}", url.query(), utf8_percent_encode(topic, ENCODED));
    url.with_query(&query)
}

/// An address that differs from one before it in nothing but its path or query.
pub(crate) fn said_twice(urls: &[Address]) -> Option<&Address> {
    let place = |url: &Address| (url.scheme().to_owned(), url.host().to_owned(), url.port());
    let repeats = |(at, url): &(usize, &Address)| {
        urls.iter().take(*at).any(|before| before != *url && place(before) == place(url))
    };
    urls.iter().enumerate().find(repeats).map(|(_, url)| url)
}

/// Why an address cannot be meant as it is written, if it is one of these.
pub(crate) fn check(url: &Address) -> Result<(), String> {
    use broker::bridge::Directions;
    let checked = match url.scheme() {
        "ws" | "wss" if is_json(url) => Directions::parse(url).map(drop),
        "ws" | "wss" => Directions::check_native(url),
        _ => Ok(()),
    };
    checked.map_err(|error| format!("{url}: {error}"))
}

/// What comes from a server, as far as its address says so.
pub(crate) fn topics_from(url: &Address) -> Vec<String> {
    let directions = broker::bridge::Directions::parse(url);
    directions.ok().and_then(|directions| directions.from).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Address {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_without_a_path_is_the_json_api() {
        for (text, shown, json) in [
            ("ws://h:1", "ws://h:1/v1/messages/json", true),
            ("wss://h:1/?to=/a", "wss://h:1/v1/messages/json?to=/a", true),
            ("ws://h:1/v1/native", "ws://h:1/v1/native", false),
            ("tcp://h:1", "tcp://h:1", false),
        ] {
            let url = with_path(url(text));
            assert_eq!((url.to_string().as_str(), is_json(&url)), (shown, json));
        }
    }

    #[test]
    fn what_is_published_goes_to_the_server() {
        let publish = |text: &str, topic| for_publishing(with_path(url(text)), topic).to_string();
        let path = "ws://h:1/v1/messages/json";
        assert_eq!(publish("ws://h:1", "/a b&c"), format!("{path}?to=/a%20b%26c"));
        assert_eq!(publish("ws://h:1?x=y", ""), format!("{path}?x=y&to="));
        assert_eq!(publish("ws://h:1?to=/z", "/a"), format!("{path}?to=/z"));
        assert_eq!(publish("tcp://h:1", "/a"), "tcp://h:1");
    }

    #[test]
    fn a_node_asks_for_what_comes_from_a_server() {
        assert_eq!(topics_from(&url("ws://h:1/x?from=/a&to=/b&from=/c")), ["/a", "/c"]);
        assert!(topics_from(&url("ws://h:1/x?to=/b")).is_empty());
    }
}
