//! Messages that make no sense.

use crate::attacker::{Attacker, noise};
use crate::stage::Stage;
use broker::core::wire::envelope::EnvelopeType;
use broker::core::wire::handshake::HandshakeMessage;

/// Sends bad messages until the node has had enough, and checks what it says about the last one.
async fn until_cut(
    stage: &mut Stage,
    number: u32,
    frame: impl Fn(&Attacker) -> Vec<u8>,
    why: &str,
) {
    let mut attacker = stage.peer(number, &["/x"]).await;
    let frame = frame(&attacker);
    for _ in 0..17 {
        attacker.send(&frame).await;
    }
    attacker.cut().await;
    let id = attacker.id.to_string();
    stage.said(&["peer-lost", &id, "16 more bad messages than good ones", why]).await;
    stage.holds(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn truncated_routing_updates() {
    let mut stage = Stage::set().await;
    let update = |payload: &'static [u8]| {
        move |attacker: &Attacker| attacker.envelope(EnvelopeType::RoutingUpdate, "<$>", payload)
    };
    until_cut(&mut stage, 1, update(&[1, 5, b'a', b'b']), "routing update: entry 0").await;
    until_cut(&mut stage, 2, update(&[2, 1, b'a', 0xff]), "routing update: entry 1").await;
    until_cut(&mut stage, 3, update(&[0xff, 0xff]), "routing update: entry 0").await;
    stage.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_nested_a_million_deep_and_sets_of_a_billion() {
    let mut stage = Stage::set().await;
    let data = |payload: Vec<u8>| {
        move |attacker: &Attacker| attacker.envelope(EnvelopeType::Data, "/healthy", &payload)
    };
    let billion = [0x80, 0x94, 0xeb, 0xdc, 0x03];
    for (number, container) in [12, 13, 14].into_iter().enumerate() {
        let number = 10 * number as u32;
        let nested = match container {
            13 => [13, 1, 0].repeat(1_000_000),
            _ => [container, 1].repeat(1_000_000),
        };
        until_cut(&mut stage, number, data(nested), "more than 64 containers").await;
        let announced = [&[container][..], &billion, &[2; 90]].concat();
        until_cut(&mut stage, number + 1, data(announced), "000000000").await;
    }
    // The same in what a store would be told.
    let put = [vec![0; 57], [14, 1].repeat(1_000_000)].concat();
    let command = |attacker: &Attacker| attacker.envelope(EnvelopeType::Command, "/healthy", &put);
    until_cut(&mut stage, 100, command, "command: ").await;
    stage.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_bytes_instead_of_messages() {
    let mut stage = Stage::set().await;
    for number in 0..10_u32 {
        let mut attacker = stage.peer(number, &["/x"]).await;
        attacker.send(&noise(u64::from(number), 100_000)).await;
        attacker.cut().await;
        stage.said(&["peer-lost", &attacker.id.to_string()]).await;
        // The same in envelopes from the right sender.
        let data = |attacker: &Attacker| {
            let noise = noise(u64::from(number), 1000);
            attacker.envelope(EnvelopeType::Data, "/healthy", &[&[99], &noise[..]].concat())
        };
        until_cut(&mut stage, 100 + number, data, "data: ").await;
    }
    stage.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_in_the_name_of_others_and_on_topics_of_the_node() {
    let mut stage = Stage::set().await;
    let forged = |attacker: &Attacker| {
        let mut frame = attacker.envelope(EnvelopeType::Data, "/healthy", &[0]);
        frame[4..20].copy_from_slice(&[0x11; 16]);
        frame
    };
    until_cut(&mut stage, 1, forged, "in the name of").await;
    let internal = |attacker: &Attacker| {
        attacker.envelope(EnvelopeType::Data, "<$>/local/data/statuses", &[0])
    };
    until_cut(&mut stage, 2, internal, "below <$>/local/").await;
    stage.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_of_a_billion_topics_or_of_too_many_bytes() {
    let mut stage = Stage::set().await;
    let mut stranger = stage.attacker().await;
    stranger.send(&HandshakeMessage::hello(stranger.id).to_frame()).await;
    stranger.send(&[0, 0, 0, 8, 11, 0x80, 0x94, 0xeb, 0xdc, 0x03, 0, 0]).await;
    stranger.cut().await;
    stage.said(&["handshake-failed", &stranger.address, "failed to parse"]).await;
    for (number, filter) in [
        (1, [vec![0], [1, b'/'].repeat(16385)].concat()),
        (2, [vec![0], [&[0x80, 0x80, 1][..], &[b'/'; 16384]].concat().repeat(65)].concat()),
    ] {
        let mut peer = stage.peer(number, &["/x"]).await;
        let update = peer.envelope(EnvelopeType::RoutingUpdate, "<$>", &filter);
        peer.send(&update).await;
        peer.cut().await;
        stage.said(&["peer-lost", &peer.id.to_string(), "the filter of the peer"]).await;
        stage.holds(1).await;
    }
    stage.clear().await;
}

/// Nothing of this is forbidden, and all of it makes work; whoever does it has to wait for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_filters_that_change_with_every_message() {
    let mut stage = Stage::set().await;
    let mut peer = stage.peer(1, &["/x"]).await;
    let data = peer.envelope(EnvelopeType::Data, "/x/y", &[0]);
    for round in 0..20_u32 {
        let topics = (0..16_384_u32).flat_map(|number| {
            let topic = format!("/{round}/{number:x}");
            [&[topic.len() as u8], topic.as_bytes()].concat()
        });
        let filter: Vec<u8> = std::iter::once(0).chain(topics).collect();
        let update = peer.envelope(EnvelopeType::RoutingUpdate, "<$>", &filter);
        peer.send(&[&update[..], &data].concat()).await;
        if round % 10 == 0 {
            stage.holds(1).await;
        }
    }
    stage.holds(1).await;
    drop(peer);
    stage.clear().await;
}
