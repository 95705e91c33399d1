//! A hub: accepts peers, passes messages on between them, and says who is there.
//!
//! ```console
//! $ cargo run --example hub -- tcp://127.0.0.1:9999 tls://127.0.0.1:9998
//! ```
//!
//! `broker-cli node` is the one to run. This shows what a program has to do that wants to be one.

use broker::event::Event;
use broker::{Endpoint, OverflowPolicy};
use std::error::Error;

/// A hub that listens at all these addresses. It runs until its last clone is dropped or
/// [`Endpoint::shutdown`] is called.
pub async fn start(addresses: &[String]) -> Result<Endpoint, Box<dyn Error>> {
    // Who reads too slowly loses the oldest messages, and does not hold up the others.
    let hub = broker::builder().overflow_policy(OverflowPolicy::DropOldest).build()?;
    for address in addresses {
        let url = hub.listen(address.as_str()).await?;
        println!("listening on {url}");
    }
    // Peers of version 2 tell what is wanted behind them. One of version 1, like a C++ Broker, is
    // asked for what others want from it; this asks it for these in any case.
    hub.forward("zeek/")?;
    Ok(hub)
}

/// Prints what happens at the hub until it has shut down.
pub async fn report(hub: Endpoint) {
    let mut events = hub.events();
    while let Some(event) = events.next().await {
        if let Event::Status(_) = event {
            println!("{event}; {} peers", hub.peer_count());
        } else {
            eprintln!("{event}");
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut addresses: Vec<String> = std::env::args().skip(1).collect();
    if addresses.is_empty() {
        addresses.push("tcp://127.0.0.1:9999".to_owned());
    }
    let hub = start(&addresses).await?;
    let reporting = tokio::spawn(report(hub.clone()));
    tokio::signal::ctrl_c().await?;
    for (id, stats) in hub.peering_stats() {
        println!("{id}: {} delivered, {} dropped", stats.delivered, stats.dropped);
    }
    // Says bye to the peers, and waits a bounded time for what is still queued.
    hub.shutdown().await;
    reporting.await?;
    Ok(())
}
