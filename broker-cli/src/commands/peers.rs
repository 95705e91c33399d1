use super::watch::{Record, View, Watch};
use crate::failure::Failure;
use crate::http::{BridgeReport, ClientReport, PeerReport, Status};
use crate::output::{Align, Table, age};
use clap::Args;

/// Show the peers of a running node
///
/// Whom it is peered with, since when and over what, what it still tries to reach, and what went
/// wrong last. The node has to run with --http. On a terminal a table that is renewed every second;
/// elsewhere one line of JSON for each peer, client and bridge. Ends with 3 if the node cannot be
/// reached.
#[derive(Args)]
pub(crate) struct Peers {
    #[command(flatten)]
    watch: Watch,
}

impl Peers {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        self.watch.show(List).await
    }
}

struct List;

const COLUMNS: [(&str, Align); 8] = [
    ("PEER", Align::Left),
    ("ADDRESS", Align::Left),
    ("STATUS", Align::Left),
    ("DIRECTION", Align::Left),
    ("PROTECTION", Align::Left),
    ("AGE", Align::Right),
    ("TOPICS", Align::Right),
    ("LAST ERROR", Align::Left),
];

impl View for List {
    fn records(&mut self, status: &Status) -> Vec<Record> {
        let peers = status.peers.iter().map(|peer| Record::new("peer", peer));
        let clients = status.clients.iter().map(|client| Record::new("client", client));
        let bridges = status.bridges.iter().map(|bridge| Record::new("bridge", bridge));
        peers.chain(clients).chain(bridges).collect()
    }

    fn table(&mut self, status: &Status) -> Table {
        let mut table = Table::new(title(status), &COLUMNS);
        let mut peers: Vec<&PeerReport> = status.peers.iter().collect();
        // Those that are there, those that are tried, and then those that have gone.
        peers.sort_by_key(|peer| (peer.statistics.is_none(), peer.id.is_some()));
        peers.into_iter().for_each(|peer| table.row(peer_row(peer)));
        status.clients.iter().for_each(|client| table.row(client_row(client)));
        status.bridges.iter().for_each(|bridge| members(bridge).for_each(|row| table.row(row)));
        table
    }
}

/// The line above a table.
pub(super) fn title(status: &Status) -> String {
    let known = status.peers.len().saturating_add(status.peers_left_out);
    let left_out = match status.peers_left_out.saturating_add(status.clients_left_out) {
        0 => String::new(),
        count => format!(" ({count} not shown)"),
    };
    let name = if status.name.is_empty() { &status.id } else { &status.name };
    format!(
        "node {name} up {}: {} peers, {} that are tried or gone, {} clients{left_out}",
        age(status.uptime),
        status.native_connections,
        known.saturating_sub(status.native_connections),
        status.clients.len().saturating_add(status.clients_left_out)
    )
}

/// What stands for something that is not known.
pub(super) const NOTHING: &str = "-";

/// The name of a peer, or else its id.
pub(super) fn who(peer: &PeerReport) -> String {
    let known = peer.name.as_ref().or(peer.id.as_ref());
    known.cloned().unwrap_or_else(|| NOTHING.to_owned())
}

fn peer_row(peer: &PeerReport) -> Vec<String> {
    let or_nothing = |text: &Option<String>| text.clone().unwrap_or_else(|| NOTHING.to_owned());
    let error = match (&peer.last_reason, &peer.last_error) {
        (Some(reason), Some(error)) => format!("{reason}: {error}"),
        _ => NOTHING.to_owned(),
    };
    let status = match peer.failures {
        0 => peer.status.clone(),
        failures => format!("{} ({failures} failed)", peer.status),
    };
    let said = peer
        .statistics
        .as_ref()
        .map(|stats| [(stats.not_permitted, "not permitted"), (stats.looped, "in a circle")]);
    let said = said.into_iter().flatten().filter(|(count, _)| *count > 0);
    let status = said.fold(status, |status, (count, what)| format!("{status}, {count} {what}"));
    vec![
        who(peer),
        peer.address.clone(),
        status,
        peer.direction.clone(),
        or_nothing(&peer.protection),
        age(peer.age),
        peer.filter.filter_entries.to_string(),
        error,
    ]
}

/// A row for each member of what is at the other side of a bridge.
fn members(bridge: &BridgeReport) -> impl Iterator<Item = Vec<String>> {
    bridge.members.iter().map(|(id, name)| {
        let kind = format!("{} member {}", bridge.kind, name.as_deref().unwrap_or(NOTHING));
        let nothing = || NOTHING.to_owned();
        vec![
            id.clone(),
            bridge.address.clone(),
            kind,
            nothing(),
            nothing(),
            nothing(),
            nothing(),
            nothing(),
        ]
    })
}

fn client_row(client: &ClientReport) -> Vec<String> {
    let kind = match &client.application {
        Some(application) => format!("{} client {application}", client.kind),
        None => format!("{} client", client.kind),
    };
    vec![
        client.id.clone(),
        client.address.clone(),
        kind,
        "inbound".to_owned(),
        client.protection.clone(),
        age(client.age),
        client.filter.filter_entries.to_string(),
        NOTHING.to_owned(),
    ]
}
