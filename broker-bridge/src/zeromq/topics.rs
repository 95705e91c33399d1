//! Topics of clusters that use ZeroMQ and of those that use Broker.
//!
//! A few families of topics are written with dots in the one and with slashes in the other; all
//! others are the same in both. A message reaches the overlay under the form that was asked for:
//! what subscribes to `zeek/cluster/worker` gets that, what subscribes to `zeek.cluster.` or to
//! everything gets the topics of the cluster as they are. In the other direction both forms are
//! understood.

use std::borrow::Cow;

/// In front of the id of a node, its own topic. Who subscribes to one of these is taken for a node.
pub(super) const NODE_ID: &str = "zeek.cluster.nodeid.";
/// In front of the name of a node, its own topic.
pub(super) const NODE: &str = "zeek.cluster.node.";
/// Where nodes find out whether they are connected.
pub(super) const PROBE: &str = "zeek.zeromq.internal.";
/// The topic of the manager.
pub(super) const MANAGER: &str = "zeek.cluster.manager";

const SLASHES: &str = "zeek/cluster/";
const DOTS: &str = "zeek.cluster.";
const ROLES: [&str; 4] = ["logger", "manager", "proxy", "worker"];

/// The topic of a ZeroMQ cluster as one of a Broker cluster has it; `None` if it is the same there,
/// or is not for others.
fn with_slashes(topic: &[u8]) -> Option<Vec<u8>> {
    let rest = std::str::from_utf8(topic.strip_prefix(DOTS.as_bytes())?).ok()?;
    let translated = match rest.split_once('.') {
        None if ROLES.contains(&rest) => rest.to_owned(),
        Some(("pool", pool)) if !pool.is_empty() => format!("pool/{pool}"),
        Some(("node", name)) if !name.is_empty() => {
            format!("node/{}/", name.strip_suffix('.').unwrap_or(name))
        }
        _ => return None,
    };
    Some(format!("{SLASHES}{translated}").into_bytes())
}

/// The topic that a message of the overlay gets in the cluster.
pub(super) fn to_cluster(topic: &[u8]) -> Cow<'_, [u8]> {
    let translated = || {
        let rest = std::str::from_utf8(topic.strip_prefix(SLASHES.as_bytes())?).ok()?;
        let translated = match rest.split_once('/') {
            None if ROLES.contains(&rest) => rest.to_owned(),
            Some(("pool", pool)) if !pool.is_empty() && !pool.contains('/') => {
                format!("pool.{pool}")
            }
            Some(("node", name)) => format!("node.{}.", one_name(name)?),
            _ => return None,
        };
        Some(format!("{DOTS}{translated}").into_bytes())
    };
    translated().map_or(Cow::Borrowed(topic), Cow::Owned)
}

/// A name with a slash behind it.
fn one_name(text: &str) -> Option<&str> {
    text.strip_suffix('/').filter(|name| !name.is_empty() && !name.contains('/'))
}

/// Whether a topic must not go from the overlay into the cluster: it belongs to single processes.
pub(super) fn stays_here(topic: &[u8]) -> bool {
    ["zeek/cluster/nodeid/", NODE_ID, PROBE, "<$>/"]
        .iter()
        .any(|prefix| topic.starts_with(prefix.as_bytes()))
}

/// What the overlay has subscribed to at the cluster.
#[derive(Debug, Default, Clone)]
pub(super) struct Wanted {
    prefixes: Vec<String>,
}

impl Wanted {
    pub(super) fn new(prefixes: &[String]) -> Self {
        Self { prefixes: prefixes.to_vec() }
    }

    /// What to subscribe to at the proxy. Nothing that begins like the topic of a node: who
    /// subscribes to that is taken for one.
    pub(super) fn subscriptions(&self) -> impl Iterator<Item = Vec<u8>> {
        let is_allowed = |prefix: &String| !prefix.starts_with(NODE_ID);
        let both = self.prefixes.iter().flat_map(|prefix| [Some(prefix.clone()), dotted(prefix)]);
        both.flatten().filter(is_allowed).map(String::into_bytes)
    }

    /// The topic under which a message of the cluster goes into the overlay, if it was asked for.
    pub(super) fn topic<'a>(&self, topic: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        let is_wanted =
            |topic: &[u8]| self.prefixes.iter().any(|prefix| topic.starts_with(prefix.as_bytes()));
        if is_wanted(topic) {
            return Some(Cow::Borrowed(topic));
        }
        with_slashes(topic).filter(|topic| is_wanted(topic)).map(Cow::Owned)
    }
}

/// What a prefix is in the other form, if topics that begin like this have another form.
fn dotted(prefix: &str) -> Option<String> {
    let concerns = SLASHES.starts_with(prefix) || prefix.starts_with(SLASHES);
    concerns.then(|| prefix.replace('/', ".")).filter(|dotted| dotted != prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_with_two_forms_are_translated_and_nothing_else() {
        for (dots, slashes) in [
            ("zeek.cluster.worker", "zeek/cluster/worker"),
            ("zeek.cluster.pool.proxy", "zeek/cluster/pool/proxy"),
            ("zeek.cluster.node.worker-1.", "zeek/cluster/node/worker-1/"),
        ] {
            assert_eq!(with_slashes(dots.as_bytes()).unwrap(), slashes.as_bytes());
            assert_eq!(to_cluster(slashes.as_bytes()), dots.as_bytes());
            assert_eq!(to_cluster(dots.as_bytes()), dots.as_bytes());
        }
        for same in ["/test/ping", "zeek/table/x/", "zeek/cluster/experimental/started", "zeek"] {
            assert_eq!(with_slashes(same.as_bytes()), None);
            assert_eq!(to_cluster(same.as_bytes()), same.as_bytes());
        }
        assert_eq!(
            with_slashes(b"zeek.cluster.node.worker-1"),
            Some(b"zeek/cluster/node/worker-1/".to_vec())
        );
        assert_eq!(with_slashes(b"zeek.cluster.nodeid.x."), None);
    }

    #[test]
    fn a_message_comes_in_the_form_that_was_asked_for() {
        let topic = |wanted: &[&str], topic: &'static str| {
            let wanted = Wanted::new(&wanted.iter().map(|p| (*p).to_owned()).collect::<Vec<_>>());
            wanted.topic(topic.as_bytes()).map(|t| String::from_utf8(t.into_owned()).unwrap())
        };
        let worker = "zeek.cluster.worker";
        assert_eq!(topic(&[""], worker).as_deref(), Some(worker));
        assert_eq!(topic(&["zeek.cluster."], worker).as_deref(), Some(worker));
        assert_eq!(topic(&["zeek/"], worker).as_deref(), Some("zeek/cluster/worker"));
        assert_eq!(topic(&["zeek/cluster/node/"], worker), None);
        assert_eq!(topic(&["/test/"], "/test/ping").as_deref(), Some("/test/ping"));
        assert_eq!(topic(&["zeek/"], "zeek.cluster.nodeid.x."), None);
    }

    #[test]
    fn subscriptions_never_look_like_those_of_a_node() {
        let subscriptions = |prefix: &str| {
            let wanted = Wanted::new(&[prefix.to_owned()]);
            let all = wanted.subscriptions().map(|s| String::from_utf8(s).unwrap());
            all.collect::<Vec<_>>()
        };
        assert_eq!(subscriptions("/test/"), ["/test/"]);
        assert_eq!(subscriptions("zeek/"), ["zeek/", "zeek."]);
        assert_eq!(subscriptions("zeek/cluster/w"), ["zeek/cluster/w", "zeek.cluster.w"]);
        assert_eq!(subscriptions("zeek/table/"), ["zeek/table/"]);
        assert_eq!(subscriptions(""), [""]);
        assert_eq!(subscriptions("zeek.cluster.nodeid.x."), Vec::<String>::new());
        assert_eq!(subscriptions("zeek/cluster/nodeid/x"), ["zeek/cluster/nodeid/x"]);
    }

    #[test]
    fn what_belongs_to_one_process_stays_here() {
        for topic in ["zeek.cluster.nodeid.x.", "zeek/cluster/nodeid/x/", "zeek.zeromq.internal.x"]
        {
            assert!(stays_here(topic.as_bytes()), "{topic}");
        }
        assert!(!stays_here(b"zeek/cluster/node/x/") && !stays_here(b""));
    }
}
