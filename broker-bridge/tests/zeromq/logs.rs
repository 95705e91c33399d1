//! The log channel.

use crate::support::{Lab, messages, next, node, unhex};
use broker_bridge::Carried;
use broker_core::data::Value;
use broker_core::data::zeek::rows::{LogBatch, LogBatchView, row_of_write};
use broker_core::data::zeek::{LogWrite, ZeekMessage};
use broker_core::endpoint::{Retry, Subscriber};
use broker_testkit::websocket::wait_for;
use serde_json::{Value as Json, json};

fn batches() -> Vec<Vec<Vec<u8>>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/vectors/zeromq-zeek-8.2.json");
    let fixture: Json = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let parts = |message: &Json| message.as_array().unwrap().iter().map(unhex).collect();
    fixture["logs"].as_array().unwrap().iter().map(parts).collect()
}

fn hex(parts: &[Vec<u8>]) -> Vec<String> {
    parts.iter().map(|part| crate::support::hex(part)).collect()
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

async fn writes(subscriber: &mut Subscriber, count: usize) -> Vec<LogWrite> {
    let mut found = Vec::new();
    while found.len() < count {
        if let Ok(ZeekMessage::Batch(messages)) = ZeekMessage::try_from(next(subscriber).await.1) {
            found.extend(messages.into_iter().map(|message| match message {
                ZeekMessage::LogWrite(write) => write,
                other => panic!("{other:?}"),
            }));
        }
    }
    found
}

#[tokio::test]
async fn batches_that_nodes_push_become_log_messages_and_batches_again() {
    let Some(mut lab) = Lab::start().await else { return };
    let sent = batches();
    // Out of one cluster into the overlay, and from there to a logger.
    let logger = lab.run(json!({ "do": "pull", "key": "logger" })).await["port"].as_u64().unwrap();
    let (tap, out) = (node(), node());
    let url = tap.endpoint.listen("tcp://127.0.0.1:0").await.unwrap();
    let mut received = out.endpoint.subscribe(["zeek/logs/"]);
    out.endpoint.peer(&url, Retry::never()).await.unwrap();
    tap.endpoint.forward(["zeek/logs/"]).unwrap();
    let port = free_port();
    tap.peer(&lab.url(&format!("&from=zeek/logs/&logs={port}")), Retry::never()).await;
    let query = format!("&to=zeek/logs/&from=/none/&logger=127.0.0.1:{logger}");
    out.peer(&lab.url(&query), Retry::never()).await;
    let tap_id = tap.endpoint.id();
    wait_for(|| tap.endpoint.peer_filter(out.endpoint.id()).is_some_and(|f| !f.is_empty())).await;
    wait_for(|| out.endpoint.is_peered(tap_id)).await;
    let messages_sent: Vec<_> = sent.iter().map(|parts| hex(parts)).collect();
    lab.run(json!({ "do": "push", "port": port, "messages": messages_sent })).await;
    let mut expected = Vec::new();
    for parts in &sent {
        let batch = LogBatchView::parse(&parts[3]).unwrap();
        for record in &batch.records {
            expected.push((batch.path.to_string(), batch.row(record).unwrap()));
        }
    }
    let found = writes(&mut received, expected.len()).await;
    for (write, (path, row)) in found.iter().zip(&expected) {
        assert_eq!(write.path.to_string(), *path);
        assert_eq!(row_of_write(&write.record).unwrap(), *row);
    }
    // The logger has the same batches, byte for byte.
    let pulled = json!({ "do": "pulled", "key": "logger", "count": sent.len() });
    let pulled = messages(&lab.run(pulled).await);
    assert_eq!(pulled.len(), sent.len());
    for (pulled, sent) in pulled.iter().zip(&sent) {
        assert_eq!((&pulled[0], &pulled[2], &pulled[3]), (&sent[0], &sent[2], &sent[3]));
    }
}

#[tokio::test]
async fn hostile_batches_are_counted_and_the_next_one_is_taken() {
    let Some(mut lab) = Lab::start().await else { return };
    let node = node();
    let mut received = node.endpoint.subscribe(["zeek/logs/"]);
    let port = free_port();
    node.peer(&lab.url(&format!("&logs={port}")), Retry::never()).await;
    let good = batches().remove(0);
    let with = |batch: Vec<u8>| hex(&[good[0].clone(), good[1].clone(), good[2].clone(), batch]);
    let mut negative = good[3].clone();
    negative.truncate(good[3].len() - 1);
    let bad = json!([
        with(Vec::new()),
        with(vec![0xff; 200]),
        with(negative),
        with([&good[3][..], b"\0"].concat()),
        hex(&good[..3]),
        hex(&[b"other".to_vec(), good[1].clone(), good[2].clone(), good[3].clone()]),
        hex(&good),
    ]);
    lab.run(json!({ "do": "push", "port": port, "messages": bad })).await;
    assert!(!writes(&mut received, 1).await.is_empty());
    assert_eq!(node.status().counts[Carried::Unexpected], 6);
}

#[tokio::test]
async fn two_loggers_share_and_writes_without_columns_are_counted() {
    let Some(mut lab) = Lab::start().await else { return };
    let mut query = "&to=zeek/logs/".to_owned();
    for key in ["one", "two"] {
        let port = lab.run(json!({ "do": "pull", "key": key })).await["port"].clone();
        query += &format!("&logger=127.0.0.1:{port}");
    }
    let node = node();
    node.peer(&lab.url(&query), Retry::never()).await;
    let batch: LogBatch = LogBatchView::parse(&batches()[0][3]).unwrap().into();
    let write = |path: &str| LogWrite {
        stream: broker_core::data::EnumValue(batch.stream.clone()),
        writer: broker_core::data::EnumValue(batch.writer.clone()),
        path: path.into(),
        record: broker_core::data::zeek::rows::serial_of_record(&batch.columns, &batch.records[0]),
    };
    let create = broker_core::data::zeek::LogCreate {
        stream: write("").stream,
        writer: write("").writer,
        writer_info: Value::Vector(vec![Value::String(batch.path.clone())]),
        fields: broker_core::data::zeek::rows::Column::to_fields(&batch.columns),
    };
    node.endpoint.publish("zeek/logs/x", &Value::from(ZeekMessage::from(create))).await.unwrap();
    let path = batch.path.to_string();
    for _ in 0..200 {
        let batch = ZeekMessage::Batch(vec![write(&path).into(), write("unknown").into()]);
        node.endpoint.publish("zeek/logs/x", &Value::from(batch)).await.unwrap();
    }
    wait_for(|| node.status().counts[Carried::Refused] == 200).await;
    let mut total = 0;
    for key in ["one", "two"] {
        let pulled = json!({ "do": "pulled", "key": key, "count": 200, "limit": 2 });
        total += messages(&lab.run(pulled).await).len();
    }
    assert_eq!(total, 200);
}
