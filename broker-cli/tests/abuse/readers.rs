//! Peers that do not read.

use crate::attacker::Attacker;
use crate::stage::Stage;
use broker::core::wire::envelope::EnvelopeType;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_never_reads_what_it_asked_for() {
    let mut stage = Stage::set().await;
    let mut silent = Vec::new();
    for number in 0..4 {
        let attacker = Attacker::connect_narrow(stage.at).await;
        silent.push(attacker.peer(number, &["/flood", "/healthy"]).await);
    }
    let text = "x".repeat(60_000);
    // Far more than the sockets hold.
    stage.healthy.flood("/flood", &text, 300).await;
    for attacker in silent {
        stage.said(&["peer-lost", &attacker.id.to_string(), "accepted no data for 1 s"]).await;
    }
    stage.holds(4).await;
    stage.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_pings_and_never_reads_the_answers() {
    let mut stage = Stage::set().await;
    let mut attacker = Attacker::connect_narrow(stage.at).await.peer(1, &[]).await;
    let ping = attacker.envelope(EnvelopeType::Ping, "<$>", &[7; 10_000]);
    // Until the node does not take any more, because it has cut the peer.
    loop {
        use tokio::io::AsyncWriteExt;
        if attacker.stream.write_all(&ping).await.is_err() {
            break;
        }
    }
    stage.said(&["peer_removed", &attacker.id.to_string(), "backpressure_overflow"]).await;
    stage.holds(1).await;
    stage.clear().await;
}
