use super::answers::{ack_frame, code, error_frame};
use super::exchange::Exchange;
use super::input::{End, Input};
use super::queue::{Bounds, Ending, Interrupt, Outgoing};
use super::writer;
use crate::WsOptions;
use crate::access::Rights;
use crate::framing::{CloseCode, Framing, Received};
use crate::service::Place;
use crate::stream::{ReadHalf, Stream, WriteHalf, receive};
use broker_core::endpoint::{ClientInfo, ClientSession};
use broker_core::event::{ClientLabel, Severity};
use broker_core::transport::Protection;
use broker_core::{Endpoint, EndpointId, Url};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How often a client that is being closed may make no more than some progress within
/// `close_time`.
const CLOSE_ROUNDS: u32 = 10;

/// A client whose subscriptions have been read and not been answered yet.
pub(crate) struct Accepted {
    pub(crate) stream: Stream,
    pub(crate) framing: Framing,
    pub(crate) remote: Url,
    pub(crate) protection: Protection,
    pub(crate) application: Option<Arc<str>>,
    pub(crate) rights: Rights,
    pub(crate) subscriptions: Vec<Bytes>,
    /// Held until the session is over.
    pub(crate) place: Place,
}

/// Runs the session of a client from its acknowledgement to the end of the connection.
pub(crate) async fn serve(
    accepted: Accepted,
    endpoint: Endpoint,
    exchange: Arc<Exchange>,
    options: Arc<WsOptions>,
) {
    let Accepted { stream, framing, remote, protection, application, rights, subscriptions, place } =
        accepted;
    let label = ClientLabel { kind: "web-socket", application };
    let reserved = match exchange.subscribe(subscriptions.clone()).await {
        Ok(reserved) => reserved,
        Err(error) => {
            let text = format!("{label} at {remote}: closed: {error}");
            endpoint.log(Severity::Warning, "client-ended", text, Some("limit-reached"));
            let queue = Arc::new(Outgoing::new(bounds(&options), Arc::default()));
            let (reader, writer) = tokio::io::split(stream);
            let writer = endpoint.spawn(writer::run(writer, Arc::clone(&queue)));
            let closing = Closing { reader, framing, queue, close_time: options.close_time };
            return closing.run(End::Refused(error.to_string()), writer).await;
        }
    };
    let id = EndpointId::random();
    let info = ClientInfo { id, label, remote, protection, subscriptions };
    let session = endpoint.attach_client(info);
    let queue = Arc::new(Outgoing::new(bounds(&options), Arc::clone(session.counters())));
    queue.answer(&ack_frame(endpoint.id()));
    let membership = reserved.join(id, Arc::clone(&queue));
    let (reader, writer) = tokio::io::split(stream);
    let writer = endpoint.spawn(writer::run(writer, Arc::clone(&queue)));
    let mut input = Input {
        id,
        reader,
        framing,
        queue: &queue,
        exchange: membership.exchange(),
        counters: session.counters(),
        rights,
        ping_interval: options.ping_interval,
        number: 0,
        payload: Vec::new(),
    };
    let end = input.run().await;
    let Input { reader, framing, .. } = input;
    drop(membership);
    drop(place);
    report(&endpoint, session, &end);
    Closing { reader, framing, queue, close_time: options.close_time }.run(end, writer).await;
}

fn bounds(options: &WsOptions) -> Bounds {
    Bounds {
        messages: options.queue_messages,
        bytes: options.queue_bytes,
        control: options.queue_control_bytes,
        policy: options.overflow_policy,
    }
}

/// Reports the end in the events and, with what happened, in the log.
fn report(endpoint: &Endpoint, session: ClientSession, end: &End) {
    let ClientInfo { label, remote, .. } = session.info();
    let (level, reason, what) = match end {
        End::Closed(code, reason) => {
            (Severity::Info, "closed", format!("closed with code {code} {reason:?}"))
        }
        End::Gone(why) => (Severity::Info, "gone", why.clone()),
        End::Violation(violation) => {
            (Severity::Warning, "violation", format!("closed: {violation}"))
        }
        End::Refused(why) => (Severity::Warning, "limit-reached", format!("closed: {why}")),
        End::Silent => {
            (Severity::Warning, "silent", "closed because it gave no sign of life".to_owned())
        }
        End::Interrupted(Interrupt::Overflow) => {
            (Severity::Warning, "overflow", "closed because it reads too slowly".to_owned())
        }
        End::Interrupted(Interrupt::Stopping) => {
            (Severity::Info, "stopping", "closed because the endpoint shuts down".to_owned())
        }
        End::Interrupted(Interrupt::Broken) => {
            (Severity::Info, "gone", "the connection takes no more bytes".to_owned())
        }
    };
    let text = format!("{label} at {remote}: {what}");
    if matches!(end, End::Interrupted(Interrupt::Overflow)) {
        session.removed("caf::sec::backpressure_overflow");
    } else {
        drop(session);
    }
    endpoint.log(level, "client-ended", text, Some(reason));
}

/// The end of a connection.
struct Closing {
    reader: ReadHalf,
    framing: Framing,
    queue: Arc<Outgoing>,
    close_time: Duration,
}

impl Closing {
    async fn run(mut self, end: End, writer: JoinHandle<Option<WriteHalf>>) {
        let by_client = matches!(end, End::Closed(..) | End::Gone(_));
        let broken = matches!(end, End::Violation(_));
        // Others may take their time, but nobody wants to wait for the end of an endpoint.
        let stopping = matches!(end, End::Interrupted(Interrupt::Stopping));
        let rounds = if stopping { 1 } else { CLOSE_ROUNDS };
        let ending = self.ending(end);
        self.queue.finish(ending);
        let Some(mut writer) = self.written(writer, rounds).await else { return };
        // The connection is closed by the server, but after the client has agreed; unless what the
        // client sends cannot be understood any more.
        let agreed = by_client
            || !broken
                && timeout(self.close_time, self.agreement()).await.is_ok_and(|agreed| agreed);
        let _ = timeout(self.close_time, async {
            let _ = writer.shutdown().await;
            // Closing with bytes unread would reset the connection and destroy what is in flight.
            while !agreed && receive(&mut self.reader, |_| {}).await.is_ok_and(|count| count > 0) {}
        })
        .await;
    }

    /// The last bytes, and whether what is queued goes before them.
    fn ending(&mut self, end: End) -> Ending {
        let (error, code, reason, flush) = match end {
            // The answer to the client's Close frame is in the output.
            End::Closed(..) | End::Gone(_) => {
                return Ending::Now(std::mem::take(self.framing.output()));
            }
            End::Violation(violation) => (None, violation.code, violation.reason, false),
            End::Refused(why) => (Some(code::SUBSCRIPTION), CloseCode::TRY_AGAIN_LATER, why, true),
            End::Silent => (None, CloseCode::INTERNAL, "Ping timeout".to_owned(), false),
            End::Interrupted(Interrupt::Overflow) => {
                let reason = "this client does not read fast enough".to_owned();
                (Some(code::OVERFLOW), CloseCode::INTERNAL, reason, true)
            }
            End::Interrupted(Interrupt::Stopping | Interrupt::Broken) => {
                (None, CloseCode::GOING_AWAY, "Terminating".to_owned(), true)
            }
        };
        let mut last = error.map_or_else(Vec::new, |code| error_frame(code, &reason).to_vec());
        self.framing.close(code, &reason);
        last.append(self.framing.output());
        if flush { Ending::Flush(last) } else { Ending::Now(last) }
    }

    /// Waits until everything is written, as long as the client reads at all.
    async fn written(
        &self,
        mut writer: JoinHandle<Option<WriteHalf>>,
        rounds: u32,
    ) -> Option<WriteHalf> {
        for _ in 0..rounds {
            let before = self.queue.written();
            match timeout(self.close_time, &mut writer).await {
                Ok(outcome) => return outcome.ok().flatten(),
                Err(_) if self.queue.written() > before => {}
                Err(_) => break,
            }
        }
        writer.abort();
        None
    }

    /// Waits for the client's Close frame, and ignores what comes before it. Returns whether there
    /// was one.
    async fn agreement(&mut self) -> bool {
        loop {
            match self.framing.next() {
                Ok(Some(Received::Close(..) | Received::Ended)) => return true,
                Err(_) => return false,
                Ok(Some(_)) => {}
                Ok(None) => {
                    let framing = &mut self.framing;
                    match receive(&mut self.reader, |bytes| framing.push(bytes)).await {
                        Ok(0) | Err(_) => return true,
                        Ok(_) => {}
                    }
                }
            }
        }
    }
}
