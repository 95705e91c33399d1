//! What flows between a node and its peers and clients: counts, and rates from one status of the
//! node to the next.

use super::peers::who;
use crate::http::{ClientReport, PeerReport, Statistics, Status};
use std::collections::HashMap;

/// What flows between a node and one peer or client.
#[cfg_attr(not(feature = "top"), allow(dead_code, reason = "`stats` shows less than `top`"))]
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Flow {
    pub(super) id: String,
    /// The name, or else the id.
    pub(super) name: String,
    pub(super) address: String,
    /// In seconds, like all times.
    pub(super) age: f64,
    pub(super) delivered: u64,
    pub(super) received: u64,
    pub(super) dropped: u64,
    pub(super) queued: u64,
    pub(super) queued_bytes: u64,
    pub(super) max_queued: Option<u64>,
    pub(super) oldest: Option<f64>,
    pub(super) waited: Option<f64>,
    /// Since the status before; `None` if it was not there then.
    pub(super) rate: Option<Rate>,
}

/// Messages each second.
#[cfg_attr(not(feature = "top"), allow(dead_code, reason = "`stats` shows less than `top`"))]
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Rate {
    pub(super) delivered: f64,
    pub(super) received: f64,
    pub(super) dropped: f64,
}

impl Rate {
    /// What flows in both directions.
    #[cfg(feature = "top")]
    pub(super) fn flowing(&self) -> f64 {
        self.delivered + self.received
    }
}

/// Remembers what there was the last time. Time is that of the node, so that a slow answer does
/// not look like a slow peer.
#[derive(Debug, Default)]
pub(super) struct Rates {
    uptime: f64,
    /// Messages delivered, received and dropped, by id.
    before: HashMap<String, [u64; 3]>,
}

impl Rates {
    /// The flows of a status, with the rates since the one before.
    pub(super) fn take(&mut self, status: &Status) -> Vec<Flow> {
        let peers = peerings(status).map(|(peer, id, statistics)| of_peer(peer, id, statistics));
        let mut flows: Vec<Flow> = peers.chain(status.clients.iter().map(of_client)).collect();
        let elapsed = status.uptime - self.uptime;
        for flow in &mut flows {
            let before = self.before.get(&flow.id).filter(|_| elapsed > 0.0);
            flow.rate = before.map(|[delivered, received, dropped]| {
                let rate = |now: u64, before: &u64| now.saturating_sub(*before) as f64 / elapsed;
                Rate {
                    delivered: rate(flow.delivered, delivered),
                    received: rate(flow.received, received),
                    dropped: rate(flow.dropped, dropped),
                }
            });
        }
        let counts = |flow: &Flow| [flow.delivered, flow.received, flow.dropped];
        self.before = flows.iter().map(|flow| (flow.id.clone(), counts(flow))).collect();
        self.uptime = status.uptime;
        flows
    }
}

/// The peers that are there, with their ids and statistics.
pub(super) fn peerings(status: &Status) -> impl Iterator<Item = (&PeerReport, &str, &Statistics)> {
    status
        .peers
        .iter()
        .filter_map(|peer| Some((peer, peer.id.as_deref()?, peer.statistics.as_ref()?)))
}

fn of_peer(peer: &PeerReport, id: &str, statistics: &Statistics) -> Flow {
    Flow {
        id: id.to_owned(),
        name: who(peer),
        address: peer.address.clone(),
        age: peer.age,
        delivered: statistics.delivered,
        received: statistics.messages_in,
        dropped: statistics.dropped,
        queued: statistics.num_queued,
        queued_bytes: statistics.queued_bytes,
        max_queued: Some(statistics.max_queued_recently),
        oldest: Some(statistics.oldest),
        waited: statistics.waiting_last,
        rate: None,
    }
}

fn of_client(client: &ClientReport) -> Flow {
    Flow {
        id: client.id.clone(),
        name: client.application.clone().unwrap_or_else(|| client.id.clone()),
        address: client.address.clone(),
        age: client.age,
        delivered: client.messages_out,
        received: client.messages_in,
        dropped: client.dropped,
        queued: client.queued,
        queued_bytes: client.queued_bytes,
        max_queued: None,
        oldest: None,
        waited: None,
        rate: None,
    }
}
