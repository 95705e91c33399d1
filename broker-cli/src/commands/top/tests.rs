//! What is on the screen, from fixed data.

use super::model::{Model, Order};
use super::terminal::Key;
use super::{Answer, screen};
use crate::failure::{Exit, Failure};
use crate::http::{HttpAddress, Status, WindowReport};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use serde_json::{Value as Json, json};

/// A status with these members in place of those of every node.
fn status(name: &str, uptime: f64, peers: &Json, clients: &Json) -> Status {
    let status = json!({
        "id": format!("00000000-0000-4000-8000-{:012}", name.len()),
        "name": name,
        "cluster-node": "unknown",
        "time": "2026-01-01T00:00:00.000",
        "native-connections":
            peers.as_array().map_or(0, |all| all.iter().filter(|peer| peer["id"] != "").count()),
        "web-socket-connections": 0,
        "version": "0",
        "uptime": uptime,
        "filter": [],
        "filter_entries": 0,
        "peers": peers,
        "clients": clients,
    });
    serde_json::from_value(status).unwrap()
}

/// A peer with delivered, received and dropped messages.
fn peer(name: &str, [delivered, received, dropped]: [u64; 3], oldest: f64) -> Json {
    json!({
        "id": format!("id of {name}"),
        "name": name,
        "address": "tcp://192.0.2.17:49152",
        "status": "peered",
        "direction": "inbound",
        "protection": "plain",
        "age": 7300.0,
        "retry": null,
        "failures": 0,
        "reconnects": 0,
        "last_error": null,
        "last_reason": null,
        "filter": [],
        "filter_entries": 0,
        "statistics": {
            "num_queued": (oldest * 100.0) as u64, "max_queued_recently": 0, "num_overflows": 0,
            "queued_bytes": 0, "delivered": delivered, "dropped": dropped,
            "policy": "drop_oldest", "messages_out": delivered, "bytes_out": 0,
            "messages_in": received, "bytes_in": 0, "malformed": 0, "forged": 0, "internal": 0,
            "expired": 0, "waiting_samples": 0, "waiting_total": 0.0, "waiting_last": null,
            "oldest": oldest,
        },
    })
}

/// A peer that is being tried.
fn tried(name: &str) -> Json {
    let mut peer = peer(name, [0; 3], 0.0);
    peer["status"] = "connecting".into();
    peer["statistics"] = Json::Null;
    peer["id"] = "".into();
    peer
}

fn client(messages_out: u64) -> Json {
    json!({
        "id": "ws-1", "client_type": "json", "application": "dashboard",
        "address": "ws://192.0.2.3:5000", "protection": "plain", "age": 59.0, "filter": [],
        "filter_entries": 0, "messages_in": 0, "refused": 0, "messages_out": messages_out,
        "dropped": 0, "queued": 3, "queued_bytes": 300,
    })
}

/// What a node shows of topics, and what happened so far.
fn window(passed: u64, missed: u64, topics: &[(&str, u64)], happened: &[&str]) -> WindowReport {
    let topics: Vec<_> = topics
        .iter()
        .map(|(topic, messages)| json!([topic, {"messages": messages, "error": 0}]))
        .collect();
    let happenings: Vec<_> = happened
        .iter()
        .map(|text| {
            let ts = "2026-01-01T05:06:07.123Z";
            json!({"ts": ts, "level": "info", "what": "peer-added", "text": text})
        })
        .collect();
    let last = happenings.len();
    serde_json::from_value(json!({
        "passed": passed, "missed": missed, "topics": topics, "happened_last": last,
        "happenings": happenings,
    }))
    .unwrap()
}

fn answer(status: Status, window: WindowReport) -> Answer {
    Answer { status: Ok(status), window: Some(window) }
}

fn model(nodes: &[&str]) -> Model {
    let nodes: Vec<HttpAddress> = nodes.iter().map(|node| node.parse().unwrap()).collect();
    Model::new(&nodes, Order::Rate)
}

/// One node under load: a busy sensor, a slow peer, one that left, one with a hostile name.
fn hub() -> Model {
    let mut model = model(&["127.0.0.1:9990"]);
    let hostile = "\u{1b}[2J\u{1b}]0;x\u{7}\u{202e}evil";
    for second in 0..=12_u64 {
        let peers = json!([
            peer("quiet", [0, 0, 0], 0.0),
            tried("sensor-9"),
            peer("slow", [20 * second, 0, 400 * second], 12.5),
            peer("sensor-1", [0, 90_000 * second + 900 * (second % 4), 0], 0.0004),
            peer(hostile, [3 * second, 0, 0], 0.0),
        ]);
        let status = status("hub", 3600.0 + second as f64, &peers, &json!([client(50 * second)]));
        let topics = [("zeek/logs/conn", 800 * second), ("zeek/\u{1b}[31mred", 200 * second)];
        let happened: &[&str] =
            if second == 0 { &["sensor-1 (tcp://192.0.2.17:49152)", hostile] } else { &[] };
        let window = window(1000 * second, 9000 * second, &topics, happened);
        model.take(0, answer(status, window));
        model.tick();
    }
    model
}

fn screen(model: &Model, columns: u16, rows: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    terminal.draw(|frame| screen::draw(model, frame)).unwrap();
    let screen = terminal.backend().to_string();
    let lines = screen.lines().map(|line| line.trim_matches('"').trim_end());
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

/// Compares with a file of `tests/top`, which a run with `UPDATE_SNAPSHOTS` writes.
fn compare(name: &str, screen: &str) {
    let path = format!("{}/tests/top/{name}.txt", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&path, screen).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    assert!(screen == expected, "{path} is different; this is on the screen now:\n{screen}");
}

#[test]
fn one_node_on_a_small_and_on_a_large_screen() {
    let model = hub();
    compare("hub-80x24", &screen(&model, 80, 24));
    compare("hub-160x50", &screen(&model, 160, 50));
}

#[test]
fn several_nodes_of_which_one_does_not_answer() {
    let mut model = model(&["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]);
    for second in 0..=2_u64 {
        for (at, name) in ["hub", "edge"].into_iter().enumerate() {
            let peers = json!([peer("sensor", [0, 1000 * second, 0], 0.0)]);
            let status = status(name, 10.0 + second as f64, &peers, &json!([]));
            model.take(at, answer(status, window(0, 0, &[], &[])));
        }
        let failure =
            Failure::new(Exit::CannotConnect, "cannot reach a node at http://127.0.0.1:3");
        model.take(2, Answer { status: Err(failure), window: None });
        model.tick();
    }
    compare("several-80x24", &screen(&model, 80, 24));
    compare("several-160x50", &screen(&model, 160, 50));
}

#[test]
fn the_smallest_screens_are_drawn_as_well() {
    let model = hub();
    for (columns, rows) in [(1, 1), (20, 5), (40, 12), (300, 3)] {
        screen(&model, columns, rows);
    }
}

#[test]
fn nothing_that_a_terminal_acts_on_is_on_the_screen() {
    let screen = screen(&hub(), 160, 50);
    assert!(screen.contains("\\u{1b}[2J"), "{screen}");
    let acted_on = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    assert!(!screen.contains(acted_on), "{screen}");
}

#[test]
fn a_key_chooses_what_is_on_top_and_those_that_are_there_come_first() {
    let mut model = hub();
    let first = |model: &Model| model.rows().first().unwrap().name.clone();
    let last = |model: &Model| model.rows().last().unwrap().name.clone();
    for (order, top) in [(Order::Rate, "sensor-1"), (Order::Drops, "slow"), (Order::Age, "slow")] {
        model.press(Key::Sort(order));
        assert_eq!(first(&model), top, "{order:?}");
        assert_eq!(last(&model), "sensor-9 (connecting)", "{order:?}");
    }
    model.press(Key::Sort(Order::Name));
    let names: Vec<_> = model.rows().iter().map(|row| row.name.clone()).collect();
    assert_eq!(names[1..], ["dashboard", "quiet", "sensor-1", "slow", "sensor-9 (connecting)"]);
}

#[test]
fn rates_are_those_of_the_time_that_the_node_says() {
    let mut model = model(&["127.0.0.1:1"]);
    let mut take = |uptime, delivered, dropped| {
        let peers = json!([peer("p", [delivered, 0, dropped], 0.0)]);
        let window = window(delivered, 3 * delivered, &[("t", delivered)], &[]);
        model.take(0, answer(status("n", uptime, &peers, &json!([])), window));
        let rate = model.rows()[0].rate().map(|rate| (rate.delivered, rate.dropped));
        (rate, model.topics().first().map(|(_, rate)| *rate))
    };
    assert_eq!(take(10.0, 100, 0), (None, None));
    // Of four messages one was looked at.
    assert_eq!(take(12.0, 300, 50), (Some((100.0, 25.0)), Some(400.0)));
    assert_eq!(take(13.0, 300, 50), (Some((0.0, 0.0)), None));
    // It has been started again: nothing is known of the time between.
    assert_eq!(take(1.0, 7, 0), (None, None));
    assert_eq!(take(2.0, 17, 0), (Some((10.0, 0.0)), Some(40.0)));
}

#[test]
fn a_node_that_vanishes_is_missed_and_comes_back() {
    let mut model = model(&["127.0.0.1:9990"]);
    let peers = json!([peer("p", [1, 0, 0], 0.0)]);
    let there =
        |uptime| answer(status("hub", uptime, &peers, &json!([])), window(0, 0, &[], &["p"]));
    let gone = || {
        let failure = Failure::new(Exit::CannotConnect, "cannot reach a node at \u{1b}[2J");
        Answer { status: Err(failure), window: None }
    };
    model.take(0, there(5.0));
    assert!(model.has_answers());
    assert_eq!(model.rows().len(), 1);
    model.take(0, gone());
    model.take(0, gone());
    assert!(!model.has_answers());
    assert_eq!(model.rows().len(), 0);
    let said = "hub: cannot reach a node at \\u{1b}[2J".to_owned();
    assert_eq!(model.titles(), [Err(said)]);
    assert_eq!(model.feed.iter().filter(|line| line.level == "error").count(), 1);
    model.take(0, there(1.0));
    assert!(model.titles()[0].as_ref().unwrap().starts_with("node hub up 1s"));
    assert_eq!(model.rows().len(), 1);
}

#[test]
fn in_a_pause_nothing_changes_but_the_feed() {
    let mut model = hub();
    model.press(Key::Pause);
    let shown = screen(&model, 80, 24);
    let lines = model.feed.len();
    model.take(0, answer(status("hub", 1.0, &json!([]), &json!([])), window(0, 0, &[], &["x"])));
    model.tick();
    assert_eq!(model.rows().len(), 6);
    assert_eq!(model.feed.len(), lines + 1);
    assert!(shown.contains("PAUSED"), "{shown}");
    model.press(Key::Pause);
    assert!(!screen(&model, 80, 24).contains("PAUSED"));
}

#[test]
fn scrolling_ends_at_the_ends() {
    let mut model = hub();
    model.press(Key::Scroll(1000));
    assert_eq!(model.scroll, 5);
    model.press(Key::Scroll(isize::MIN));
    assert_eq!(model.scroll, 0);
}
