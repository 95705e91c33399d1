use super::transcript::{Transcript, next};
use crate::failure::Failure;
use broker::{Address, Config, OverflowPolicy, SubscriberOptions, SubscriberPolicy};
use std::num::NonZeroUsize;

/// How many messages are published, more than fit between the two.
const MESSAGES: u64 = 4000;

/// Bytes that are added to each message.
const PADDING: usize = 1024;

/// A reader that does not keep up loses messages, exactly counted, and not the peering.
pub(super) async fn a_slow_reader(transcript: &mut Transcript) -> Result<(), Failure> {
    transcript.step("A publisher in a hurry, and a reader that sleeps through most of it");
    let mut config = Config { overflow_policy: OverflowPolicy::DropOldest, ..Config::default() };
    config.limits.outbox_messages = const { NonZeroUsize::new(64).unwrap() };
    let mut publisher = transcript.start("publisher", config)?;
    let mut reader = transcript.start("reader", Config::default())?;
    let options =
        SubscriberOptions { messages: Some(16), bytes: None, policy: SubscriberPolicy::Wait };
    let mut subscriber = reader.endpoint.subscribe_with(["/demo/flood"], options);
    let bound = reader.endpoint.listen(Address::new("mem", "reader", 0)).await;
    let bound = bound.map_err(|error| Failure::listening(&error))?;
    publisher.peer(transcript, &bound).await?;
    reader.wait_for(transcript, "peer_added").await?;

    let padding = vec![b'.'; PADDING];
    for number in 1..=MESSAGES {
        let value = (number, padding.as_slice());
        let published = publisher.endpoint.publish("/demo/flood", &value).await;
        published.map_err(|error| Failure::other(format!("publishing: {error}")))?;
    }

    // The newest one is never dropped.
    let (mut received, mut last, mut in_order) = (0, 0, true);
    while last < MESSAGES {
        let message = next(&mut subscriber).await?;
        let number = message.view().get(0).and_then(|number| number.as_count()).unwrap_or(0);
        in_order &= number > last;
        last = number.max(last + 1);
        received += 1;
    }
    let stats = publisher.endpoint.peering_stats();
    let dropped = stats.get(&reader.endpoint.id()).map_or(0, |stats| stats.dropped);
    transcript.count(MESSAGES, received, dropped);
    transcript.check(
        in_order && received + dropped == MESSAGES,
        format!(
            "{MESSAGES} sent, {received} received in order, {dropped} dropped, none unaccounted for"
        ),
    );
    transcript
        .check(dropped > 0 && !stats.is_empty(), "some were dropped, and the peering has held");
    publisher.shut_down(transcript).await?;
    reader.shut_down(transcript).await
}
