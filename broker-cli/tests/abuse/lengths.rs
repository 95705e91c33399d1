//! Frames that are announced and do not come.

use crate::attacker::noise;
use crate::stage::{FRAME, Stage};

/// 4 GiB, 2 GiB, what the C++ Broker takes at most, and just under and above these.
const ABSURD: [u32; 7] =
    [u32::MAX, 0xffff_fffc, 0xffff_fff0, 1 << 31, (1 << 31) - 1, (1 << 31) - 5, 1 << 30];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn absurd_lengths_before_and_after_the_handshake() {
    let mut stage = Stage::set().await;
    let mut number = 0;
    for length in ABSURD.into_iter().chain([FRAME as u32 + 1]) {
        let bytes = [&length.to_be_bytes()[..], &noise(7, 5000)].concat();
        let reason = format!("announced a frame of {length} bytes");
        let mut stranger = stage.attacker().await;
        stranger.send(&bytes).await;
        stranger.cut().await;
        stage.said(&["handshake-failed", &stranger.address, &reason]).await;
        number += 1;
        let mut peer = stage.peer(number, &["/x"]).await;
        peer.send(&bytes).await;
        peer.cut().await;
        stage.said(&["peer-lost", &peer.id.to_string(), &reason]).await;
        stage.holds(1).await;
    }
    stage.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_of_the_largest_size_that_never_end_take_what_has_come() {
    let mut stage = Stage::set().await;
    let mut peers = Vec::new();
    for number in 0..32 {
        let mut peer = stage.peer(number, &["/x"]).await;
        peer.send(&[&(FRAME as u32).to_be_bytes()[..], &noise(7, 5000)].concat()).await;
        peers.push(peer);
    }
    // All of these announce 128 MiB together; they get the memory of none.
    stage.holds(0).await;
    let mut strangers = Vec::new();
    for _ in 0..32 {
        let mut stranger = stage.attacker().await;
        stranger.send(&[&65536_u32.to_be_bytes()[..], &noise(7, 5000)].concat()).await;
        strangers.push(stranger);
    }
    for mut stranger in strangers {
        stranger.cut().await;
        stage.said(&["handshake-failed", &stranger.address, "within 2 s"]).await;
    }
    stage.holds(0).await;
    drop(peers);
    stage.clear().await;
}
