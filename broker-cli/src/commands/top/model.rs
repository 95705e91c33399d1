//! What is known of the nodes, and how it is sorted.

use super::Answer;
use super::terminal::Key;
use crate::commands::peers::{title, who};
use crate::commands::rates::{Flow, Rate, Rates};
use crate::commands::stats::wait;
use crate::http::{HttpAddress, Status, WindowReport};
use crate::output::{Align, Table, age, printable, short};
use clap::ValueEnum;
use std::cmp::Ordering;
use std::collections::{HashMap, VecDeque};

/// Rates that are kept for the charts.
const KEPT: usize = 160;

/// Lines of the feed that are kept.
const FEED: usize = 200;

/// What peers are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Order {
    Rate,
    Drops,
    Age,
    Name,
}

impl Order {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Drops => "drops",
            Self::Age => "age",
            Self::Name => "name",
        }
    }

    /// Those that are there come first, and then the greater ones.
    fn compare(self, a: &Row, b: &Row) -> Ordering {
        let rate = |row: &Row| row.rate().unwrap_or_default();
        let keys = |row: &Row| {
            let flow = row.flow.as_ref();
            match self {
                Self::Rate => (rate(row).flowing(), 0.0),
                Self::Drops => (rate(row).dropped, flow.map_or(0.0, |flow| flow.dropped as f64)),
                Self::Age => (
                    flow.and_then(|flow| flow.oldest).unwrap_or_default(),
                    flow.map_or(0.0, |flow| flow.queued as f64),
                ),
                Self::Name => (0.0, 0.0),
            }
        };
        let ((first, second), (other_first, other_second)) = (keys(a), keys(b));
        (b.flow.is_some().cmp(&a.flow.is_some()))
            .then(other_first.total_cmp(&first))
            .then(other_second.total_cmp(&second))
            .then_with(|| (&a.name, a.node).cmp(&(&b.name, b.node)))
    }
}

/// A line of the table: a peer or client of a node.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) node: usize,
    pub(super) name: String,
    pub(super) address: String,
    /// `None` if it is not there at the moment.
    pub(super) flow: Option<Flow>,
    /// What flowed in both directions, the latest last.
    pub(super) trend: Vec<u64>,
}

impl Row {
    pub(super) fn rate(&self) -> Option<Rate> {
        self.flow.as_ref().and_then(|flow| flow.rate)
    }
}

/// A node that is asked.
#[derive(Debug)]
struct Node {
    address: String,
    /// What it is called, once that is known.
    name: String,
    /// The line about it, or why it does not answer; `None` if it has not been asked yet.
    said: Option<Result<String, String>>,
    peers: usize,
    clients: usize,
    rates: Rates,
    rows: Vec<Row>,
    /// By the ids of those that are there.
    trends: HashMap<String, VecDeque<u64>>,
    sampled: Sampled,
    happened: u64,
}

/// The topics of a node, as counted the last time.
#[derive(Debug, Default)]
struct Sampled {
    uptime: f64,
    passed: u64,
    missed: u64,
    topics: HashMap<String, u64>,
    rates: HashMap<String, f64>,
}

impl Sampled {
    fn take(&mut self, uptime: f64, window: &WindowReport) {
        let count = |(topic, count): &(String, crate::http::TopicCount)| {
            (topic.clone(), count.messages.saturating_sub(count.error))
        };
        let now: HashMap<String, u64> = window.topics.iter().map(count).collect();
        let passed = window.passed.saturating_sub(self.passed) as f64;
        // It starts again when nobody has looked for a while.
        let missed = window.missed.saturating_sub(self.missed) as f64;
        let elapsed = uptime - self.uptime;
        let (was_asked, is_restart) = (self.uptime > 0.0, elapsed <= 0.0);
        self.rates.clear();
        if was_asked && !is_restart && passed > 0.0 {
            let scale = (passed + missed) / passed / elapsed;
            for (topic, count) in &now {
                let before = self.topics.get(topic).copied().unwrap_or_default();
                let rate = count.saturating_sub(before) as f64 * scale;
                if rate > 0.0 {
                    self.rates.insert(topic.clone(), rate);
                }
            }
        }
        (self.uptime, self.passed, self.missed) = (uptime, window.passed, window.missed);
        self.topics = now;
    }
}

/// Something that happened at a node.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) level: String,
    pub(super) text: String,
}

/// Everything that is shown.
pub(super) struct Model {
    nodes: Vec<Node>,
    pub(super) order: Order,
    pub(super) scroll: usize,
    pub(super) is_paused: bool,
    pub(super) feed: VecDeque<Line>,
    /// All that was delivered, received and dropped each second, the latest last.
    pub(super) totals: [VecDeque<u64>; 3],
}

impl Model {
    pub(super) fn new(nodes: &[HttpAddress], order: Order) -> Self {
        let node = |address: &HttpAddress| {
            let address = address.url().to_string().trim_start_matches("http://").to_owned();
            Node {
                name: address.clone(),
                address,
                said: None,
                peers: 0,
                clients: 0,
                rates: Rates::default(),
                rows: Vec::new(),
                trends: HashMap::new(),
                sampled: Sampled::default(),
                happened: 0,
            }
        };
        Self {
            nodes: nodes.iter().map(node).collect(),
            order,
            scroll: 0,
            is_paused: false,
            feed: VecDeque::new(),
            totals: Default::default(),
        }
    }

    /// The number of the last thing that is known to have happened at a node.
    pub(super) fn happened(&self, node: usize) -> u64 {
        self.nodes.get(node).map_or(0, |node| node.happened)
    }

    /// Whether any node has answered the last time.
    pub(super) fn has_answers(&self) -> bool {
        self.nodes.iter().any(|node| matches!(node.said, Some(Ok(_))))
    }

    /// Takes what a node has said. In a pause that is only what happened.
    pub(super) fn take(&mut self, at: usize, answer: Answer) {
        let is_one_of_many = self.nodes.len() > 1;
        let Some(node) = self.nodes.get_mut(at) else { return };
        match answer.status {
            _ if self.is_paused => {}
            Ok(status) => {
                node.take(at, &status);
                if let Some(window) = &answer.window {
                    node.sampled.take(status.uptime, window);
                }
            }
            Err(failure) => {
                let text = printable(&failure.to_string());
                if !matches!(node.said, Some(Err(_))) {
                    let text = format!("{} does not answer: {text}", node.name);
                    self.feed.push_front(Line { level: "error".to_owned(), text });
                }
                node.gone(text);
            }
        }
        if let Some(window) = answer.window {
            node.happened = window.happened_last;
            for what in window.happenings {
                let time = what.ts.get(11..19).unwrap_or_default();
                let of = if is_one_of_many { format!("{}: ", node.name) } else { String::new() };
                let text = printable(&format!("{time} {of}{} {}", what.what, what.text));
                self.feed.push_front(Line { level: what.level, text });
            }
        }
        self.feed.truncate(FEED);
    }

    /// Notes the rates for the charts.
    pub(super) fn tick(&mut self) {
        if self.is_paused {
            return;
        }
        let rates = self.nodes.iter().flat_map(|node| &node.rows).filter_map(Row::rate);
        let sum = rates.fold([0.0; 3], |[out, received, dropped], rate| {
            [out + rate.delivered, received + rate.received, dropped + rate.dropped]
        });
        for (total, sum) in self.totals.iter_mut().zip(sum) {
            keep(total, sum);
        }
    }

    pub(super) fn press(&mut self, key: Key) {
        match key {
            Key::Sort(order) => (self.order, self.scroll) = (order, 0),
            Key::Pause => self.is_paused = !self.is_paused,
            Key::Scroll(rows) => {
                let last = self.nodes.iter().map(|node| node.rows.len()).sum::<usize>();
                let to = self.scroll.saturating_add_signed(rows);
                self.scroll = to.min(last.saturating_sub(1));
            }
            Key::Quit | Key::Stop | Key::Redraw => {}
        }
    }

    /// The peers and clients of all nodes, in the order that is asked for.
    pub(super) fn rows(&self) -> Vec<&Row> {
        let mut rows: Vec<&Row> = self.nodes.iter().flat_map(|node| &node.rows).collect();
        rows.sort_by(|a, b| self.order.compare(a, b));
        rows
    }

    /// What a node is called, if there are several.
    pub(super) fn node_name(&self, node: usize) -> Option<&str> {
        let node = self.nodes.get(node).filter(|_| self.nodes.len() > 1)?;
        Some(&node.name)
    }

    /// The topics with their messages each second at the node that has most of them: the same
    /// message passes several nodes.
    pub(super) fn topics(&self) -> Vec<(&str, f64)> {
        let mut most: HashMap<&str, f64> = HashMap::new();
        for (topic, rate) in self.nodes.iter().flat_map(|node| &node.sampled.rates) {
            let known = most.entry(topic).or_default();
            *known = known.max(*rate);
        }
        let mut topics: Vec<(&str, f64)> = most.into_iter().collect();
        topics.sort_by(|(a, x), (b, y)| y.total_cmp(x).then_with(|| a.cmp(b)));
        topics
    }

    /// The lines above everything: good ones, and those about nodes that do not answer.
    pub(super) fn titles(&self) -> Vec<Result<String, String>> {
        let mut titles = Vec::new();
        if self.nodes.len() > 1 {
            let answering = self.nodes.iter().filter(|node| matches!(node.said, Some(Ok(_))));
            let (count, peers, clients) = answering
                .fold((0, 0, 0), |(count, peers, clients), of| {
                    (count + 1, peers + of.peers, clients + of.clients)
                });
            let all = self.nodes.len();
            titles.push(Ok(format!(
                "{count} of {all} nodes answer: {peers} ends of peerings, {clients} clients"
            )));
        }
        for node in &self.nodes {
            match &node.said {
                None if self.nodes.len() == 1 => {
                    titles.push(Ok(format!("asking {}", node.address)));
                }
                Some(Ok(line)) if self.nodes.len() == 1 => titles.push(Ok(line.clone())),
                Some(Err(why)) => titles.push(Err(format!("{}: {why}", node.name))),
                _ => {}
            }
        }
        titles
    }

    /// The table for scripts.
    pub(super) fn table(&self) -> Table {
        let is_one_of_many = self.nodes.len() > 1;
        let titles: Vec<String> =
            self.titles().into_iter().map(|title| title.unwrap_or_else(|error| error)).collect();
        let columns: Vec<(&'static str, Align)> =
            COLUMNS.iter().skip(usize::from(!is_one_of_many)).copied().collect();
        let mut table = Table::new(titles.join("; "), &columns);
        for row in self.rows() {
            table.row(self.cells(row).into_iter().skip(usize::from(!is_one_of_many)).collect());
        }
        table
    }

    /// The cells of a row, one for each of [`COLUMNS`].
    pub(super) fn cells(&self, row: &Row) -> [String; COLUMNS.len()] {
        let nothing = || "-".to_owned();
        let rate = |of: fn(Rate) -> f64| row.rate().map_or_else(nothing, |rate| short(of(rate)));
        let number =
            |of: fn(&Flow) -> f64| row.flow.as_ref().map_or_else(nothing, |flow| short(of(flow)));
        let flow = row.flow.as_ref();
        [
            self.node_name(row.node).unwrap_or_default().to_owned(),
            row.name.clone(),
            rate(|rate| rate.delivered),
            rate(|rate| rate.received),
            rate(|rate| rate.dropped),
            number(|flow| flow.dropped as f64),
            number(|flow| flow.queued as f64),
            flow.and_then(|flow| flow.oldest).map_or_else(nothing, wait),
            flow.map_or_else(nothing, |flow| age(flow.age)),
            row.address.clone(),
        ]
    }
}

/// What is told of each peer.
pub(super) const COLUMNS: [(&str, Align); 10] = [
    ("NODE", Align::Left),
    ("PEER", Align::Left),
    ("OUT/s", Align::Right),
    ("IN/s", Align::Right),
    ("DROP/s", Align::Right),
    ("DROPPED", Align::Right),
    ("QUEUED", Align::Right),
    ("OLDEST", Align::Right),
    ("AGE", Align::Right),
    ("ADDRESS", Align::Left),
];

impl Node {
    fn take(&mut self, at: usize, status: &Status) {
        let name = if status.name.is_empty() { &status.id } else { &status.name };
        self.name = printable(name);
        self.said = Some(Ok(printable(&title(status))));
        self.peers = status.native_connections;
        self.clients = status.clients.len().saturating_add(status.clients_left_out);
        let flows = self.rates.take(status);
        let ids = flows.iter().map(|flow| flow.id.clone());
        self.trends =
            ids.map(|id| (id.clone(), self.trends.remove(&id).unwrap_or_default())).collect();
        self.rows.clear();
        for flow in flows {
            let trend = self.trends.entry(flow.id.clone()).or_default();
            keep(trend, flow.rate.unwrap_or_default().flowing());
            self.rows.push(Row {
                node: at,
                name: printable(&flow.name),
                address: printable(&flow.address),
                trend: trend.iter().copied().collect(),
                flow: Some(flow),
            });
        }
        for peer in status.peers.iter().filter(|peer| peer.statistics.is_none()) {
            self.rows.push(Row {
                node: at,
                name: printable(&format!("{} ({})", who(peer), peer.status)),
                address: printable(&peer.address),
                flow: None,
                trend: Vec::new(),
            });
        }
    }

    /// It does not answer any more.
    fn gone(&mut self, why: String) {
        self.said = Some(Err(why));
        (self.peers, self.clients) = (0, 0);
        self.rows.clear();
        self.sampled.rates.clear();
    }
}

fn keep(rates: &mut VecDeque<u64>, rate: f64) {
    if rates.len() == KEPT {
        rates.pop_front();
    }
    rates.push_back(rate.round() as u64);
}
