//! Messages that are large, broken or absurd, and every kind of value, over real sockets.

#![allow(clippy::unwrap_used)]

use broker_testkit::websocket as support;

use broker_core::data::View;
use broker_core::data::json::JsonReader;
use broker_core::endpoint::Subscriber;
use serde_json::Value;
use support::{Client, PATIENCE, Server, count, frame, native};
use tokio::time::timeout;

async fn payload(subscriber: &mut Subscriber) -> Vec<u8> {
    timeout(PATIENCE, subscriber.recv()).await.unwrap().unwrap().payload().to_vec()
}

/// What the server answers to a text that it cannot use; afterwards the connection works.
async fn refusal(client: &mut Client, text: &[u8]) -> String {
    client.raw(&frame(2, true, text)).await;
    let error = client.recv_json().await;
    assert_eq!(error["code"], "deserialization_failed", "{error}");
    error["context"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn messages_of_ten_megabytes_pass_in_both_directions() {
    const SIZE: usize = 10_000_000;
    let server = Server::start().await;
    let (peer, mut subscriber) = native(&server.endpoint, "/up").await;
    let mut client = server.client("[\"/down\"]").await;
    let text = format!(
        "{{\"topic\":\"/up\",\"@data-type\":\"string\",\"data\":\"{}\"}}",
        "x".repeat(SIZE)
    );
    client.text(&text).await;
    let got = timeout(PATIENCE, subscriber.recv()).await.unwrap().unwrap();
    assert_eq!(got.view().as_bytes().map(<[u8]>::len), Some(SIZE));
    let parts = text.as_bytes().chunks(1_000_003);
    let last = parts.len() - 1;
    for (at, part) in parts.enumerate() {
        client.raw(&frame(u8::from(at == 0), at == last, part)).await;
    }
    let got = timeout(PATIENCE, subscriber.recv()).await.unwrap().unwrap();
    assert_eq!(got.view().as_bytes().map(<[u8]>::len), Some(SIZE));
    peer.publish("/down", "y".repeat(SIZE).as_str()).await.unwrap();
    assert_eq!(client.recv_json().await["data"].as_str().unwrap().len(), SIZE);
}

#[tokio::test]
async fn a_message_in_fragments_of_one_byte_is_a_message() {
    let server = Server::start().await;
    let (_peer, mut subscriber) = native(&server.endpoint, "/t").await;
    let mut client = server.client("[]").await;
    let mut text = count("/t", 1).into_bytes();
    text.resize(100_000, b' ');
    let last = text.len() - 1;
    let bytes: Vec<u8> = text
        .iter()
        .enumerate()
        .flat_map(|(at, byte)| frame(u8::from(at == 0), at == last, &[*byte]))
        .collect();
    client.raw(&bytes).await;
    assert_eq!(payload(&mut subscriber).await, [2, 0, 0, 0, 0, 0, 0, 0, 1]);
}

#[tokio::test]
async fn truncated_json_is_refused_wherever_it_ends() {
    let server = Server::start().await;
    let mut client = server.client("[]").await;
    let text = r#"{"type":"data-message","topic":"/t","@data-type":"vector","data":[{"@data-type":"real","data":-1.5e3},{"@data-type":"string","data":"\u00e9"}]}"#;
    for end in 0..text.len() {
        let context = refusal(&mut client, &text.as_bytes()[..end]).await;
        assert!(context.contains("contained malformed JSON -> "), "cut at {end}: {context}");
    }
}

#[tokio::test]
async fn json_nested_a_million_deep_is_refused_without_recursion() {
    let server = Server::start().await;
    let mut client = server.client("[]").await;
    let value = r#"{"@data-type":"vector","data":["#;
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), (value, "]}")] {
        let deep = format!(
            "{{\"topic\":\"/t\",\"@data-type\":\"vector\",\"data\":[{}1{}]}}",
            open.repeat(1_000_000 / open.len()),
            close.repeat(1_000_000 / open.len())
        );
        refusal(&mut client, deep.as_bytes()).await;
        refusal(&mut client, open.repeat(1_000_000 / open.len()).as_bytes()).await;
    }
}

#[tokio::test]
async fn numbers_out_of_range_are_refused_and_the_last_ones_in_range_exact() {
    let server = Server::start().await;
    let (_peer, mut subscriber) = native(&server.endpoint, "/t").await;
    let mut client = server.client("[]").await;
    let message = |kind: &str, data: &str| {
        format!("{{\"topic\":\"/t\",\"@data-type\":\"{kind}\",\"data\":{data}}}")
    };
    for (kind, data) in [
        ("count", "18446744073709551616"),
        ("count", "-1"),
        ("count", "1.0"),
        ("integer", "9223372036854775808"),
        ("integer", "-9223372036854775809"),
        ("real", "1e400"),
        ("real", "-1e400"),
        ("port", "\"65536/tcp\""),
        ("subnet", "\"10.0.0.0/33\""),
        ("timespan", "\"9223372036854775808ns\""),
    ] {
        let context = refusal(&mut client, message(kind, data).as_bytes()).await;
        assert!(context.contains("invalid data -> "), "{kind} {data}: {context}");
    }
    for (kind, data, bin) in [
        ("count", "18446744073709551615", "02ffffffffffffffff"),
        ("integer", "-9223372036854775808", "038000000000000000"),
        ("real", "1.7976931348623157e308", "047fefffffffffffff"),
        ("timespan", "\"-9223372036854775808ns\"", "0a8000000000000000"),
    ] {
        client.text(&message(kind, data)).await;
        let got = payload(&mut subscriber).await;
        let hex: String = got.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, bin, "{kind} {data}");
    }
}

fn vectors(file: &str, list: &str) -> Vec<Value> {
    let path = format!("{}/../fixtures/vectors/{file}", env!("CARGO_MANIFEST_DIR"));
    let file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    file[list].as_array().unwrap().clone()
}

#[tokio::test]
async fn every_recorded_json_text_becomes_over_the_wire_what_it_becomes_in_the_library() {
    let server = Server::start().await;
    let (_peer, mut subscriber) = native(&server.endpoint, "").await;
    let mut client = server.client("[]").await;
    let reader = JsonReader { require_type: false, require_topic: false, ..JsonReader::default() };
    let cases = vectors("json-to-data.json", "cases");
    for case in &cases {
        let input = case["input"].as_str().unwrap();
        let mut expected = Vec::new();
        match reader.message_into(input.as_bytes(), &mut expected) {
            Ok(_) => {
                client.text(input).await;
                // Sets and tables are put in order on the way.
                let canonical = View::parse(&expected).unwrap().to_value().encode();
                assert_eq!(payload(&mut subscriber).await, canonical, "{input}");
            }
            Err(error) => {
                let context = refusal(&mut client, input.as_bytes()).await;
                assert!(context.ends_with(&error.to_string()) || context.contains("object"));
            }
        }
    }
    assert!(cases.len() > 100);
}

#[tokio::test]
async fn every_recorded_value_reaches_clients_as_json_that_reads_back_as_the_same_value() {
    let server = Server::start().await;
    let (peer, _subscriber) = native(&server.endpoint, "/nothing").await;
    let mut client = server.client("[\"/t\"]").await;
    let wait = async {
        while peer.peer_filter(server.endpoint.id()).unwrap().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, wait).await.unwrap();
    for case in vectors("data-v1.json", "values") {
        let hex = case["bin"].as_str().unwrap();
        let bytes: Vec<u8> = (0..hex.len() / 2)
            .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
            .collect();
        let value = View::parse(&bytes).unwrap();
        peer.publish("/t", &value).await.unwrap();
        let text = client.recv_text().await;
        let _: Value = serde_json::from_str(&text).unwrap();
        let mut back = Vec::new();
        JsonReader::default().message_into(text.as_bytes(), &mut back).unwrap();
        assert_eq!(back, bytes, "{text}");
    }
}
