use super::answers::{code, error_frame};
use super::exchange::Exchange;
use super::queue::{Interrupt, Outgoing};
use crate::framing::{CloseCode, Framing, Received, Violation, ping_frame};
use crate::stream::{ReadHalf, receive};
use broker_core::data::json::{JsonErrorClass, JsonReader};
use broker_core::data::{DecodeLimits, View};
use broker_core::endpoint::ClientCounters;
use broker_core::transport::Evicted;
use broker_core::{EndpointId, Rights, is_internal};
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};

/// Capacity above which the buffer for a decoded message is not kept for the next one.
const PAYLOAD_KEPT: usize = 16 * 1024;

/// Why the session of a client is over.
#[derive(Debug)]
pub(super) enum End {
    /// Its subscriptions were refused, and why.
    Refused(String),
    /// The client closed, and its Close frame has been answered.
    Closed(CloseCode, String),
    /// The connection is gone.
    Gone(String),
    /// The client broke a rule.
    Violation(Violation),
    /// The client gave no sign of life.
    Silent,
    Interrupted(Interrupt),
    /// The connection has to give way to others.
    Evicted(Evicted),
    /// The client has to give way to those from other addresses.
    TooMany,
}

/// The receiving half of a client's session.
pub(super) struct Input<'a> {
    pub(super) id: EndpointId,
    pub(super) reader: ReadHalf,
    pub(super) framing: Framing,
    pub(super) queue: &'a Outgoing,
    pub(super) exchange: &'a Arc<Exchange>,
    pub(super) counters: &'a ClientCounters,
    pub(super) rights: Rights,
    /// The deepest nesting of a value.
    pub(super) depth: usize,
    pub(super) ping_interval: Duration,
    /// How long a message may take from its first byte to its last; zero is forever.
    pub(super) message_time: Duration,
    /// Since when a message is being received.
    pub(super) unfinished_since: Option<Instant>,
    /// Messages received after the subscriptions.
    pub(super) number: u64,
    pub(super) payload: Vec<u8>,
}

impl Input<'_> {
    /// Receives until the session is over, and says why it is.
    pub(super) async fn run(&mut self) -> End {
        let queue = self.queue;
        tokio::select! {
            biased;
            why = queue.interrupted() => End::Interrupted(why),
            end = self.receive() => end,
        }
    }

    async fn receive(&mut self) -> End {
        let mut asked = false;
        loop {
            match self.handle_received().await {
                Ok(()) => {}
                Err(end) => return end,
            }
            let unfinished = self.message_deadline();
            if unfinished.is_some_and(|deadline| deadline <= Instant::now()) {
                let seconds = self.message_time.as_secs_f64();
                let reason = format!("a message took longer than {seconds} s");
                return End::Violation(Violation::new(CloseCode::POLICY, reason));
            }
            let silent =
                (!self.ping_interval.is_zero()).then(|| Instant::now() + self.ping_interval);
            let framing = &mut self.framing;
            let received = receive(&mut self.reader, |bytes| framing.push(bytes));
            let outcome = match silent.into_iter().chain(unfinished).min() {
                None => Ok(received.await),
                Some(limit) => timeout_at(limit, received).await,
            };
            match outcome {
                Ok(Ok(0)) => self.framing.end(),
                Ok(Ok(_)) => asked = false,
                Ok(Err(error)) => return End::Gone(error.to_string()),
                Err(_) if silent.is_none_or(|limit| Instant::now() < limit) => {}
                Err(_) if asked => return End::Silent,
                Err(_) => {
                    asked = true;
                    self.queue.answer(&ping_frame());
                }
            }
        }
    }

    /// When the message that is being received has to be complete.
    fn message_deadline(&mut self) -> Option<Instant> {
        if self.framing.is_at_rest() || self.message_time.is_zero() {
            self.unfinished_since = None;
            return None;
        }
        let since = *self.unfinished_since.get_or_insert_with(Instant::now);
        Some(since + self.message_time)
    }

    /// Handles everything that has arrived.
    async fn handle_received(&mut self) -> Result<(), End> {
        loop {
            let received = self.framing.next();
            if matches!(received, Ok(Some(Received::Text(_) | Received::Binary(_)))) {
                self.unfinished_since = None;
            }
            match received {
                Ok(None) => return Ok(()),
                Ok(Some(Received::Text(text))) => self.handle(text.as_bytes()).await?,
                Ok(Some(Received::Binary(bytes))) => self.handle(&bytes).await?,
                Ok(Some(Received::SignOfLife | Received::Pong(_))) => {
                    let pong = std::mem::take(self.framing.output());
                    self.answer(&pong).await?;
                }
                // The answer stays in the output of the framing.
                Ok(Some(Received::Close(code, reason))) => return Err(End::Closed(code, reason)),
                Ok(Some(Received::Ended)) => {
                    return Err(End::Gone("the connection ended without a Close frame".to_owned()));
                }
                Err(violation) => return Err(End::Violation(violation)),
            }
        }
    }

    /// Queues an answer. A client that does not read its answers is not read from either; if that
    /// takes long it counts as silent.
    async fn answer(&mut self, bytes: &[u8]) -> Result<(), End> {
        if bytes.is_empty() {
            return Ok(());
        }
        let patience =
            if self.ping_interval.is_zero() { Duration::MAX } else { self.ping_interval };
        if timeout(patience, self.queue.room_for_answers()).await.is_err() {
            return Err(End::Silent);
        }
        self.queue.answer(bytes);
        Ok(())
    }

    /// Publishes what a message of the client says, or tells it why not.
    async fn handle(&mut self, text: &[u8]) -> Result<(), End> {
        self.number += 1;
        let mut payload = std::mem::take(&mut self.payload);
        payload.clear();
        let outcome = self.publish(text, &mut payload).await;
        if payload.capacity() <= PAYLOAD_KEPT {
            self.payload = payload;
        }
        match outcome {
            Ok(()) => {
                self.counters.messages_in.fetch_add(1, Relaxed);
                Ok(())
            }
            Err(Refusal { code, what }) => {
                self.counters.refused.fetch_add(1, Relaxed);
                let context = format!("input #{} {what}", self.number);
                self.answer(&error_frame(code, &context)).await
            }
        }
    }

    async fn publish(&self, text: &[u8], payload: &mut Vec<u8>) -> Result<(), Refusal> {
        let limits = DecodeLimits { max_depth: self.depth };
        let topic = decode(text, limits, payload)?;
        if is_internal(&topic) || !self.rights.may_publish(&topic) {
            let topic = String::from_utf8_lossy(&topic);
            let what = format!("may not be published by this client on the topic {topic:?}");
            return Err(Refusal { code: code::PERMISSION, what });
        }
        let value = View::parse_with(payload, limits).map_err(|error| Refusal {
            code: code::DESERIALIZATION,
            what: format!("caused an internal error -> {error}"),
        })?;
        self.exchange.sender().publish(&topic, &value).await.map_err(|error| Refusal {
            code: code::PUBLISH,
            what: format!("cannot be published: {error}"),
        })?;
        self.exchange.deliver(&topic, value, self.id);
        Ok(())
    }
}

/// Why a message is not published.
struct Refusal {
    code: &'static str,
    /// Follows "input #N".
    what: String,
}

/// Reads a data message. Some clients leave `type` out; a topic there has to be, which may be
/// empty.
fn decode<'a>(
    text: &'a [u8],
    limits: DecodeLimits,
    payload: &mut Vec<u8>,
) -> Result<Cow<'a, [u8]>, Refusal> {
    let reader = JsonReader { limits, require_type: false, require_topic: false };
    reader.message_into(text, payload).map_err(|error| {
        let what = match error.class() {
            JsonErrorClass::InvalidJson => format!("contained malformed JSON -> {error}"),
            _ if !is_object(text) => "expected a JSON object".to_owned(),
            _ => format!("contained invalid data -> {error}"),
        };
        Refusal { code: code::DESERIALIZATION, what }
    })
}

fn is_object(text: &[u8]) -> bool {
    text.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{')
}
