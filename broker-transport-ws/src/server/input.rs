use super::answers::{code, error_frame};
use super::exchange::Exchange;
use super::queue::{Interrupt, Outgoing};
use crate::access::Rights;
use crate::framing::{CloseCode, Framing, Received, Violation, ping_frame};
use crate::stream::{ReadHalf, receive};
use broker_core::data::View;
use broker_core::data::json::{JsonErrorClass, JsonReader};
use broker_core::endpoint::ClientCounters;
use broker_core::{EndpointId, is_internal};
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::time::timeout;

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
    pub(super) ping_interval: Duration,
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
            let framing = &mut self.framing;
            let received = receive(&mut self.reader, |bytes| framing.push(bytes));
            let outcome = match self.ping_interval {
                Duration::ZERO => Ok(received.await),
                interval => timeout(interval, received).await,
            };
            match outcome {
                Ok(Ok(0)) => self.framing.end(),
                Ok(Ok(_)) => asked = false,
                Ok(Err(error)) => return End::Gone(error.to_string()),
                Err(_) if asked => return End::Silent,
                Err(_) => {
                    asked = true;
                    self.queue.answer(&ping_frame());
                }
            }
        }
    }

    /// Handles everything that has arrived.
    async fn handle_received(&mut self) -> Result<(), End> {
        loop {
            let received = self.framing.next();
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
        let topic = decode(text, payload)?;
        if is_internal(&topic) || !self.rights.may_publish(&topic) {
            let topic = String::from_utf8_lossy(&topic);
            let what = format!("may not be published by this client on the topic {topic:?}");
            return Err(Refusal { code: code::PERMISSION, what });
        }
        let value = View::parse(payload).map_err(|error| Refusal {
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
fn decode<'a>(text: &'a [u8], payload: &mut Vec<u8>) -> Result<Cow<'a, [u8]>, Refusal> {
    let reader = JsonReader { require_type: false, require_topic: false, ..JsonReader::default() };
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
