use super::stage::{Stage, next};
use crate::failure::Failure;
use broker::{Config, OverflowPolicy, SubscriberOptions, SubscriberPolicy, Url};
use std::num::NonZeroUsize;

/// How many messages are published, more than fit between the two.
const MESSAGES: u64 = 4000;

/// Bytes that make a message large.
const BALLAST: usize = 1024;

/// A reader that does not keep up costs messages of its own, exactly counted, and not the peering.
pub(super) async fn a_slow_reader(stage: &mut Stage) -> Result<(), Failure> {
    stage.step("A publisher in a hurry, and a reader that sleeps through most of it");
    let mut config = Config { overflow_policy: OverflowPolicy::DropOldest, ..Config::default() };
    config.limits.outbox_messages = const { NonZeroUsize::new(64).unwrap() };
    let mut hasty = stage.enter("hasty", config)?;
    let mut sleepy = stage.enter("sleepy", Config::default())?;
    let options =
        SubscriberOptions { messages: Some(16), bytes: None, policy: SubscriberPolicy::Wait };
    let mut subscriber = sleepy.endpoint.subscribe_with(["/demo/flood"], options);
    let bound = sleepy.endpoint.listen(&Url::new("mem", "sleepy", 0)).await;
    let bound = bound.map_err(|error| Failure::listening(&error))?;
    hasty.peer(stage, &bound).await?;
    sleepy.hear(stage, "peer_added").await?;

    let ballast = vec![b'.'; BALLAST];
    for number in 1..=MESSAGES {
        let value = (number, ballast.as_slice());
        let published = hasty.endpoint.publish("/demo/flood", &value).await;
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
    let stats = hasty.endpoint.peering_stats();
    let dropped = stats.get(&sleepy.endpoint.id()).map_or(0, |stats| stats.dropped);
    stage.count(MESSAGES, received, dropped);
    stage.check(
        in_order && received + dropped == MESSAGES,
        format!(
            "{MESSAGES} sent, {received} received in order, {dropped} dropped, none unaccounted for"
        ),
    );
    stage.check(dropped > 0 && !stats.is_empty(), "some were dropped, and the peering has held");
    hasty.leave(stage).await?;
    sleepy.leave(stage).await
}
