//! Connections that do not become peers.

use crate::attacker::{Attacker, id, noise};
use crate::scale;
use crate::stage::Stage;
use broker::core::wire::handshake::HandshakeMessage;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::time::Duration;
use tokio::time::interval;

/// Lets this process have as many descriptors as it can, and returns how many attackers that is.
fn attackers(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    let most = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    wanted.min(usize::try_from(most).unwrap_or(usize::MAX).saturating_sub(400) / 2)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_open_connections_by_the_thousand() {
    let mut stage = Stage::set().await;
    let count = attackers(3000 * scale());
    let mut attackers = Vec::new();
    for number in 0..count {
        let mut attacker = stage.attacker().await;
        // A third says nothing, a third says hello with ever new ids, a third begins a hello.
        let hello = HandshakeMessage::hello(id(number as u32)).to_frame();
        match number % 3 {
            0 => {}
            1 => attacker.send(&hello).await,
            _ => attacker.send(&hello[..number % hello.len()]).await,
        }
        attackers.push(attacker);
        if number % 1000 == 0 {
            stage.holds(0).await;
        }
    }
    // An honest peer gets in while all places are taken.
    let newcomer = stage.peer(1_000_000, &[]).await;
    drop(newcomer);
    for attacker in &mut attackers {
        attacker.cut().await;
    }
    stage.failed_handshakes(count).await;
    let failures = stage.logged("handshake-failed");
    assert!(failures.iter().any(|text| text.contains("the limit half-open is 64")), "{failures:?}");
    stage.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_byte_per_second() {
    let mut stage = Stage::set().await;
    let mut tasks = Vec::new();
    for number in 0..16 * scale().min(4) {
        let mut attacker = stage.attacker().await;
        tasks.push(tokio::spawn(async move {
            let mut second = interval(Duration::from_secs(1));
            for byte in HandshakeMessage::hello(id(number as u32)).to_frame() {
                second.tick().await;
                attacker.send(&[byte]).await;
                if attacker.stream.try_read(&mut [0; 64]).is_ok_and(|count| count == 0) {
                    return attacker.address;
                }
            }
            panic!("it could say hello")
        }));
    }
    for task in tasks {
        let address = task.await.unwrap();
        stage.said(&[&address, "did not finish the handshake within 2 s"]).await;
    }
    stage.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_bytes_instead_of_a_handshake() {
    let mut stage = Stage::set().await;
    let mut attackers = Vec::new();
    for number in 0..30 * scale().min(2) {
        let mut attacker = stage.attacker().await;
        let mut bytes = noise(number as u64, 4096);
        if number % 2 == 0 {
            // Frames of a sensible length.
            bytes.chunks_mut(64).for_each(|frame| frame[..4].copy_from_slice(&[0, 0, 0, 60]));
        }
        attacker.send(&bytes).await;
        attackers.push(attacker);
    }
    for mut attacker in attackers {
        attacker.cut().await;
        stage.said(&["handshake-failed", &attacker.address]).await;
    }
    stage.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_that_come_and_go_under_ever_new_ids() {
    let mut stage = Stage::set().await;
    for number in 0..500 * scale() as u32 {
        drop(stage.peer(number, &["/x"]).await);
    }
    stage.said(&["peer_lost", &id(499).to_string()]).await;
    stage.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_failures_is_not_a_flood_in_the_log() {
    let mut stage = Stage::with("handshake-time = 2.0\n", &[]).await;
    let count = 600 * scale();
    for _ in 0..count {
        let mut attacker: Attacker = stage.attacker().await;
        attacker.send(b"GET / HTTP/1.1\r\n\r\n").await;
        attacker.cut().await;
    }
    stage.failed_handshakes(count).await;
    let said = stage.logged("handshake-failed");
    assert!(said.len() < count / 4, "{} lines", said.len());
    stage.clear().await;
}
