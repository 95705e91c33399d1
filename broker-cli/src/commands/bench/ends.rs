//! The two ends of a measurement: who publishes, and who receives.

use crate::commands::times::Sample;
use broker::data::{Encode, Timestamp, View};
use broker::{Endpoint, PublishError, Subscriber};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// How often it is tried whether messages arrive already.
const GREETING: Duration = Duration::from_millis(20);

/// With a rate, messages that are due within this time are published together.
const TICK: Duration = Duration::from_millis(1);

/// What is published, and for how long.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) topic: String,
    /// What makes a message as long as it should be.
    pub(super) padding: String,
    /// The time from one message to the next; `None` is as fast as it goes.
    pub(super) every: Option<Duration>,
    pub(super) duration: Duration,
    pub(super) count: u64,
    /// Tells the messages of this measurement from others on the same topic.
    pub(super) run: u64,
}

impl Plan {
    /// The padding for messages with so many bytes of payload, or none if they are longer anyhow.
    pub(super) fn padding(size: usize) -> String {
        "x".repeat(size.saturating_sub(least()))
    }
}

/// The bytes of payload in a message without padding.
pub(super) fn least() -> usize {
    let mut payload = Vec::new();
    (0_u64, 0_u64, Timestamp(0), "").encode_into(&mut payload);
    payload.len()
}

/// What can be seen of a measurement while it goes on.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pub(super) published: AtomicU64,
    pub(super) received: AtomicU64,
    /// Whether anything of this measurement has arrived.
    pub(super) has_arrived: AtomicBool,
}

/// What was published, and in which time.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) count: u64,
    pub(super) begun: Instant,
}

/// Publishes messages that are nothing but a greeting until one has arrived. Cancel safe.
pub(super) async fn greet(
    endpoint: &Endpoint,
    plan: &Plan,
    progress: &Progress,
) -> Result<(), PublishError> {
    while !progress.has_arrived.load(Ordering::Relaxed) {
        endpoint.publish(&plan.topic, &(plan.run,)).await?;
        sleep(GREETING).await;
    }
    Ok(())
}

/// Publishes everything, and then how much it was.
pub(super) async fn publish(
    endpoint: Endpoint,
    plan: Plan,
    progress: &Progress,
) -> Result<Sent, PublishError> {
    let mut publisher = endpoint.publisher(&plan.topic);
    let begun = Instant::now();
    let mut count = 0;
    let padding = plan.padding.as_str();
    while count < plan.count && begun.elapsed() < plan.duration {
        let due = match plan.every {
            // Between two looks at the clock.
            None => count + 256,
            Some(every) => {
                let passed = begun.elapsed().as_nanos() / every.as_nanos().max(1);
                u64::try_from(passed).unwrap_or(u64::MAX).saturating_add(1)
            }
        };
        while count < due.min(plan.count) {
            let now = Timestamp::from(SystemTime::now());
            publisher.feed(&(plan.run, count, now, padding)).await?;
            count += 1;
        }
        progress.published.store(count, Ordering::Relaxed);
        if let Some(every) = plan.every {
            publisher.flush().await?;
            let next = every.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX));
            sleep_until((begun + next).max(Instant::now() + TICK)).await;
        }
    }
    publisher.flush().await?;
    endpoint.publish(&plan.topic, &(plan.run, count)).await?;
    Ok(Sent { count, begun })
}

/// What has been received.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) count: u64,
    /// How many there should be; `None` if nothing told.
    pub(super) total: Option<u64>,
    /// The greatest number that was seen, and one.
    pub(super) behind_last: u64,
    pub(super) bytes: u64,
    pub(super) latency: Sample,
    pub(super) begun: Instant,
    pub(super) ended: Instant,
}

/// What a message of a measurement is.
enum Content {
    Greeting,
    Numbered { number: u64, at: Timestamp },
    End { total: u64 },
}

fn content(view: View<'_>) -> Option<(u64, Content)> {
    let count = |at| view.get(at).and_then(|value| value.as_count());
    let content = match view.len() {
        1 => Content::Greeting,
        2 => Content::End { total: count(1)? },
        _ => Content::Numbered { number: count(1)?, at: view.get(2)?.as_timestamp()? },
    };
    Some((count(0)?, content))
}

/// Receives the messages of one measurement: the one that is named, or the first that is seen.
/// Ends with its last message, or when nothing has come for so long.
pub(super) async fn receive(
    mut subscriber: Subscriber,
    mut run: Option<u64>,
    silence: Duration,
    progress: &Progress,
) -> Received {
    let begun = Instant::now();
    let mut received = Received {
        count: 0,
        total: None,
        behind_last: 0,
        bytes: 0,
        latency: Sample::default(),
        begun,
        ended: begun,
    };
    loop {
        let limit = if run.is_some() { silence } else { Duration::MAX };
        let Ok(Some(messages)) = timeout(limit, subscriber.recv_batch()).await else {
            return received;
        };
        // They have arrived together.
        let (now, instant) = (Timestamp::from(SystemTime::now()), Instant::now());
        for message in messages {
            let Some((of, content)) = content(message.view()) else { continue };
            if *run.get_or_insert(of) != of {
                continue;
            }
            progress.has_arrived.store(true, Ordering::Relaxed);
            match content {
                Content::Greeting => {}
                Content::End { total } => {
                    received.total = Some(total);
                    return received;
                }
                Content::Numbered { number, at } => {
                    if received.count == 0 {
                        received.begun = instant;
                    }
                    received.ended = instant;
                    received.count += 1;
                    received.behind_last = received.behind_last.max(number.saturating_add(1));
                    received.bytes += message.payload().len() as u64;
                    let nanos = now.0.saturating_sub(at.0).max(0);
                    received.latency.add(Duration::from_nanos(nanos.unsigned_abs()));
                }
            }
        }
        progress.received.store(received.count, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use broker::core::transport::MemTransport;
    use broker::{SubscriberOptions, SubscriberPolicy};

    fn plan(every: Option<Duration>, count: u64) -> Plan {
        let (topic, padding) = ("/bench".to_owned(), Plan::padding(100));
        Plan { topic, padding, every, duration: Duration::MAX, count, run: 7 }
    }

    #[test]
    fn messages_are_as_long_as_they_should_be() {
        for size in [64, 100, 127] {
            let padding = Plan::padding(size);
            let mut payload = Vec::new();
            (7_u64, 1_u64, Timestamp(5), padding.as_str()).encode_into(&mut payload);
            assert_eq!(payload.len(), size);
        }
        assert_eq!(Plan::padding(0), "");
    }

    /// A publisher, and a subscriber that it is peered with.
    async fn ends() -> (Endpoint, Endpoint, Subscriber) {
        let network = MemTransport::new();
        let build = || Endpoint::builder().transport(network.clone()).build().unwrap();
        let (publisher, there) = (build(), build());
        let options = SubscriberOptions::with_policy(SubscriberPolicy::Wait);
        let subscriber = there.try_subscribe(["/bench"], options).unwrap();
        let url = there.listen("mem://there:1").await.unwrap();
        publisher.peer(url, broker::Retry::never()).await.unwrap();
        (publisher, there, subscriber)
    }

    #[tokio::test]
    async fn what_is_published_is_received_and_counted_and_other_messages_are_not() {
        let (publisher, _there, subscriber) = ends().await;
        let progress = Progress::default();
        let publishing = async {
            publisher.publish("/bench", "no message of a measurement").await.unwrap();
            greet(&publisher, &plan(None, 0), &progress).await.unwrap();
            let other = Plan { run: 8, ..plan(None, 10) };
            publish(publisher.clone(), other, &Progress::default()).await.unwrap();
            publish(publisher.clone(), plan(None, 5000), &progress).await.unwrap()
        };
        let silence = Duration::from_secs(30);
        let receiving = receive(subscriber, Some(7), silence, &progress);
        let (sent, received) = tokio::join!(publishing, receiving);
        assert_eq!((sent.count, received.count, received.total), (5000, 5000, Some(5000)));
        assert_eq!((received.behind_last, received.bytes), (5000, 500_000));
    }

    #[tokio::test(start_paused = true)]
    async fn with_a_rate_so_many_are_published_in_a_second() {
        let endpoint = Endpoint::builder().transport(MemTransport::new()).build().unwrap();
        let every = Some(Duration::from_micros(100));
        let duration = Duration::from_secs(2);
        let plan = Plan { duration, ..plan(every, u64::MAX) };
        let sent = publish(endpoint, plan, &Progress::default()).await.unwrap();
        assert!((19_900..=20_100).contains(&sent.count), "{}", sent.count);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_missing_at_the_end_is_seen_even_if_nobody_says_it_is_the_end() {
        let (publisher, _there, subscriber) = ends().await;
        for number in [0_u64, 1, 4] {
            publisher.publish("/bench", &(3_u64, number, Timestamp(0), "")).await.unwrap();
        }
        let progress = Progress::default();
        let received = receive(subscriber, None, Duration::from_secs(5), &progress).await;
        assert_eq!((received.count, received.total, received.behind_last), (3, None, 5));
    }
}
