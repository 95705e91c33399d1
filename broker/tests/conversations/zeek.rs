//! What a real Zeek sent, played to an endpoint that takes the part of the program which talked to
//! Zeek then.

use crate::recording::{Action, Options, Scenario, Side, Step, What, load};
use crate::replay::Replay;
use crate::subject::same;
use broker::data::Value;
use broker::data::zeek::{ZeekEvent, ZeekMessageView};
use serde_json::Value as Json;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_with_the_lower_id_dials_zeek() {
    talk_to_zeek("zeek-listens-lower-id-dials").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_with_the_higher_id_dials_zeek() {
    talk_to_zeek("zeek-listens-higher-id-dials").await;
}

#[test]
fn both_recordings_with_zeek_are_played() {
    let names: Vec<Json> =
        load("zeek-8.json").iter().map(|recording| recording["scenario"].clone()).collect();
    assert_eq!(names, ["zeek-listens-lower-id-dials", "zeek-listens-higher-id-dials"]);
}

/// What was published to Zeek, which printed it as `zk_msg s=hello zeek n=7`.
fn greeting() -> ZeekEvent {
    ZeekEvent::new("zk_msg").arg("hello zeek").arg(7_u64)
}

async fn talk_to_zeek(name: &str) {
    let recordings = load("zeek-8.json");
    let recording = recordings.iter().find(|recording| recording["scenario"] == name).unwrap();
    let steps: Vec<Step> = recording["steps"].as_array().unwrap().iter().map(reversed).collect();
    let scenario = Scenario {
        name: name.to_owned(),
        endpoint_id: dialling_id(&steps),
        subscriptions: vec!["zk/out/".to_owned()],
        options: Options::default(),
        has_events: true,
        steps,
    };
    let mut replay = Replay::start(&scenario, &[]).await;
    let opening = [
        What::Operator(Action::Peer { retry: 0 }),
        What::Opened { by: Side::Endpoint, conn: "zeek".to_owned() },
    ];
    for step in &opening {
        replay.perform(step).await.unwrap();
    }
    let mut ticks = 0;
    for Step { label, what } in &scenario.steps {
        match label.as_str() {
            "endpoint data" => {
                assert!(replay.subject.result_of_peer().await.unwrap());
                let published = replay.subject.endpoint.publish("zk/in/x", &greeting()).await;
                assert_eq!(published.unwrap().peers, 1);
                replay.perform(what).await.unwrap();
            }
            "stranger data" => {
                replay.perform(what).await.unwrap();
                replay.settle_before(&What::NoAttempt).await;
                expect_tick(&mut replay, ticks).await;
                ticks += 1;
            }
            _ => replay.perform(what).await.unwrap_or_else(|error| panic!("{label}: {error}")),
        }
    }
    assert_eq!(ticks, 5);
    let zeek = zeek_id(&scenario.steps);
    for text in [
        format!("endpoint_discovered({zeek}, \"found a new peer in the network\")"),
        format!("peer_added({zeek}, 127.0.0.1:<port of L1>, \"handshake successful\")"),
    ] {
        replay.perform(&What::Status(text)).await.unwrap();
    }
    let leftover = replay.finish().await;
    assert!(leftover.is_empty(), "nobody expected {leftover:#?}");
}

/// A step of the recording with the parts exchanged: Zeek is the stranger now.
fn reversed(json: &Json) -> Step {
    let mut json = json.clone();
    json["from"] = match json["from"].as_str().unwrap() {
        "zeek" => "stranger",
        "stranger" => "endpoint",
        other => panic!("a step from {other}"),
    }
    .into();
    let label = format!("{} {}", json["from"].as_str().unwrap(), json["message"].as_str().unwrap());
    json["conn"] = "zeek".into();
    Step { label, ..Step::parse(&json) }
}

fn dialling_id(steps: &[Step]) -> String {
    id_in_hello(steps, Side::Endpoint)
}

fn zeek_id(steps: &[Step]) -> String {
    id_in_hello(steps, Side::Stranger)
}

/// The id in the first message of a side that has one: hello or version_select.
fn id_in_hello(steps: &[Step], side: Side) -> String {
    let ids = steps.iter().filter_map(|step| match &step.what {
        What::Frame { by, frame, .. } if *by == side && matches!(frame[4], 6 | 8) => {
            Some(broker::EndpointId::from_bytes(frame[9..25].try_into().unwrap()).to_string())
        }
        _ => None,
    });
    ids.take(1).collect()
}

async fn expect_tick(replay: &mut Replay, number: u64) {
    let message = replay.subject.raw_message().await.expect("a message from Zeek");
    assert_eq!(message.topic(), "zk/out/tick");
    let view = ZeekMessageView::parse(message.view()).unwrap();
    let ZeekMessageView::Event(event) = view else { panic!("{view:?} is no event") };
    let event = ZeekEvent::from(event);
    let expected = ZeekEvent {
        metadata: Some(Vec::new()),
        ..ZeekEvent::new("zk_msg").arg("tick").arg(number)
    };
    same("event", &expected, &event).unwrap();
    // Written again it is what Zeek wrote.
    assert_eq!(Value::from(event).encode(), message.payload());
}
