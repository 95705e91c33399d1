//! What goes round through bridges of different kinds comes to an end.

use crate::support::{Server, event, eventually, next, node, program};
use broker_bridge::Carried;
use broker_core::endpoint::{Retry, Subscriber};
use broker_testkit::or_skip;

/// One overlay hands to NATS, another takes from there, hands to a server of the JSON API, and that
/// is peered natively with the first one.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_goes_once_through_a_circle_of_nats_websocket_and_native() {
    let program = or_skip!(program().await);
    let server = Server::start(&program).await;
    let (one, two, three) = (node(), node(), node());
    let mut at = [&one, &two, &three].map(|node| node.endpoint.subscribe(["/t"]));
    two.peer(&server.url("to=/none&from=/t")).await;
    one.peer(&server.url("to=/t&from=/none")).await;
    let ws = three.endpoint.listen("ws://127.0.0.1:0").await.unwrap();
    let native = three.endpoint.listen("tcp://127.0.0.1:0").await.unwrap();
    two.peer(&format!("ws://127.0.0.1:{}/v1/messages/json?to=/t&from=/none", ws.port())).await;
    one.endpoint.peer(&native, Retry::never()).await.unwrap();
    for node in [&one, &two, &three] {
        node.endpoint.forward(["/t"]).unwrap();
    }
    let [_, at_two, at_three] = &mut at;
    for number in 1..4 {
        // Until the subscription is at the server, an event is gone.
        eventually(async || {
            one.endpoint.publish("/t", &event(0)).await.unwrap();
            two.count(|bridge| bridge.counts[Carried::FromServer]) > 0
        })
        .await;
        one.endpoint.publish("/t", &event(number)).await.unwrap();
        let numbers = async |subscriber: &mut Subscriber| loop {
            let (_, found) = next(subscriber).await;
            if found != 0 {
                return found;
            }
        };
        assert_eq!(numbers(at_two).await, number);
        assert_eq!(numbers(at_three).await, number);
    }
    // What comes back to where it was is stopped and counted.
    eventually(async || {
        [&one, &two, &three]
            .iter()
            .map(|node| node.count(|b| b.counts[Carried::Crossed]))
            .sum::<u64>()
            > 0
    })
    .await;
    one.endpoint.publish("/t", &event(9)).await.unwrap();
    loop {
        match next(at_two).await.1 {
            0 => {}
            number => break assert_eq!(number, 9),
        }
    }
}
