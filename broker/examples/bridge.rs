//! Carries messages from one overlay to another, under topics of its own there.
//!
//! ```console
//! $ cargo run --example bridge -- tcp://10.1.0.1:9999 tcp://10.2.0.1:9999
//! ```
//!
//! What is published on `zeek/…` in the first overlay appears on `site-a/zeek/…` in the second. The
//! two do not become one: each has an endpoint of its own here, and nothing passes but this. For
//! ZeroMQ, NATS and the JSON API there are bridges that are done: see `docs/bridges.md`.

use broker::data::Value;
use broker::{Endpoint, Retry};
use std::error::Error;
use std::time::Duration;

/// An endpoint in one overlay.
async fn join(url: &str) -> Result<Endpoint, Box<dyn Error + Send + Sync>> {
    let endpoint = broker::builder().forwarding(false).build()?;
    endpoint.peer(url, Retry::every(Duration::from_secs(1))).await?;
    Ok(endpoint)
}

/// Carries what is below `prefix` until one of the endpoints shuts down.
pub async fn carry(from: &Endpoint, to: &Endpoint, prefix: &str, site: &str) {
    let mut messages = from.subscribe(prefix);
    // Messages in a batch are walked without an allocation for each.
    while let Some(batch) = messages.recv_batch().await {
        let renamed = batch.filter_map(|message| {
            let topic = format!("{site}/{}", message.topic());
            let value: Value = message.data().ok()?;
            Some((topic, value))
        });
        if to.publish_batch(renamed.collect::<Vec<_>>()).await.is_err() {
            return;
        }
    }
}

/// Joins the two overlays and carries messages between them.
pub async fn run(from: &str, to: &str) -> Result<(), Box<dyn Error + Send + Sync>> {
    let (from, to) = (join(from).await?, join(to).await?);
    println!("carrying zeek/ as site-a/zeek/");
    carry(&from, &to, "zeek/", "site-a").await;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut urls = std::env::args().skip(1);
    let (Some(from), Some(to)) = (urls.next(), urls.next()) else {
        return Err("usage: bridge FROM-URL TO-URL".into());
    };
    run(&from, &to).await
}
