//! A subscriber that keeps up at a million messages per second, and a publisher that is that fast.
//!
//! ```console
//! $ cargo run --release --example keeping_up
//! ```
//!
//! Batches make the difference: `feed` encodes into a segment that `flush` hands over as a whole,
//! and `recv_batch` walks what has arrived without an allocation or a wake-up for each message. The
//! policy `Wait` has the publisher wait for the subscriber, so nothing is lost.

use broker::{OverflowPolicy, Retry};
use std::error::Error;
use std::time::Instant;

/// What a subscriber has seen.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// How many messages.
    pub messages: u64,
    /// The sum of the numbers in them.
    pub sum: u64,
}

/// Publishes the numbers from 1 to `count`, and returns what has arrived of them.
pub async fn run(count: u64) -> Result<Seen, Box<dyn Error>> {
    let publishing = broker::builder().overflow_policy(OverflowPolicy::Wait).build()?;
    let receiving = broker::builder().build()?;
    let mut numbers = receiving.subscribe("/numbers");
    let url = receiving.listen("tcp://127.0.0.1:0").await?;
    publishing.peer(url, Retry::never()).await?;

    let publisher = tokio::spawn(async move {
        let mut publisher = publishing.publisher("/numbers");
        for number in 1..=count {
            publisher.feed(&number).await?;
        }
        publisher.flush().await?;
        // Returns the endpoint: with its last clone it would end before everything is sent.
        Ok::<_, broker::PublishError>(publishing)
    });

    let mut seen = Seen::default();
    while seen.messages < count {
        let Some(batch) = numbers.recv_batch().await else { break };
        for message in batch {
            seen.messages += 1;
            seen.sum += message.view().as_count().unwrap_or_default();
        }
    }
    publisher.await??.shutdown().await;
    Ok(seen)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let count = 5_000_000;
    let began = Instant::now();
    let seen = run(count).await?;
    let rate = seen.messages as f64 / began.elapsed().as_secs_f64();
    println!("{} of {count} messages, {rate:.0} per second", seen.messages);
    Ok(())
}
