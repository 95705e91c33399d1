use super::peers::{NOTHING, title};
use super::rates::{Flow, Rates, peerings};
use super::topics::Topics;
use super::watch::{Record, View, Watch};
use crate::failure::Failure;
use crate::http::{ClientReport, Statistics, Status};
use crate::output::{Align, Table, short};
use clap::Args;
use serde::Serialize;
use std::collections::BTreeMap;

/// Show what flows between a running node and its peers
///
/// Messages and bytes that wait for each peer, that were sent, received and dropped, and how long
/// they waited. The node has to run with --http. On a terminal a table that is renewed every
/// second, with rates; elsewhere one line of JSON for each peering, client and bridge. Ends with 3
/// if the node cannot be reached.
#[derive(Args)]
pub(crate) struct Stats {
    /// Show which topics carry the load instead: exact counts of the prefixes that the node counts
    /// (--count-prefix), and the heaviest topics out of a sample of what it forwards
    #[arg(long)]
    topics: bool,

    #[command(flatten)]
    watch: Watch,
}

impl Stats {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        match self.topics {
            true => self.watch.show(Topics::default()).await,
            false => self.watch.show(Rates::default()).await,
        }
    }
}

const COLUMNS: [(&str, Align); 12] = [
    // What matters most comes first: what does not fit is cut off.
    ("PEER", Align::Left),
    ("OUT/s", Align::Right),
    ("IN/s", Align::Right),
    ("DROPPED", Align::Right),
    ("QUEUED", Align::Right),
    ("OLDEST", Align::Right),
    ("WAITED", Align::Right),
    ("OUT", Align::Right),
    ("IN", Align::Right),
    ("MAX", Align::Right),
    ("MEMORY", Align::Right),
    ("ADDRESS", Align::Left),
];

/// The line for a peering.
#[derive(Serialize)]
struct PeerStats<'a> {
    peer: &'a str,
    address: &'a str,
    #[serde(flatten)]
    statistics: &'a Statistics,
}

/// The line for a client.
#[derive(Serialize)]
struct ClientStats<'a> {
    client: &'a str,
    address: &'a str,
    num_queued: u64,
    queued_bytes: u64,
    dropped: u64,
    messages_out: u64,
    messages_in: u64,
    refused: u64,
}

/// The line for a bridge.
#[derive(Serialize)]
struct BridgeStats<'a> {
    bridge: &'a str,
    messages: &'a BTreeMap<String, u64>,
}

impl View for Rates {
    fn records(&mut self, status: &Status) -> Vec<Record> {
        let peers = peerings(status).map(|(peer, id, statistics)| {
            Record::new("stats", &PeerStats { peer: id, address: &peer.address, statistics })
        });
        let clients =
            status.clients.iter().map(|client| Record::new("stats", &client_stats(client)));
        let bridges = status.bridges.iter().map(|bridge| {
            Record::new(
                "stats",
                &BridgeStats { bridge: &bridge.address, messages: &bridge.messages },
            )
        });
        peers.chain(clients).chain(bridges).collect()
    }

    fn table(&mut self, status: &Status) -> Table {
        let mut table = Table::new(title(status), &COLUMNS);
        self.take(status).iter().for_each(|flow| table.row(row(flow)));
        table
    }
}

fn row(flow: &Flow) -> Vec<String> {
    let or_nothing = |text: Option<String>| text.unwrap_or_else(|| NOTHING.to_owned());
    let number = |number: u64| short(number as f64);
    vec![
        flow.name.clone(),
        or_nothing(flow.rate.map(|rate| short(rate.delivered))),
        or_nothing(flow.rate.map(|rate| short(rate.received))),
        number(flow.dropped),
        number(flow.queued),
        or_nothing(flow.oldest.map(wait)),
        or_nothing(flow.waited.map(wait)),
        number(flow.delivered),
        number(flow.received),
        or_nothing(flow.max_queued.map(number)),
        number(flow.queued_bytes),
        flow.address.clone(),
    ]
}

/// A time that a message waited, in seconds.
pub(super) fn wait(seconds: f64) -> String {
    match seconds {
        0.0..1.0 => format!("{:.1} ms", seconds * 1e3),
        _ => format!("{seconds:.1} s"),
    }
}

fn client_stats(client: &ClientReport) -> ClientStats<'_> {
    ClientStats {
        client: &client.id,
        address: &client.address,
        num_queued: client.queued,
        queued_bytes: client.queued_bytes,
        dropped: client.dropped,
        messages_out: client.messages_out,
        messages_in: client.messages_in,
        refused: client.refused,
    }
}
