//! What nodes tell each other about themselves, so that each one can show all of them.

use super::Status;
use super::status::{Called, Room};
use crate::failure::Failure;
use broker::data::zeek::ZeekEventView;
use broker::{Endpoint, SubscriberOptions, SubscriberPolicy};
use parking_lot::Mutex;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::interval;

/// The topic of what nodes say about themselves, with their id behind it.
const TOPIC: &str = "broker/announce/";

/// How often a node says it.
const EVERY: Duration = Duration::from_secs(2);

/// After this time without a word a node is gone.
const SILENCE: Duration = Duration::from_secs(10);

/// The most nodes that are remembered.
const NODES: usize = 1024;

/// The longest announcement, in bytes.
const LONGEST: usize = 256 * 1024;

/// Topics on which nodes of Zeek say their names to each other.
const HELLOS: &str = "zeek/cluster/";

/// The nodes that have announced themselves. Cloning shares them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Overlay(Arc<Mutex<BTreeMap<String, (Instant, Status)>>>);

/// All that is known of an overlay.
#[derive(Serialize)]
struct Report<'a> {
    /// The id of the node that tells it.
    own: &'a str,
    nodes: Vec<&'a Status>,
}

impl Overlay {
    /// Tells the others about an endpoint from now on, and listens to what they say.
    pub(crate) fn announce(&self, endpoint: &Endpoint, called: Called) -> Result<(), Failure> {
        let options = SubscriberOptions::with_policy(SubscriberPolicy::DropOldest);
        let heard = endpoint.try_subscribe(TOPIC, options);
        let mut heard = heard.map_err(|error| Failure::usage(format!("announce: {error}")))?;
        let (overlay, names) = (self.clone(), called.others.clone());
        tokio::spawn(async move {
            while let Some(message) = heard.recv().await {
                let Some(text) = message.view().as_bytes() else { continue };
                if text.len() <= LONGEST
                    && let Ok(status) = serde_json::from_slice::<Status>(text)
                {
                    if let Ok(id) = status.id.parse() {
                        names.remember(id, &status.name);
                    }
                    overlay.hear(status, Instant::now());
                }
            }
        });
        let endpoint = endpoint.clone();
        tokio::spawn(async move {
            let topic = format!("{TOPIC}{}", endpoint.id());
            let mut ticks = interval(EVERY);
            loop {
                ticks.tick().await;
                let room = Room { list: LONGEST / 4, filter: 256 };
                let status = Status::of(&endpoint, &called, room);
                let text = serde_json::to_string(&status).unwrap_or_default();
                if endpoint.publish(&topic, &text).await.is_err() {
                    return;
                }
            }
        });
        Ok(())
    }

    fn hear(&self, status: Status, now: Instant) {
        let mut nodes = self.0.lock();
        nodes.retain(|_, (heard, _)| now.saturating_duration_since(*heard) < SILENCE);
        if nodes.len() < NODES || nodes.contains_key(&status.id) {
            nodes.insert(status.id.clone(), (now, status));
        }
    }

    /// The own status and that of all others, as JSON.
    pub(super) fn report(&self, own: &Status) -> Result<String, serde_json::Error> {
        let now = Instant::now();
        let nodes = self.0.lock();
        let others = nodes.values().filter(|(heard, status)| {
            now.saturating_duration_since(*heard) < SILENCE && status.id != own.id
        });
        let all = std::iter::once(own).chain(others.map(|(_, status)| status)).collect();
        serde_json::to_string(&Report { own: &own.id, nodes: all })
    }
}

impl Called {
    /// Learns the names that nodes of Zeek say, if this node gets to see them anyway.
    pub(crate) fn learn(&self, endpoint: &Endpoint, forward: &[String]) {
        let sees = |prefix: &String| HELLOS.starts_with(prefix.as_str());
        if !forward.iter().any(sees) {
            return;
        }
        let options = SubscriberOptions::with_policy(SubscriberPolicy::DropOldest);
        let Ok(mut hellos) = endpoint.try_subscribe(HELLOS, options) else { return };
        let names = self.others.clone();
        tokio::spawn(async move {
            while let Some(message) = hellos.recv().await {
                if let Ok(event) = ZeekEventView::parse(message.view()) {
                    names.learn(&event);
                }
            }
        });
    }
}
