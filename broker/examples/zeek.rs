//! Peers with a Zeek, shows its events, and sends it one of its own.
//!
//! ```console
//! $ cargo run --example zeek -- tls://127.0.0.1:9999
//! ```
//!
//! A Zeek that listens with `Broker::listen("127.0.0.1", 9999/tcp)` and has nothing else configured
//! speaks TLS without certificates, which `tls://` without options does as well. With `redef
//! Broker::disable_ssl = T` it is `tcp://`. The Zeek gets the event `hello_from_rust(who: string,
//! count: count)` on the topic `/rust/hello`, if it has subscribed to that.

use broker::data::zeek::ZeekEvent;
use broker::event::Event;
use broker::{Endpoint, Retry};
use std::error::Error;
use std::time::Duration;

/// Prints the events of Zeek below `prefix` until there were `most`, and returns their names.
pub async fn run(
    url: &str,
    prefix: &str,
    most: usize,
) -> Result<Vec<String>, Box<dyn Error + Send + Sync>> {
    let endpoint = broker::builder().build()?;
    // Zeek learns of this with the handshake: what is subscribed first misses nothing.
    let mut messages = endpoint.subscribe(prefix);
    tokio::spawn(report(endpoint.clone()));

    // Waits for the first success. The peering is made again after a loss, too.
    let zeek = endpoint.peer(url, Retry::every(Duration::from_secs(1))).await?;
    println!("peered with {zeek}");
    let event = ZeekEvent::new("hello_from_rust").arg("example").arg(1_u64);
    endpoint.publish("/rust/hello", &event).await?;

    let mut names = Vec::new();
    while names.len() < most {
        let Some(message) = messages.recv().await else { break };
        match message.event() {
            Ok(event) => {
                println!("{}: {}{}", message.topic(), event.name(), event.args());
                names.push(event.name().to_string());
            }
            // Logs, and whatever else is published that is no event.
            Err(_) => println!("{}: {}", message.topic(), message.view()),
        }
    }
    endpoint.shutdown().await;
    Ok(names)
}

/// Says what happens to the peering.
async fn report(endpoint: Endpoint) {
    let mut events = endpoint.events();
    drop(endpoint);
    while let Some(event) = events.next().await {
        match event {
            Event::Status(_) | Event::Error(_) => eprintln!("{event}"),
            _ => {}
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "tls://127.0.0.1:9999".to_owned());
    run(&url, "", usize::MAX).await?;
    Ok(())
}
