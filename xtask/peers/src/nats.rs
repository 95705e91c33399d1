//! NATS. Its server drops messages for subscribers that are slow, so publishers wait for
//! acknowledgements, as the publishers of ours do where a hub is in the middle.

use crate::{Result, Role, Stage, Task, give_up};
use async_nats::{Client, ConnectOptions};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use std::time::Instant;

const SUBJECT: &str = "bench";
const ACKNOWLEDGE: &str = "acknowledge";

/// More than ever are under way.
const CAPACITY: usize = 64 * 1024;

pub(crate) async fn begin(task: Task, stage: Stage) -> Result<()> {
    match task.role {
        Role::Publish => {
            let client = connect(&task).await?;
            let mut acknowledged = client.subscribe(format!("{ACKNOWLEDGE}.*")).await?;
            client.flush().await?;
            tokio::spawn(async move {
                stage.started().await;
                let payload = Bytes::from(vec![b'x'; task.size]);
                let mut received = vec![0; task.subscribers];
                let mut published = 0_u64;
                loop {
                    let slowest = received.iter().min().copied().unwrap_or(0);
                    if published >= slowest + task.in_flight {
                        if let Err(error) = client.flush().await {
                            give_up(&error.to_string());
                        }
                        let Some(message) = acknowledged.next().await else {
                            give_up("the server is gone")
                        };
                        note(&mut received, &message);
                        while let Some(Some(message)) = acknowledged.next().now_or_never() {
                            note(&mut received, &message);
                        }
                        continue;
                    }
                    if let Err(error) = client.publish(SUBJECT, payload.clone()).await {
                        give_up(&error.to_string());
                    }
                    published += 1;
                    stage.add(1);
                }
            });
        }
        Role::Subscribe => {
            for number in 0..task.subscribers {
                let client = connect(&task).await?;
                let mut messages = client.subscribe(SUBJECT).await?;
                client.flush().await?;
                let (task, stage) = (task.clone(), stage.clone());
                tokio::spawn(async move {
                    let every = (task.in_flight / 4).max(1);
                    let subject = format!("{ACKNOWLEDGE}.{number}");
                    let mut count = 0_u64;
                    while let Some(message) = messages.next().await {
                        if message.payload.len() != task.size {
                            give_up("a message is not what was sent");
                        }
                        count += 1;
                        stage.add(1);
                        if count.is_multiple_of(every) {
                            let payload = Bytes::copy_from_slice(&count.to_be_bytes());
                            if let Err(error) = client.publish(subject.clone(), payload).await {
                                give_up(&error.to_string());
                            }
                        }
                    }
                });
            }
        }
        Role::Pong => {
            let client = connect(&task).await?;
            let mut pings = client.subscribe("ping").await?;
            client.flush().await?;
            tokio::spawn(async move {
                while let Some(ping) = pings.next().await {
                    let sent = client.publish("pong", ping.payload).await;
                    if sent.is_err() || client.flush().await.is_err() {
                        give_up("the server is gone");
                    }
                }
            });
        }
        Role::Ping => {
            let client = connect(&task).await?;
            let mut pongs = client.subscribe("pong").await?;
            client.flush().await?;
            tokio::spawn(async move {
                let payload = Bytes::from(vec![b'x'; task.size]);
                loop {
                    stage.pinging().await;
                    let began = Instant::now();
                    let sent = client.publish("ping", payload.clone()).await;
                    if sent.is_err() || pongs.next().await.is_none() {
                        give_up("the server is gone");
                    }
                    stage.note(began.elapsed());
                }
            });
        }
        Role::Router => return Err("NATS has a server of its own".into()),
    }
    Ok(())
}

async fn connect(task: &Task) -> Result<Client> {
    let options = ConnectOptions::new().subscription_capacity(CAPACITY);
    Ok(options.connect(format!("nats://{}", task.at)).await?)
}

/// Notes how far a subscriber is.
fn note(received: &mut [u64], message: &async_nats::Message) {
    let number = message.subject.rsplit_once('.').and_then(|(_, number)| number.parse().ok());
    let count = message.payload.first_chunk().map(|count| u64::from_be_bytes(*count));
    let place = number.and_then(|number: usize| received.get_mut(number));
    if let (Some(place), Some(count)) = (place, count) {
        *place = count;
    }
}
