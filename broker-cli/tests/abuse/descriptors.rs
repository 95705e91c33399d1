//! A node that has no descriptor left.

use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn descriptors_that_run_out() {
    // Fewer than half-open connections are allowed.
    let command = ["sh", "-c", "ulimit -n 48 && exec \"$0\" \"$@\""];
    let mut stage = Stage::with("handshake-time = 2.0\n", &command).await;
    let mut attackers = Vec::new();
    for _ in 0..200 {
        attackers.push(stage.attacker().await);
    }
    stage.said(&["handshake-failed", "the busiest address gives way"]).await;
    stage.healthy.is_served().await;
    // The oldest half-open connections make room, so an honest peer gets in, if not at
    // once: others are still being let in and sent away.
    let newcomer = loop {
        if let Some(peer) = stage.attacker().await.try_peer(1, &["/x"]).await {
            break peer;
        }
    };
    stage.healthy.is_served().await;
    for mut attacker in attackers {
        attacker.cut().await;
    }
    drop(newcomer);
    let complaints = stage.logged("accept-failed").len();
    assert!(complaints < 100, "{complaints} lines");
    stage.clear().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_usual_limit_on_descriptors_is_raised_as_far_as_it_may_be() {
    let command = ["sh", "-c", "ulimit -Sn 64 && ulimit -Hn 512 && exec \"$0\" \"$@\""];
    let stage = Stage::with("", &command).await;
    assert_eq!(stage.descriptor_limits(), ["512", "512"]);
    stage.clear().await;
}
