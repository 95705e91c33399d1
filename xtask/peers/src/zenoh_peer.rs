//! Zenoh: from peer to peer, or through a router. Publishers block when a link is congested, so
//! nothing is lost.

use crate::{Result, Role, Stage, Task, give_up};
use std::time::Instant;
use tokio::sync::mpsc;
use zenoh::bytes::ZBytes;
use zenoh::qos::CongestionControl;
use zenoh::{Config, Session};

const KEY: &str = "bench";

pub(crate) async fn begin(task: Task, stage: Stage) -> Result<()> {
    match task.role {
        Role::Router => {
            let session = open(&task, "router", true).await?;
            tokio::spawn(async move {
                std::future::pending::<()>().await;
                drop(session);
            });
        }
        Role::Publish => {
            let session = open(&task, mode(&task), !task.router).await?;
            let publisher = session.declare_publisher(KEY);
            let publisher = publisher.congestion_control(CongestionControl::Block).await?;
            tokio::spawn(async move {
                stage.started().await;
                let payload = ZBytes::from(vec![b'x'; task.size]);
                loop {
                    if let Err(error) = publisher.put(payload.clone()).await {
                        give_up(&error.to_string());
                    }
                    stage.add(1);
                    if session.is_closed() {
                        give_up("the session is closed");
                    }
                }
            });
        }
        Role::Subscribe => {
            let mut sessions = Vec::new();
            for _ in 0..task.subscribers {
                let session = open(&task, mode(&task), false).await?;
                let (stage, size) = (stage.clone(), task.size);
                let subscriber = session.declare_subscriber(KEY).callback(move |sample| {
                    if sample.payload().len() != size {
                        give_up("a message is not what was sent");
                    }
                    stage.add(1);
                });
                sessions.push((subscriber.await?, session));
            }
            tokio::spawn(async move {
                std::future::pending::<()>().await;
                drop(sessions);
            });
        }
        Role::Pong => {
            let session = open(&task, "peer", true).await?;
            let publisher = session.declare_publisher("pong");
            let publisher = publisher.congestion_control(CongestionControl::Block);
            let publisher = publisher.express(true).await?;
            let (sender, mut pings) = mpsc::unbounded_channel();
            let subscriber = session.declare_subscriber("ping").callback(move |sample| {
                // The receiver lives as long as this.
                let _ = sender.send(sample.payload().clone());
            });
            let subscriber = subscriber.await?;
            tokio::spawn(async move {
                while let Some(ping) = pings.recv().await {
                    if let Err(error) = publisher.put(ping).await {
                        give_up(&error.to_string());
                    }
                }
                drop((subscriber, session));
            });
        }
        Role::Ping => {
            let session = open(&task, "peer", false).await?;
            let publisher = session.declare_publisher("ping");
            let publisher = publisher.congestion_control(CongestionControl::Block);
            let publisher = publisher.express(true).await?;
            let (sender, mut pongs) = mpsc::unbounded_channel();
            let subscriber = session.declare_subscriber("pong").callback(move |sample| {
                let _ = sender.send(sample.payload().len());
            });
            let subscriber = subscriber.await?;
            tokio::spawn(async move {
                let payload = ZBytes::from(vec![b'x'; task.size]);
                loop {
                    stage.pinging().await;
                    let began = Instant::now();
                    if let Err(error) = publisher.put(payload.clone()).await {
                        give_up(&error.to_string());
                    }
                    // The first ones may go before the other side has heard of the subscription.
                    let patience = std::time::Duration::from_secs(1);
                    match tokio::time::timeout(patience, pongs.recv()).await {
                        Ok(Some(_)) => stage.note(began.elapsed()),
                        Ok(None) => break,
                        Err(_) => {}
                    }
                }
                drop((subscriber, session));
            });
        }
    }
    Ok(())
}

/// A router does not pass on what peers send each other.
fn mode(task: &Task) -> &'static str {
    if task.router { "client" } else { "peer" }
}

async fn open(task: &Task, mode: &str, listen: bool) -> Result<Session> {
    let mut config = Config::default();
    let endpoint = format!("[\"tcp/{}\"]", task.at);
    let key = if listen { "listen/endpoints" } else { "connect/endpoints" };
    config.insert_json5("mode", &format!("\"{mode}\""))?;
    config.insert_json5("scouting/multicast/enabled", "false")?;
    config.insert_json5(key, &endpoint)?;
    if !listen {
        config.insert_json5("listen/endpoints", "[]")?;
    }
    zenoh::open(config).await
}
