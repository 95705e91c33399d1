//! Clusters that encrypt, as from Zeek 8.2 on.

use crate::support::{Lab, next, node, node_with, ping};
use broker_bridge::Carried;
use broker_bridge::zeromq::ZeroMqOptions;
use broker_core::endpoint::Retry;
use broker_testkit::websocket::wait_for;
use serde_json::{Value as Json, json};

struct Keys {
    server: [String; 2],
    client: [String; 2],
}

async fn keys(lab: &mut Lab) -> [String; 2] {
    let keys: Json = lab.run(json!({ "do": "keys" })).await;
    [keys["public"].as_str().unwrap().to_owned(), keys["secret"].as_str().unwrap().to_owned()]
}

async fn encrypted() -> Option<(Lab, Keys)> {
    let mut lab = Lab::empty().await?;
    let keys = Keys { server: keys(&mut lab).await, client: keys(&mut lab).await };
    lab.forwarder(json!({ "server": keys.server, "client": keys.client })).await;
    Some((lab, keys))
}

fn options(keys: &Keys) -> ZeroMqOptions {
    ZeroMqOptions {
        curve_server_publickey: Some(keys.server[0].clone()),
        curve_server_secretkey: Some(keys.server[1].clone().into()),
        curve_client_publickey: Some(keys.client[0].clone()),
        curve_client_secretkey: Some(keys.client[1].clone().into()),
    }
}

#[tokio::test]
async fn with_the_keys_of_the_cluster_everything_goes_as_without() {
    let Some((mut lab, keys)) = encrypted().await else { return };
    let zeek = json!({ "key": "w", "name": "w", "id": "zeromq_w_vm_1_Nw", "prefixes": ["/out/"],
        "server": keys.server, "client": keys.client });
    lab.node(zeek).await;
    let node = node_with(&options(&keys));
    let mut here = node.endpoint.subscribe(["/in/"]);
    node.peer(&lab.url("&to=/out/&name=bridge"), Retry::never()).await;
    let protection = node.endpoint.peers()[0].protection.as_ref().unwrap().to_string();
    assert!(protection.contains("authenticated"), "{protection}");
    wait_for(|| node.status().members.len() == 1).await;
    lab.shown("w", 1, "/in/").await;
    lab.publish("w", "/in/x", &ping(1)).await;
    assert_eq!(next(&mut here).await.1, ping(1));
    lab.received("w", 1).await;
    for number in 0..1000 {
        node.endpoint.publish("/out/x", &ping(number)).await.unwrap();
    }
    let log = lab.run(json!({ "do": "count", "key": "w", "count": 1000 })).await;
    assert!(log["count"].as_u64() >= Some(1000), "{log}");
}

#[tokio::test]
async fn wrong_keys_and_none_are_refused_with_what_to_do() {
    let Some((mut lab, keys)) = encrypted().await else { return };
    let refused = async |options: &ZeroMqOptions, url| {
        let outcome = node_with(options).endpoint.peer(&url, Retry::never()).await;
        outcome.unwrap_err().to_string()
    };
    let error = refused(&ZeroMqOptions::default(), lab.url("")).await;
    assert!(error.contains("the keys of the cluster"), "{error}");
    let foreign = crate::curve::keys(&mut lab).await;
    let other = Keys { server: keys.server.clone(), client: foreign };
    let error = refused(&options(&other), lab.url("")).await;
    assert!(error.contains("refuses the connection: 400"), "{error}");
    // Keys where the cluster has none.
    let mut plain = Lab::start().await.unwrap();
    let error = refused(&options(&keys), plain.url("")).await;
    assert!(error.contains("does not encrypt"), "{error}");
    // Taking batches takes the key of a server.
    let client_only = ZeroMqOptions { curve_server_secretkey: None, ..options(&keys) };
    let error = refused(&client_only, lab.url("&logs=0")).await;
    assert!(error.contains("curve-server-secretkey"), "{error}");
    let _ = plain.run(json!({ "do": "stop" })).await;
}

/// What libzmq's monitor says when it is a client of a server here: a node of Zeek ends at 0x2000
/// and 0x4000.
#[tokio::test]
async fn a_server_here_is_one_for_libzmq() {
    let Some((mut lab, keys)) = encrypted().await else { return };
    let node = node_with(&options(&keys));
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    node.peer(&lab.url(&format!("&logs={port}")), Retry::never()).await;
    let push = |server: &[String; 2], client: &[String; 2]| {
        json!({ "do": "push", "port": port, "messages": [["00"]], "server": server,
            "client": client })
    };
    let good = lab.run(push(&keys.server, &keys.client)).await;
    assert_eq!(good["failed"], json!([]));
    wait_for(|| node.status().counts[Carried::Unexpected] == 1).await;
    let foreign = crate::curve::keys(&mut lab).await;
    let bad = lab.run(push(&keys.server, &foreign)).await;
    assert_eq!(bad["failed"], json!([0x4000]));
    let none = lab.run(json!({ "do": "push", "port": port, "messages": [["00"]] })).await;
    assert_eq!(none["failed"], json!([0x2000]));
}

#[tokio::test]
async fn without_keys_nothing_of_curve_is_asked_for() {
    let Some(lab) = Lab::start().await else { return };
    let node = node();
    node.peer(&lab.url(""), Retry::never()).await;
    assert_eq!(node.endpoint.peers()[0].protection.as_ref().unwrap().to_string(), "plain");
}
