use super::peers::{NOTHING, title, who};
use super::topics::Topics;
use super::watch::{Record, View, Watch};
use crate::failure::Failure;
use crate::http::{ClientReport, PeerReport, Statistics, Status};
use crate::output::{Align, Table, short};
use clap::Args;
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};

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

/// Remembers what there was the last time.
#[derive(Default)]
struct Rates {
    uptime: f64,
    /// Messages out and in, by id.
    before: HashMap<String, (u64, u64)>,
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
        let elapsed = status.uptime - self.uptime;
        let mut now = HashMap::new();
        for (peer, id, stats) in peerings(status) {
            let row = Row {
                id,
                shown: who(peer),
                oldest: Some(stats.oldest),
                address: &peer.address,
                queued: stats.num_queued,
                max: Some(stats.max_queued_recently),
                memory: stats.queued_bytes,
                dropped: stats.dropped,
                out: stats.delivered,
                received: stats.messages_in,
                waited: stats.waiting_last,
            };
            table.row(self.row(&row, elapsed));
            now.insert(id.to_owned(), (row.out, row.received));
        }
        for client in &status.clients {
            let application = client.application.clone();
            let row = Row {
                id: &client.id,
                shown: application.unwrap_or_else(|| client.id.clone()),
                oldest: None,
                address: &client.address,
                queued: client.queued,
                max: None,
                memory: client.queued_bytes,
                dropped: client.dropped,
                out: client.messages_out,
                received: client.messages_in,
                waited: None,
            };
            table.row(self.row(&row, elapsed));
            now.insert(client.id.clone(), (row.out, row.received));
        }
        *self = Self { uptime: status.uptime, before: now };
        table
    }
}

/// The numbers of a row.
struct Row<'a> {
    id: &'a str,
    /// What stands in the first column.
    shown: String,
    oldest: Option<f64>,
    address: &'a str,
    queued: u64,
    max: Option<u64>,
    memory: u64,
    dropped: u64,
    out: u64,
    received: u64,
    waited: Option<f64>,
}

impl Rates {
    fn row(&self, row: &Row<'_>, elapsed: f64) -> Vec<String> {
        let before = self.before.get(row.id);
        let rate = |now: u64, before: Option<u64>| match before {
            Some(before) if elapsed > 0.0 => short(now.saturating_sub(before) as f64 / elapsed),
            _ => NOTHING.to_owned(),
        };
        let or_nothing = |text: Option<String>| text.unwrap_or_else(|| NOTHING.to_owned());
        let number = |number: u64| short(number as f64);
        let wait = |seconds: f64| match seconds {
            0.0..1.0 => format!("{:.1} ms", seconds * 1e3),
            _ => format!("{seconds:.1} s"),
        };
        vec![
            row.shown.clone(),
            rate(row.out, before.map(|(out, _)| *out)),
            rate(row.received, before.map(|(_, received)| *received)),
            number(row.dropped),
            number(row.queued),
            or_nothing(row.oldest.map(wait)),
            or_nothing(row.waited.map(wait)),
            number(row.out),
            number(row.received),
            or_nothing(row.max.map(number)),
            number(row.memory),
            row.address.to_owned(),
        ]
    }
}

fn peerings(status: &Status) -> impl Iterator<Item = (&PeerReport, &str, &Statistics)> {
    status
        .peers
        .iter()
        .filter_map(|peer| Some((peer, peer.id.as_deref()?, peer.statistics.as_ref()?)))
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
