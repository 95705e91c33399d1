//! Zeek's events as structures and tuples of serde, published and received.
//!
//! ```console
//! $ cargo run --example typed_events
//! ```
//!
//! In Zeek's scripts the event is
//!
//! ```text
//! type Login: record { user: string; from_host: addr; attempts: count; };
//! global failed_login: event(login: Login, took: interval);
//! ```

use broker::Retry;
use broker::data::zeek::ZeekEvent;
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::net::IpAddr;
use std::time::Duration;

/// A record of Zeek: its fields in the order of the script.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Login {
    /// `user: string`
    pub user: String,
    /// `from_host: addr`
    pub from_host: IpAddr,
    /// `attempts: count`
    pub attempts: u64,
}

/// Publishes at one endpoint, receives at another, and returns what came.
pub async fn run(login: Login, took: Duration) -> Result<(Login, Duration), Box<dyn Error>> {
    let (sensor, collector) = (broker::builder().build()?, broker::builder().build()?);
    let mut logins = collector.subscribe("/logins");
    let url = collector.listen("tcp://127.0.0.1:0").await?;
    sensor.peer(url, Retry::never()).await?;

    let event = ZeekEvent::with_args("failed_login", &(&login, took))?;
    sensor.publish("/logins", &event).await?;

    let message = logins.recv().await.ok_or("the endpoint has shut down")?;
    // A view of the bytes that came; nothing of it is copied until the arguments are.
    let event = message.event()?;
    println!("{}{}", event.name(), event.args());
    Ok(event.args_as()?)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let login = Login { user: "root".to_owned(), from_host: "10.0.0.7".parse()?, attempts: 3 };
    let (login, took) = run(login, Duration::from_millis(250)).await?;
    println!("{} failed {} times, after {took:?}", login.user, login.attempts);
    Ok(())
}
