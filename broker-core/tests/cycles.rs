//! Endpoints come and go, and leave nothing behind. One test, because it counts what its whole
//! process has.

#![allow(clippy::unwrap_used)]

mod support;

use broker_core::endpoint::Retry;
use std::fs;
use support::{HIGH, LOW, Sockets, at, endpoint, peer};

/// Descriptors and threads of this process, and tasks of the runtime.
#[derive(Debug, PartialEq, Eq)]
struct Holdings {
    descriptors: usize,
    threads: usize,
    tasks: usize,
}

fn holdings() -> Holdings {
    Holdings {
        descriptors: fs::read_dir("/proc/self/fd").unwrap().count(),
        threads: fs::read_dir("/proc/self/task").unwrap().count(),
        tasks: tokio::runtime::Handle::current().metrics().num_alive_tasks(),
    }
}

/// Two endpoints that peer and talk, and end in one of several ways.
async fn cycle(number: u64) {
    let (a, b) = (endpoint(Sockets, LOW), endpoint(Sockets, HIGH));
    let mut received = b.subscribe(["/t"]);
    let mut events = a.events();
    let url = b.listen(at("b")).await.unwrap();
    peer(&a, &b, &url, Retry::default()).await;
    a.publish("/t", &number).await.unwrap();
    assert_eq!(received.recv().await.unwrap().view().as_count(), Some(number));
    match number % 4 {
        0 => a.shutdown().await,
        1 => b.shutdown().await,
        2 => assert!(a.unpeer(&url)),
        _ => {}
    }
    drop(received);
    // Dropping the last handle shuts an endpoint down as well; its events end when it is done.
    drop((a, b));
    while events.next().await.is_some() {}
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_starts_and_stops_leave_no_task_descriptor_or_thread() {
    cycle(0).await;
    let expected = settled(None).await;
    for number in 0..1000 {
        cycle(number).await;
    }
    assert_eq!(settled(Some(&expected)).await, expected);
}

/// What is held when the last tasks have ended, which they do on their own.
async fn settled(expected: Option<&Holdings>) -> Holdings {
    let mut held = holdings();
    for _ in 0..500 {
        let done = match expected {
            Some(expected) => held == *expected,
            None => held.tasks == 0,
        };
        if done {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        held = holdings();
    }
    held
}
