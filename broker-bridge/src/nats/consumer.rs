//! Receiving from a stream, through a durable consumer.

use crate::nats::options::NatsOptions;
use async_nats::Subject;
use async_nats::jetstream::consumer::pull;
use async_nats::jetstream::consumer::{AckPolicy, Consumer, DeliverPolicy};
use async_nats::jetstream::stream::Stream;
use futures_core::Stream as _;
use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::sleep;

/// How long the server waits for an acknowledgement before it delivers a message again.
const ACK_WAIT: Duration = Duration::from_secs(5);
/// Messages that are delivered and not acknowledged.
const PENDING: i64 = 1024;
/// As many at once are asked for.
const BATCH: usize = 256;
/// A server that is silent for two of these is gone.
const HEARTBEAT: Duration = Duration::from_secs(3);
/// As many writers are remembered.
const WRITERS: usize = 4096;

/// A message of a stream.
pub(crate) struct Delivery {
    pub(crate) message: async_nats::Message,
    /// Where it is acknowledged.
    pub(crate) reply: Subject,
    /// Its number in the stream.
    pub(crate) sequence: u64,
    /// Which stream that is, also if another one of the name takes its place.
    pub(crate) stream: Arc<str>,
}

/// Which messages of a stream have been delivered before. A server delivers a message again that it
/// has no acknowledgement of, and a stream can have one twice if its sender was away for long.
#[derive(Default)]
pub(crate) struct Seen {
    stream: Option<Arc<str>>,
    sequence: u64,
    /// The number of the last message of each writer.
    writers: HashMap<String, u64>,
}

impl Seen {
    /// Notes a message. Returns whether it is new.
    pub(crate) fn note(&mut self, delivery: &Delivery) -> bool {
        let id = delivery.message.headers.as_ref().and_then(|headers| {
            let id = headers.get(super::parcel::MESSAGE_ID)?.as_str();
            let (writer, number) = id.rsplit_once('-')?;
            Some((writer, number.parse().ok()?))
        });
        self.note_numbers(&delivery.stream, delivery.sequence, id)
    }

    fn note_numbers(&mut self, stream: &Arc<str>, sequence: u64, id: Option<(&str, u64)>) -> bool {
        if self.stream.as_ref() != Some(stream) {
            *self = Self { stream: Some(Arc::clone(stream)), ..Self::default() };
        }
        if sequence <= self.sequence {
            return false;
        }
        self.sequence = sequence;
        let Some((writer, number)) = id else { return true };
        if self.writers.get(writer).is_some_and(|last| number <= *last) {
            return false;
        }
        if self.writers.len() >= WRITERS {
            self.writers.clear();
        }
        self.writers.insert(writer.to_owned(), number);
        true
    }
}

/// Receives until the connection or the consumer is gone, and says why.
///
/// What was delivered on a connection before and not acknowledged comes first, so that the order is
/// kept: a server delivers these after a while, and nothing is asked for until then.
pub(crate) async fn receive(
    stream: Stream,
    durable: String,
    options: Arc<NatsOptions>,
    deliveries: mpsc::Sender<Delivery>,
) -> String {
    match try_receive(stream, durable, options, deliveries).await {
        Ok(()) => "the consumer has ended".to_owned(),
        Err(error) => format!("the consumer: {error}"),
    }
}

async fn try_receive(
    stream: Stream,
    durable: String,
    options: Arc<NatsOptions>,
    deliveries: mpsc::Sender<Delivery>,
) -> Result<(), async_nats::Error> {
    let created: Arc<str> = format!("{:?}", stream.cached_info().created).into();
    let consumer = consumer(&stream, &durable, &options).await?;
    let info = consumer.cached_info();
    if info.num_ack_pending > 0 {
        sleep(info.config.ack_wait + Duration::from_millis(500)).await;
    }
    let pull = consumer.stream().max_messages_per_batch(BATCH).heartbeat(HEARTBEAT);
    let mut messages = pull.messages().await?;
    loop {
        let Ok(slot) = deliveries.reserve().await else { return Ok(()) };
        let next = poll_fn(|context| Pin::new(&mut messages).poll_next(context)).await;
        let Some(message) = next else { return Ok(()) };
        let message = message?;
        let sequence = message.info()?.stream_sequence;
        let message = message.message;
        if let Some(reply) = message.reply.clone() {
            let stream = Arc::clone(&created);
            slot.send(Delivery { message, reply, sequence, stream });
        }
    }
}

async fn consumer(
    stream: &Stream,
    durable: &str,
    options: &NatsOptions,
) -> Result<Consumer<pull::Config>, async_nats::Error> {
    let config = pull::Config {
        durable_name: Some(durable.to_owned()),
        deliver_policy: DeliverPolicy::All,
        ack_policy: AckPolicy::Explicit,
        ack_wait: ACK_WAIT,
        max_ack_pending: PENDING,
        filter_subjects: options.subjects.exact(options.from.as_deref().unwrap_or_default()),
        num_replicas: 0,
        ..pull::Config::default()
    };
    let found: Consumer<pull::Config> =
        stream.get_or_create_consumer(durable, config.clone()).await?;
    let has = &found.cached_info().config;
    let mut filters = has.filter_subjects.clone();
    if !has.filter_subject.is_empty() {
        filters.push(has.filter_subject.clone());
    }
    filters.sort();
    if filters == config.filter_subjects {
        return Ok(found);
    }
    // The topics of the address have changed; where it stopped is kept.
    Ok(stream.create_consumer(config).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_new_once() {
        let (one, two): (Arc<str>, Arc<str>) = ("one".into(), "two".into());
        let mut seen = Seen::default();
        for (stream, sequence, id, expected) in [
            (&one, 1, None, true),
            (&one, 1, None, false),
            (&one, 2, Some(("w", 0)), true),
            (&one, 3, Some(("w", 1)), true),
            // Delivered again, and in the stream twice.
            (&one, 2, Some(("w", 0)), false),
            (&one, 4, Some(("w", 1)), false),
            (&one, 5, Some(("v", 1)), true),
            (&one, 9, Some(("w", 7)), true),
            // The stream was deleted and made again.
            (&two, 1, Some(("w", 0)), true),
        ] {
            assert_eq!(seen.note_numbers(stream, sequence, id), expected, "{sequence} {id:?}");
        }
    }
}
