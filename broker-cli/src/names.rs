//! Names of endpoints, for people who cannot tell one random id from another.

use broker::{Address, EndpointId, Protection};
use parking_lot::{Mutex, RwLock};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The names that are configured, and those that nodes of Zeek say themselves. Cloning shares them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names(Arc<RwLock<Known>>);

#[derive(Debug, Default)]
struct Known {
    /// By id, by `host:port`, or by host.
    configured: BTreeMap<String, String>,
    learned: HashMap<EndpointId, String>,
}

impl Names {
    /// Replaces the names that are configured.
    pub(crate) fn configure(&self, names: BTreeMap<String, String>) {
        self.0.write().configured = names;
    }

    /// The name of an endpoint: what is configured for its id or address, or else what it calls
    /// itself.
    pub(crate) fn of(&self, id: Option<EndpointId>, url: Option<&Address>) -> Option<String> {
        let known = self.0.read();
        let configured = |key: &str| known.configured.get(key).cloned();
        let by_id = id.and_then(|id| configured(&id.to_string()));
        by_id
            .or_else(|| {
                let url = url?;
                configured(&url.to_string())
                    .or_else(|| configured(&url.host_and_port()))
                    .or_else(|| configured(url.host()))
            })
            .or_else(|| known.learned.get(&id?).cloned())
    }

    /// The name and the address in parentheses, or whatever there is of the two and the id.
    pub(crate) fn describe(&self, id: EndpointId, url: Option<&Address>) -> String {
        match (self.of(Some(id), url), url) {
            (Some(name), Some(url)) => format!("{name} ({url})"),
            (Some(name), None) => format!("{name} ({id})"),
            (None, Some(url)) => format!("{id} ({url})"),
            (None, None) => id.to_string(),
        }
    }
}

/// What protects a link, as people read it: with the name of the user at the other side of a Unix
/// socket, where `/etc/passwd` has one.
pub(crate) fn protection_text(protection: &Protection) -> String {
    let text = protection.to_string();
    match protection {
        Protection::SameHost { user, .. } => match user_name(*user) {
            Some(name) => text.replacen(&format!("user {user}"), &format!("user {name}"), 1),
            None => text,
        },
        _ => text,
    }
}

/// The name of a user of this machine. It is looked up once.
fn user_name(user: u32) -> Option<String> {
    static KNOWN: Mutex<BTreeMap<u32, Option<String>>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock();
    let find = || {
        let users = std::fs::read_to_string("/etc/passwd").ok()?;
        users.lines().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            (fields.nth(1)?.parse() == Ok(user)).then(|| name.to_owned())
        })
    };
    known.entry(user).or_insert_with(find).clone()
}

#[cfg(any(feature = "http", test))]
mod learning {
    use super::Names;
    use broker::EndpointId;
    use broker::data::{BStr, zeek::ZeekEventView};

    /// The most names that are learned from messages.
    const LEARNED: usize = 4096;

    /// The longest name, in bytes.
    const LONGEST: usize = 128;

    /// The event in which nodes of Zeek say who they are: their name, and the id of their endpoint.
    const HELLO: &[u8] = b"Cluster::hello";

    impl Names {
        /// Takes a name from an event in which an endpoint says it.
        pub(crate) fn learn(&self, event: &ZeekEventView<'_>) {
            if *event.name() != *HELLO {
                return;
            }
            let mut args = event.args().iter();
            let (Some(name), Some(id)) = (args.next(), args.next()) else { return };
            let (Some(name), Some(id)) = (name.as_bytes(), id.as_str()) else { return };
            if let Ok(id) = id.parse() {
                self.remember(id, &BStr::new(name).to_string());
            }
        }

        /// Remembers what an endpoint calls itself.
        pub(crate) fn remember(&self, id: EndpointId, name: &str) {
            if name.is_empty() || name.len() > LONGEST {
                return;
            }
            let mut known = self.0.write();
            if known.learned.len() < LEARNED || known.learned.contains_key(&id) {
                known.learned.insert(id, name.to_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use broker::data::zeek::{ZeekEvent, ZeekEventView};
    use broker::data::{Value, View};

    #[test]
    fn what_is_configured_goes_before_what_is_said() {
        let names = Names::default();
        let id: EndpointId = "11111111-1111-4111-8111-111111111111".parse().unwrap();
        let url: Address = "tcp://192.0.2.7:4711".parse().unwrap();
        assert_eq!(names.of(Some(id), Some(&url)), None);
        let hello = ZeekEvent::new("Cluster::hello").arg("worker-1").arg(id.to_string());
        let payload = Value::from(hello).encode();
        names.learn(&ZeekEventView::parse(View::parse(&payload).unwrap()).unwrap());
        assert_eq!(names.describe(id, Some(&url)), "worker-1 (tcp://192.0.2.7:4711)");
        let configured = BTreeMap::from([("192.0.2.7".to_owned(), "sensor".to_owned())]);
        names.configure(configured);
        assert_eq!(names.of(Some(id), Some(&url)).as_deref(), Some("sensor"));
        assert_eq!(names.of(Some(id), None).as_deref(), Some("worker-1"));
        assert_eq!(names.of(None, Some(&url)).as_deref(), Some("sensor"));
    }
}
