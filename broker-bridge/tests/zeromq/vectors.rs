//! What a cluster of Zeek 8.2.2 sent.

use crate::support::{Lab, next, node, unhex};
use broker_bridge::Carried;
use broker_core::data::Value;
use broker_core::data::zeek::rows::{Column, LogBatch, LogBatchView, write_json_row};
use broker_core::endpoint::Retry;
use serde_json::{Value as Json, json};

fn fixture() -> Json {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/vectors/zeromq-zeek-8.2.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn log_batches_of_every_type_are_read_and_written_the_same() {
    let mut lines = Vec::new();
    for message in fixture()["logs"].as_array().unwrap() {
        let bytes = unhex(&message[3]);
        let batch = LogBatchView::parse(&bytes).unwrap();
        for record in &batch.records {
            let mut line = Vec::new();
            write_json_row(batch.path, &batch.columns, &batch.row(record).unwrap(), &mut line);
            lines.push(serde_json::from_slice::<Json>(&line).unwrap());
        }
        let mut out = Vec::new();
        LogBatch::from(batch).encode_into(&mut out);
        assert_eq!(out, bytes);
    }
    let all = lines.iter().find(|line| line["_path"] == "all").unwrap();
    let mut expected = json!({
        "_path": "all", "b": true, "c": u64::MAX, "i": -5, "d": 0.1, "t": 1_700_000_000.123_456,
        "iv": -1.5, "s": "grüß \\xff\0", "p": 22, "a4": "10.0.0.7", "a6": "2001:db8::1",
        "n4": "10.0.0.0/8", "n6": "2001:db8::/32", "v": [1, 2],
    });
    expected["e"] = all["e"].clone();
    expected["ss"] = all["ss"].clone();
    assert_eq!(*all, expected);
    assert!(all["e"].as_str().unwrap().ends_with('B'), "{all}");
    let mut set: Vec<&str> = all["ss"].as_array().unwrap().iter().flat_map(Json::as_str).collect();
    set.sort_unstable();
    assert_eq!(set, ["a", "b,c"]);
    let demo = lines.iter().find(|line| line["_path"] == "demo").unwrap();
    assert_eq!((&demo["ts"], &demo["h"]), (&json!(1_700_000_000.25), &json!("10.1.2.3")));
    assert!(demo.get("s").is_none(), "what is unset is left out");
}

#[test]
fn columns_go_into_a_log_create_and_come_back() {
    for message in fixture()["logs"].as_array().unwrap() {
        let bytes = unhex(&message[3]);
        let columns = LogBatchView::parse(&bytes).unwrap().columns;
        assert_eq!(Column::all_of(&Column::to_fields(&columns)), Some(columns));
    }
}

/// The recorded cluster, played by libzmq: subscriptions and events arrive as they did.
#[tokio::test]
async fn events_of_the_recorded_cluster_arrive_byte_for_byte() {
    let Some(mut lab) = Lab::start().await else { return };
    let fixture = fixture();
    let observed = fixture["observed"].as_array().unwrap();
    let node = node();
    let mut received = node.endpoint.subscribe([""]);
    node.peer(&lab.url(""), Retry::never()).await;
    lab.plain_node("player", &[]).await;
    lab.shown("player", 1, "").await;
    let mut expected = Vec::new();
    for message in observed.iter().filter(|message| message["socket"] == "xsub") {
        let parts: Vec<Vec<u8>> = message["parts"].as_array().unwrap().iter().map(unhex).collect();
        let topic = String::from_utf8(parts[0].clone()).unwrap();
        let sender = String::from_utf8(parts[1].clone()).unwrap();
        let publish = json!({
            "do": "publish", "key": "player", "topic": topic, "sender": sender,
            "payload": message["parts"][3],
        });
        lab.run(publish).await;
        expected.push((topic, Value::decode(&parts[3]).unwrap()));
    }
    assert!(expected.len() > 40);
    for expected in expected {
        assert_eq!(next(&mut received).await, expected);
    }
    assert_eq!(node.status().counts[Carried::Unexpected], 0);
}
