//! Being a node of the layout.

use crate::support::{Lab, Node, next, node, ping};
use broker_core::endpoint::Retry;
use broker_testkit::websocket::wait_for;
use serde_json::{Value as Json, json};
use std::time::Duration;

fn id(name: &str) -> String {
    format!("zeromq_{name}_vm_1_N{name}")
}

async fn joins(lab: &mut Lab, name: &str) {
    lab.node(json!({ "key": name, "name": name, "id": id(name), "prefixes": [] })).await;
}

async fn member(lab: &Lab, retry: Retry) -> Node {
    let node = node();
    node.peer(&lab.url("&name=bridge&to=/out/&from=/in/&from=zeek.cluster.node."), retry).await;
    node
}

async fn has_logged(lab: &mut Lab, key: &str, line: [&str; 2]) -> Json {
    let log = lab.run(json!({ "do": "log", "key": key, "line": line })).await;
    assert_eq!(log["found"], true, "{key} has no {line:?}: {log}");
    log
}

#[tokio::test]
async fn nodes_know_each_other_in_whatever_order_they_start() {
    for first in 0..3 {
        let Some(mut lab) = Lab::start().await else { return };
        let mut bridge = None;
        for at in 0..3 {
            if at == first {
                bridge = Some(member(&lab, Retry::never()).await);
            } else {
                joins(&mut lab, if bridge.is_some() { "after" } else { "before" }).await;
                // Two before or two after have different names.
                if (first == 2 && at == 0) || (first == 0 && at == 1) {
                    joins(&mut lab, "other").await;
                    break;
                }
            }
        }
        let bridge = match bridge {
            Some(bridge) => bridge,
            None => member(&lab, Retry::never()).await,
        };
        let others = match first {
            0 => ["after", "other"],
            1 => ["before", "after"],
            _ => ["before", "other"],
        };
        for name in others {
            has_logged(&mut lab, name, ["up", "bridge"]).await;
        }
        has_logged(&mut lab, others[0], ["up", others[1]]).await;
        wait_for(|| bridge.status().members.len() == 2).await;
        lab.run(json!({ "do": "leave", "key": others[1] })).await;
        wait_for(|| bridge.status().members.len() == 1).await;
        bridge.endpoint.shutdown().await;
        has_logged(&mut lab, others[0], ["down", "bridge"]).await;
    }
}

#[tokio::test]
async fn what_is_sent_to_the_name_arrives_and_repeated_greetings_do_no_harm() {
    let Some(mut lab) = Lab::start().await else { return };
    let node = node();
    let mut here = node.endpoint.subscribe(["zeek/cluster/node/bridge/"]);
    node.peer(&lab.url("&name=bridge"), Retry::never()).await;
    joins(&mut lab, "w").await;
    let log = has_logged(&mut lab, "w", ["up", "bridge"]).await;
    let own = log["log"][0][2].as_str().unwrap().to_owned();
    lab.publish("w", "zeek.cluster.node.bridge.", &ping(1)).await;
    assert_eq!(next(&mut here).await, ("zeek/cluster/node/bridge/".to_owned(), ping(1)));
    wait_for(|| node.status().members.len() == 1).await;
    // The same again, then another process under the same name.
    for new in [id("w"), id("w2")] {
        for what in ["Cluster::Backend::ZeroMQ::hello", "Cluster::hello"] {
            let hello = json!({ "do": "hello", "key": "w", "what": what, "name": "w", "id": new, "to": own });
            lab.run(hello).await;
        }
    }
    wait_for(|| node.status().members.iter().any(|member| member.id == id("w2"))).await;
    assert_eq!(node.status().members.len(), 1);
}

#[tokio::test]
async fn a_member_is_back_after_the_proxy_was_restarted() {
    let Some(mut lab) = Lab::start().await else { return };
    joins(&mut lab, "w").await;
    let bridge = member(&lab, Retry::every(Duration::from_millis(50))).await;
    has_logged(&mut lab, "w", ["up", "bridge"]).await;
    lab.run(json!({ "do": "stop" })).await;
    lab.forwarder(json!({ "sub": lab.sub, "pub": lab.publish })).await;
    // It comes with a new id, from which the others learn that the old one has gone.
    has_logged(&mut lab, "w", ["down", "bridge"]).await;
    wait_for(|| bridge.bridges.status().iter().any(|bridge| bridge.members.len() == 1)).await;
}

#[tokio::test]
async fn the_manager_is_told_when_all_members_are_there() {
    let Some(mut lab) = Lab::start().await else { return };
    lab.plain_node("manager", &["zeek.cluster.manager"]).await;
    joins(&mut lab, "w").await;
    let node = node();
    node.peer(&lab.url("&name=bridge&member=w"), Retry::never()).await;
    let received = lab.received("manager", 1).await;
    let event = String::from_utf8_lossy(&received[0][3]).into_owned();
    assert!(event.contains("Cluster::Experimental::node_fully_connected"), "{event}");
}
