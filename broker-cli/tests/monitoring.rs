//! What `docs/monitoring` asks of Prometheus is what a node serves.
#![cfg(all(feature = "http", feature = "ws"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::{Cli, run, within};
use std::collections::{BTreeMap, BTreeSet};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Labels that Prometheus adds by itself.
const ADDED: [&str; 2] = ["instance", "job"];

/// What begins the names of the metrics that a node serves.
const PREFIXES: [&str; 3] = ["broker_", "zeek_broker_", "process_"];

/// The names of metrics with their labels, and the values of these.
type Served = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

fn file(name: &str) -> String {
    let path = format!("{}/../docs/monitoring/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

async fn get(at: &str, path: &str) -> String {
    let at = at.split("//").last().unwrap();
    let mut stream = TcpStream::connect(at).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {at}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    within("an answer", stream.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

async fn served(http: &str) -> Served {
    let page = get(http, "/metrics").await;
    let (_, body) = page.split_once("\r\n\r\n").unwrap();
    let mut served = Served::new();
    for line in body.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let series = line.rsplit_once(' ').unwrap().0;
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let known = served.entry(name.to_owned()).or_default();
        for (label, _, value) in matchers(labels.trim_end_matches('}')) {
            known.entry(label).or_default().insert(value);
        }
    }
    served
}

/// The label, the operator and the value of each part between commas.
fn matchers(text: &str) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((label, quoted)) = rest.split_once('"') {
        let (value, after) = quoted.split_once('"').unwrap();
        let label = label.trim_start_matches([',', ' ']);
        let end = label.find(['=', '!']).unwrap();
        found.push((label[..end].trim().into(), label[end..].trim().into(), value.into()));
        rest = after;
    }
    found
}

/// What is wrong with an expression: metrics that are not served, and labels that they do not have.
fn judge(expression: &str, served: &Served) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut labels: BTreeSet<&str> = ADDED.into();
    let mut metrics = 0;
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut rest = expression;
    while let Some(start) = rest.find(is_word) {
        let end = rest[start..].find(|c| !is_word(c)).map_or(rest.len(), |end| start + end);
        let word = &rest[start..end];
        rest = &rest[end..];
        if !PREFIXES.iter().any(|prefix| word.starts_with(prefix)) {
            continue;
        }
        metrics += 1;
        let Some(known) = served.get(word) else {
            wrong.push(format!("{word} is not served"));
            continue;
        };
        labels.extend(known.keys().map(String::as_str));
        let Some(selector) = rest.strip_prefix('{') else { continue };
        let (selector, after) = selector.split_once('}').unwrap();
        rest = after;
        for (label, operator, value) in matchers(selector) {
            let values = known.get(&label);
            if values.is_none() && !ADDED.contains(&label.as_str()) {
                wrong.push(format!("{word} has no label {label}"));
            }
            if operator == "=" && values.is_some_and(|values| !values.contains(&value)) {
                wrong.push(format!("{word} has no {label} {value:?}"));
            }
        }
    }
    assert!(metrics > 0 || expression.starts_with("up{"), "no metric in {expression:?}");
    for list in expression.split("by (").skip(1) {
        let list = list.split(')').next().unwrap();
        let unknown = list.split(',').map(str::trim).filter(|label| !labels.contains(label));
        wrong.extend(unknown.map(|label| format!("no metric in it has the label {label}")));
    }
    wrong
}

/// The labels that a text for people shows, written as `{{label}}` or `{{ $labels.label }}`.
fn shown(text: &str) -> Vec<&str> {
    let parts = text.split("{{").skip(1).map(|part| part.split("}}").next().unwrap().trim());
    let labels = parts.filter(|part| *part != "$value");
    labels.map(|part| part.strip_prefix("$labels.").unwrap_or(part)).collect()
}

/// The expressions of the alerts, each with the texts that belong to it.
fn alerts() -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    let mut is_expression = false;
    for line in file("alerts.yml").lines().map(str::trim) {
        match line.split_once(':') {
            Some(("expr", expression)) => {
                is_expression = true;
                found.push((expression.trim_start_matches(" >-").trim().into(), String::new()));
            }
            Some(("summary" | "description", text)) => found.last_mut().unwrap().1 += text,
            Some(("- alert" | "for" | "labels" | "annotations", _)) => is_expression = false,
            // A line that goes on.
            _ => match found.last_mut() {
                Some((expression, _)) if is_expression => *expression += &format!(" {line}"),
                Some((_, text)) => *text += line,
                None => {}
            },
        }
    }
    found
}

/// Those of the dashboard.
fn queries() -> Vec<(String, String)> {
    fn collect(value: &serde_json::Value, found: &mut Vec<(String, String)>) {
        if let Some(object) = value.as_object() {
            let text = |key: &str| object.get(key)?.as_str().map(str::to_owned);
            let legend = text("legendFormat").or_else(|| text("titleFormat"));
            for key in ["expr", "definition"] {
                found.extend(text(key).map(|query| (query, legend.clone().unwrap_or_default())));
            }
            object.values().for_each(|value| collect(value, found));
        }
        if let Some(list) = value.as_array() {
            list.iter().for_each(|value| collect(value, found));
        }
    }
    let mut found = Vec::new();
    collect(&serde_json::from_str(&file("dashboard.json")).unwrap(), &mut found);
    found
}

#[tokio::test]
async fn alerts_and_dashboard_ask_for_what_a_node_serves() {
    let listen = ["--listen", "127.0.0.1:0", "--listen", "ws://127.0.0.1:0"];
    let mut node = Cli::start(&[&["node", "--http", "127.0.0.1:0"], &listen[..]].concat());
    let (tcp, web) = (node.listening().await, node.listening().await);
    let http = node.listening().await;
    let mut sub = Cli::start(&["sub", "/t", "--peer", &tcp, "--events"]);
    sub.event("peer_added").await;
    run(&["pub", "/t", "1", "--peer", &web]).await.expect(0);
    get(&tcp, "/").await;
    let needed = ["broker_client_messages_total", "broker_handshake_failures_total"];
    let has_all = |served: &Served| {
        needed.iter().all(|name| served.contains_key(*name))
            && served.contains_key("zeek_broker_peer_buffer_messages")
    };
    let served = within("the metrics", async {
        loop {
            let served = served(&http).await;
            if has_all(&served) {
                return served;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    let mut all = alerts();
    assert!(all.len() > 10, "{all:?}");
    all.extend(queries());
    assert!(all.len() > 30, "{all:?}");
    let mut wrong = Vec::new();
    for (expression, text) in &all {
        let mut found = judge(expression, &served);
        // What is summed has no other labels than those it is summed by.
        let sums = expression.split("by (").nth(1).map(|list| list.split(')').next().unwrap());
        let is_shown = |label: &str| match sums {
            Some(list) => list.split(',').any(|known| known.trim() == label),
            None => {
                ADDED.contains(&label)
                    || served.iter().any(|(name, labels)| {
                        expression.contains(name.as_str()) && labels.contains_key(label)
                    })
            }
        };
        let unknown = shown(text).into_iter().filter(|label| !is_shown(label));
        found.extend(unknown.map(|label| format!("shows {label}, which it does not have")));
        wrong.extend(found.into_iter().map(|wrong| format!("{expression}: {wrong}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_is_not_served_is_found() {
    let labels = BTreeMap::from([("peer".to_owned(), BTreeSet::from(["a".to_owned()]))]);
    let served = Served::from([("broker_x".to_owned(), labels)]);
    let judge = |expression| judge(expression, &served);
    assert!(judge("sum by (peer) (rate(broker_x{peer=\"a\", job=~\"b\"}[5m]))").is_empty());
    assert_eq!(judge("broker_y > 0"), ["broker_y is not served"]);
    assert_eq!(judge("broker_x{pear=\"a\"}"), ["broker_x has no label pear"]);
    assert_eq!(judge("broker_x{peer=\"b\"}"), ["broker_x has no peer \"b\""]);
    assert_eq!(judge("sum by (pear) (broker_x)"), ["no metric in it has the label pear"]);
    assert_eq!(shown("{{ $labels.a }} {{b}} {{ $value }}"), ["a", "b"]);
}
