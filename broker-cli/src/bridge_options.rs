//! What addresses of bridges mean on the command line, of whichever kind.

use broker::Address;
use broker::bridge::{BridgeAddress, BridgeKind, KINDS, check_native};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What does not stand for itself in the topics of an address.
const ENCODED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b':');

/// An address that a command publishes at, which says what of it goes there.
pub(crate) fn for_publishing(url: Address, topic: &str) -> Address {
    if BridgeKind::of(&url).is_none() || url.parameters().any(|(name, _)| name == "to") {
        return url;
    }
    let separator = if url.query().is_empty() { "" } else { "&" };
    let query = format!("{}{separator}to={}", url.query(), utf8_percent_encode(topic, ENCODED));
    url.with_query(&query)
}

/// An address that differs from one before it in nothing but its path or query.
pub(crate) fn said_twice<'a>(urls: impl Iterator<Item = &'a Address>) -> Option<&'a Address> {
    let urls: Vec<_> = urls.collect();
    let place = |url: &Address| (url.scheme().to_owned(), url.host().to_owned(), url.port());
    let repeats = |(at, url): &(usize, &&Address)| {
        urls.iter().take(*at).any(|before| before != *url && place(before) == place(url))
    };
    urls.iter().enumerate().find(repeats).map(|(_, url)| *url)
}

/// Whether a scheme stands for nothing but bridges, at whose addresses nobody listens.
pub(crate) fn is_only_dialled(scheme: &str) -> bool {
    KINDS.iter().any(|kind| kind.path.is_none() && kind.schemes.contains(&scheme))
}

/// Why an address cannot be meant as it is written, if it is one of a bridge, or of something else
/// with the scheme of a bridge.
pub(crate) fn check(url: &Address) -> Result<(), String> {
    let checked = match BridgeKind::of(url) {
        Some(kind) => kind.parse(url).map(drop),
        None if KINDS.iter().any(|kind| kind.schemes.contains(&url.scheme())) => check_native(url),
        None => Ok(()),
    };
    checked.map_err(|error| format!("{url}: {error}"))
}

/// The topics that come from the other side of a bridge, as far as its address says so, and whether
/// it says anything about topics; `None` if it is not the address of a bridge, or of no use.
pub(crate) fn topics_from(url: &Address) -> Option<(Vec<String>, bool)> {
    let BridgeAddress { directions, .. } = BridgeKind::of(url)?.parse(url).ok()?;
    let says_anything = directions.from.is_some() || !directions.to.is_empty();
    Some((directions.from.unwrap_or_default(), says_anything))
}

#[cfg(test)]
#[cfg(feature = "ws")]
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
            let url = BridgeKind::complete(url(text));
            assert_eq!((url.to_string().as_str(), BridgeKind::of(&url).is_some()), (shown, json));
        }
    }

    #[test]
    fn what_is_published_goes_to_the_other_side() {
        let publish =
            |text: &str, topic| for_publishing(BridgeKind::complete(url(text)), topic).to_string();
        let path = "ws://h:1/v1/messages/json";
        assert_eq!(publish("ws://h:1", "/a b&c"), format!("{path}?to=/a%20b%26c"));
        assert_eq!(publish("ws://h:1?x=y", ""), format!("{path}?x=y&to="));
        assert_eq!(publish("ws://h:1?to=/z", "/a"), format!("{path}?to=/z"));
        assert_eq!(publish("tcp://h:1", "/a"), "tcp://h:1");
    }

    #[test]
    fn a_node_asks_for_what_comes_from_the_other_side() {
        let topics = |text: &str| topics_from(&BridgeKind::complete(url(text)));
        let (from, says_anything) = topics("ws://h:1?from=/a&to=/b&from=/c").unwrap();
        assert_eq!((from, says_anything), (vec!["/a".to_owned(), "/c".to_owned()], true));
        assert_eq!(topics("ws://h:1?to=/b"), Some((Vec::new(), true)));
        assert_eq!(topics("ws://h:1"), Some((Vec::new(), false)));
        assert_eq!(topics("tcp://h:1"), None);
    }
}
