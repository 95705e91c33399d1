//! Clients of an endpoint, and the handles of the services that run their sessions.

#![allow(clippy::unwrap_used)]

use broker_core::endpoint::{ClientInfo, EventStream};
use broker_core::event::{ClientLabel, Event, Status};
use broker_core::transport::{MemTransport, Protection};
use broker_core::{Address, Endpoint, EndpointId};
use std::sync::atomic::Ordering::Relaxed;

fn client(number: u16) -> ClientInfo {
    let id = EndpointId::from_random_bits(u128::from(number));
    let label = ClientLabel { kind: "web-socket", application: Some("probe".into()) };
    ClientInfo::new(
        id,
        label,
        Address::new("ws", "127.0.0.1", number),
        Protection::Plain,
        Vec::new(),
    )
}

fn statuses(events: &mut EventStream) -> Vec<Status> {
    std::iter::from_fn(|| events.try_next())
        .filter_map(|event| match event {
            Event::Status(status) => Some(status),
            _ => None,
        })
        .collect()
}

fn endpoint() -> Endpoint {
    Endpoint::builder().transport(MemTransport::new()).build().unwrap()
}

#[tokio::test]
async fn a_client_is_reported_like_a_peer_with_texts_of_its_own() {
    let endpoint = endpoint();
    let mut events = endpoint.events();
    let session = endpoint.service_context().attach_client(client(7));
    session.counters().messages_in.fetch_add(2, Relaxed);
    let listed = endpoint.clients();
    assert_eq!((listed.len(), listed[0].messages_in), (1, 2));
    assert!(endpoint.peers().is_empty());
    let id = session.info().id;
    drop(session);
    assert_eq!(endpoint.client_count(), 0);
    let seen = statuses(&mut events);
    let texts: Vec<String> =
        seen.iter().map(|status| Event::Status(status.clone()).to_string()).collect();
    assert_eq!(
        texts,
        [
            format!("endpoint_discovered({id}, \"found a new client in the network\")"),
            format!("peer_added({id}, 127.0.0.1:7, \"handshake successful\")"),
            format!("peer_lost({id}, 127.0.0.1:7, \"lost connection to client\")"),
            format!("endpoint_unreachable({id}, \"lost the last path\")"),
        ]
    );
    assert!(seen.iter().all(|status| {
        status.client.as_ref().is_some_and(|label| label.to_string() == "web-socket client probe")
    }));
}

#[tokio::test]
async fn a_removed_client_is_not_lost() {
    let endpoint = endpoint();
    let session = endpoint.service_context().attach_client(client(7));
    let mut events = endpoint.events();
    session.removed("caf::sec::backpressure_overflow");
    let seen = statuses(&mut events);
    assert_eq!(seen[0].code.event_name(), "peer_removed");
    assert_eq!(seen[0].message, "client removed: caf::sec::backpressure_overflow");
}

#[tokio::test]
async fn services_end_with_the_endpoint_and_do_not_keep_it_alive() {
    let (started, mut ended) = tokio::sync::mpsc::unbounded_channel();
    let endpoint = Endpoint::builder()
        .on_start(move |context| {
            let service = context.clone();
            let hub = service.endpoint().hub(["/x"]);
            context.spawn(async move {
                service.stopping().await;
                drop(hub);
                started.send(()).unwrap();
            });
        })
        .build()
        .unwrap();
    let weak = endpoint.service_context().downgrade();
    assert!(weak.upgrade().is_some());
    drop(endpoint);
    ended.recv().await.unwrap();
}

#[tokio::test]
async fn a_sender_publishes_in_the_name_of_its_hub() {
    let endpoint = endpoint();
    let mut hub = endpoint.hub(["/x"]);
    let mut other = endpoint.hub(["/x"]);
    hub.sender().publish("/x", &1_u64).await.unwrap();
    assert_eq!(other.recv().await.unwrap().view().as_count(), Some(1));
    assert!(hub.try_recv().is_err());
}
