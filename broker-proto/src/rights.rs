//! Who may publish and subscribe to what: peers by rules of the endpoint, clients by those of the
//! gateway that they come by.

use crate::data::{InvalidSubnet, IpAddress, Subnet};
use crate::{Link, Protection};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// What a peer has to show, and what it may do then. A rule that asks for nothing is met by
/// everybody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct PeerRule {
    /// The name that the certificate of the peer has to prove, as the list of peers shows it.
    pub certificate: Option<String>,

    /// The key of the peer, if that is what it is known by (`pins` in the settings of TLS).
    pub pin: Option<String>,

    /// The network that the connection has to come from, or go to: an address and the length of
    /// the prefix, as in `10.0.0.0/8`.
    pub network: Option<Network>,

    /// Topic prefixes that it may publish below. Default: all.
    pub publish: Option<Vec<String>>,

    /// Topic prefixes that it may subscribe below. Default: all.
    pub subscribe: Option<Vec<String>>,

    /// Whether it may bring in messages that others have published. Default true.
    pub others: bool,
}

impl Default for PeerRule {
    fn default() -> Self {
        let (certificate, pin, network, publish, subscribe) = (None, None, None, None, None);
        Self { certificate, pin, network, publish, subscribe, others: true }
    }
}

impl PeerRule {
    fn is_met(&self, link: &Link) -> bool {
        let proved = match &link.protection {
            Protection::Authenticated(name) => Some(name.as_str()),
            _ => None,
        };
        let has_key = |pin: &String| proved.and_then(|name| name.strip_prefix("key ")) == Some(pin);
        let host = || link.remote.host().parse().ok();
        self.certificate.as_ref().is_none_or(|name| proved == Some(name))
            && self.pin.as_ref().is_none_or(has_key)
            && self.network.is_none_or(|network| host().is_some_and(|host| network.has(host)))
    }
}

/// What the peer at the other end of a link may do, by the first rule that it meets: without rules
/// everything, and nothing at all if it meets none.
pub fn rights_of(rules: &[PeerRule], link: &Link) -> Option<Rights> {
    if rules.is_empty() {
        return Some(Rights::default());
    }
    let rule = rules.iter().find(|rule| rule.is_met(link))?;
    Some(Rights::new(rule.publish.as_deref(), rule.subscribe.as_deref(), rule.others))
}

/// What somebody may do. The default is everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    publish: Option<Vec<Bytes>>,
    subscribe: Option<Vec<Bytes>>,
    others: bool,
}

impl Default for Rights {
    fn default() -> Self {
        Self { publish: None, subscribe: None, others: true }
    }
}

impl Rights {
    /// May publish and subscribe below these prefixes, if there are lists of them, and bring in
    /// what others have published.
    #[must_use]
    pub fn new(publish: Option<&[String]>, subscribe: Option<&[String]>, others: bool) -> Self {
        let list =
            |list: &[String]| list.iter().map(|prefix| Bytes::from(prefix.clone())).collect();
        Self { publish: publish.map(list), subscribe: subscribe.map(list), others }
    }

    /// Whether there is no topic that may not be published or subscribed to.
    #[must_use]
    pub fn are_unlimited(&self) -> bool {
        self.publish.is_none() && self.subscribe.is_none()
    }

    /// Whether a message on this topic may come from there.
    #[must_use]
    pub fn may_publish(&self, topic: &[u8]) -> bool {
        allows(self.publish.as_deref(), topic)
    }

    /// Whether everything below `prefix` may be received.
    #[must_use]
    pub fn may_subscribe(&self, prefix: &[u8]) -> bool {
        allows(self.subscribe.as_deref(), prefix)
    }

    /// Whether messages that others have published may come from there.
    #[must_use]
    pub fn may_bring_others(&self) -> bool {
        self.others
    }

    /// What may be received of what is wanted, and the first entry that is too much.
    #[must_use]
    pub fn receivable(&self, wanted: Vec<Bytes>) -> (Vec<Bytes>, Option<Bytes>) {
        narrowed(self.subscribe.as_deref(), wanted)
    }

    /// What may be published of what is wanted.
    #[must_use]
    pub fn publishable(&self, wanted: Vec<Bytes>) -> Vec<Bytes> {
        narrowed(self.publish.as_deref(), wanted).0
    }
}

fn allows(list: Option<&[Bytes]>, topic: &[u8]) -> bool {
    list.is_none_or(|list| list.iter().any(|prefix| topic.starts_with(prefix)))
}

/// The part of what is wanted that is below the prefixes of a list.
fn narrowed(list: Option<&[Bytes]>, wanted: Vec<Bytes>) -> (Vec<Bytes>, Option<Bytes>) {
    let Some(list) = list else { return (wanted, None) };
    let (mut kept, mut refused) = (Vec::new(), None);
    for entry in wanted {
        if allows(Some(list), &entry) {
            kept.push(entry);
        } else {
            kept.extend(list.iter().filter(|prefix| prefix.starts_with(&entry)).cloned());
            refused.get_or_insert(entry);
        }
    }
    (kept, refused)
}

/// The addresses with a prefix in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network(Subnet);

impl Network {
    fn has(self, address: IpAddr) -> bool {
        let address = IpAddress::from(address);
        address.is_v4() == self.0.address().is_v4()
            && Subnet::new(address, self.0.length()) == Ok(self.0)
    }
}

impl FromStr for Network {
    type Err = InvalidSubnet;

    fn from_str(text: &str) -> Result<Self, InvalidSubnet> {
        text.parse().map(Self)
    }
}

impl TryFrom<String> for Network {
    type Error = InvalidSubnet;

    fn try_from(text: String) -> Result<Self, InvalidSubnet> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Address;

    fn link(host: &str, protection: Protection) -> Link {
        Link { remote: Address::new("tcp", host, 1), protection }
    }

    fn topics(list: &[&'static str]) -> Vec<Bytes> {
        list.iter().map(|topic| Bytes::from_static(topic.as_bytes())).collect()
    }

    #[test]
    fn the_first_rule_that_is_met_counts_and_whoever_meets_none_may_do_nothing() {
        let rules: Vec<PeerRule> = toml::from_str::<std::collections::BTreeMap<String, Vec<_>>>(
            "rules = [
                { certificate = 'CN=a', publish = ['a/'] },
                { pin = 'abc', publish = ['pin/'] },
                { network = '10.1.0.0/16', publish = ['site/'], others = false },
                { network = '2001:db8::/32', publish = ['v6/'] },
            ]",
        )
        .unwrap()
        .remove("rules")
        .unwrap();
        let may = |host, protection| {
            let rights = rights_of(&rules, &link(host, protection))?;
            let known = ["a/", "pin/", "site/", "v6/"];
            known.into_iter().find(|topic| rights.may_publish(topic.as_bytes()))
        };
        let named = |name: &str| Protection::Authenticated(name.to_owned());
        assert_eq!(may("10.1.2.3", named("CN=a")), Some("a/"));
        assert_eq!(may("10.1.2.3", named("key abc")), Some("pin/"));
        assert_eq!(may("10.1.2.3", named("abc")), Some("site/"));
        assert_eq!(may("::ffff:10.1.2.3", Protection::Plain), Some("site/"));
        assert_eq!(may("2001:db8:7::1", Protection::Plain), Some("v6/"));
        assert_eq!(may("10.2.0.1", Protection::Encrypted), None);
        assert_eq!(may("host", Protection::InProcess), None);
        assert_eq!(rights_of(&[], &link("host", Protection::Plain)), Some(Rights::default()));
        assert!(toml::from_str::<PeerRule>("network = '10.1.0.0'").is_err());
    }

    #[test]
    fn what_is_wanted_is_cut_down_to_what_is_allowed() {
        let lists = ["a/".to_owned(), "b/c".to_owned()];
        let rights = Rights::new(Some(&lists[..1]), Some(&lists), true);
        let (kept, refused) = rights.receivable(topics(&["a/x", "b/", "c"]));
        assert_eq!((kept, refused), (topics(&["a/x", "b/c"]), Some(Bytes::from_static(b"b/"))));
        assert_eq!(rights.publishable(topics(&[""])), topics(&["a/"]));
        assert!(!rights.may_publish(b"b/c") && rights.may_subscribe(b"b/c/d"));
        let everything = Rights::default();
        assert_eq!(everything.receivable(topics(&[""])), (topics(&[""]), None));
        assert!(everything.are_unlimited() && everything.may_bring_others());
    }
}
