use super::answers::{ack_frame, code, error_frame};
use super::exchange::Exchange;
use super::input::{End, Input};
use super::queue::{self, Bounds, Ending, Interrupt, Outgoing};
use crate::WsOptions;
use crate::framing::{CloseCode, Framing, Received};
use crate::stream::{ReadHalf, Stream, WriteHalf, receive};
use broker_core::endpoint::{ClientInfo, ClientSession, ServiceContext};
use broker_core::event::{ClientLabel, LogId, Severity};
use broker_core::memory::Holder;
use broker_core::transport::{Place, Protection};
use broker_core::{Address, EndpointId, Reason, Rights};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::task::AbortOnDropHandle;

/// How many times `close_time` a client may take that still reads what was queued for it, and that
/// is disconnected because it reads slowly.
const SLOW_CLOSE: u32 = 100;

/// How many times `close_time` it may take between one sign that it reads and the next: the
/// system tells of it only when a large part of its buffer is free again.
const SLOW_PROGRESS: u32 = 10;

/// How long a client whose descriptor is needed may take to read why it has to go.
const EVICTION_TIME: Duration = Duration::from_millis(100);

/// A client whose subscriptions have been read and not been answered yet.
pub(crate) struct Accepted {
    pub(crate) stream: Stream,
    pub(crate) framing: Framing,
    pub(crate) remote: Address,
    pub(crate) protection: Protection,
    pub(crate) application: Option<Arc<str>>,
    pub(crate) rights: Rights,
    pub(crate) subscriptions: Vec<Bytes>,
    /// Held until the session is over.
    pub(crate) permit: Place,
}

/// Runs the session of a client from its acknowledgement to the end of the connection.
pub(crate) async fn serve(
    accepted: Accepted,
    mut place: Place,
    context: ServiceContext,
    exchange: Arc<Exchange>,
    options: Arc<WsOptions>,
) {
    let Accepted {
        stream,
        framing,
        remote,
        protection,
        application,
        rights,
        subscriptions,
        permit,
    } = accepted;
    let label = ClientLabel { kind: "web-socket", application };
    let reserved = match exchange.subscribe(subscriptions.clone()).await {
        Ok(reserved) => reserved,
        Err(error) => {
            let text = format!("{label} at {remote}: closed: {error}");
            let reason = Some(Reason::LimitReached);
            context.log(Severity::Warning, LogId::ClientEnded, text, reason);
            let queue = Arc::new(Outgoing::new(bounds(&options), Arc::default()));
            let (reader, writer) = tokio::io::split(stream);
            let writer = context.spawn(queue::write(writer, Arc::clone(&queue)));
            let writer = AbortOnDropHandle::new(writer);
            place.close();
            let closing = Closing { reader, framing, queue, close_time: options.close_time };
            return closing.run(End::Refused(error.to_string()), writer).await;
        }
    };
    place.establish();
    let id = EndpointId::random();
    let info = ClientInfo::new(id, label, remote, protection, subscriptions);
    let session = context.attach_client(info);
    let queue = Outgoing::new(bounds(&options), Arc::clone(session.counters()));
    let queue = Arc::new(queue.within(context.memory()));
    let holder: Arc<dyn Holder> = queue.clone();
    let _held = context.memory().register(Arc::downgrade(&holder));
    queue.answer(&ack_frame(context.endpoint().id()));
    let membership = reserved.join(id, Arc::clone(&queue));
    let (reader, writer) = tokio::io::split(stream);
    let writer = context.spawn(queue::write(writer, Arc::clone(&queue)));
    let writer = AbortOnDropHandle::new(writer);
    let mut input = Input {
        id,
        reader,
        framing,
        queue: &queue,
        exchange: membership.exchange(),
        counters: session.counters(),
        rights,
        depth: context.data_depth(),
        ping_interval: options.ping_interval,
        message_time: options.message_time,
        unfinished_since: None,
        number: 0,
        payload: Vec::new(),
    };
    let end = tokio::select! {
        biased;
        why = place.lost() => End::Evicted(why),
        _ = permit.lost() => End::TooMany,
        end = input.run() => end,
    };
    let Input { reader, framing, .. } = input;
    drop(membership);
    drop(permit);
    report(&context, session, &end);
    // From here on it counts as half open.
    place.close();
    let closing = Closing { reader, framing, queue, close_time: options.close_time };
    let time = if matches!(end, End::Evicted(_)) { EVICTION_TIME } else { Duration::ZERO };
    let evicted = async {
        place.lost().await;
        tokio::time::sleep(time).await;
    };
    // Others may take their time, but nobody wants to wait for the end of an endpoint.
    let stopped = async {
        context.stopping().await;
        tokio::time::sleep(options.close_time).await;
    };
    tokio::select! {
        () = evicted => {}
        () = stopped => {}
        () = closing.run(end, writer) => {}
    }
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
fn report(context: &ServiceContext, session: ClientSession, end: &End) {
    let ClientInfo { label, remote, .. } = session.info();
    let (level, reason, what) = match end {
        End::Closed(code, reason) => {
            (Severity::Info, Some(Reason::Closed), format!("closed with code {code} {reason:?}"))
        }
        End::Gone(why) => (Severity::Info, None, why.clone()),
        End::Violation(violation) => (Severity::Warning, None, format!("closed: {violation}")),
        End::Refused(why) => {
            (Severity::Warning, Some(Reason::LimitReached), format!("closed: {why}"))
        }
        End::Silent => (
            Severity::Warning,
            Some(Reason::Silent),
            "closed because it gave no sign of life".to_owned(),
        ),
        End::Interrupted(Interrupt::Overflow) => (
            Severity::Warning,
            Some(Reason::Overflow),
            "closed because it reads too slowly".to_owned(),
        ),
        End::Interrupted(Interrupt::Stopping) => (
            Severity::Info,
            Some(Reason::ShuttingDown),
            "closed because the endpoint shuts down".to_owned(),
        ),
        End::Interrupted(Interrupt::Broken) => {
            (Severity::Info, None, "the connection takes no more bytes".to_owned())
        }
        End::Evicted(why) => {
            (Severity::Warning, Some(Reason::LimitReached), format!("closed: {why}"))
        }
        End::TooMany => {
            let what = "closed: there are too many clients, and most come from its address";
            (Severity::Warning, Some(Reason::LimitReached), what.to_owned())
        }
    };
    let text = format!("{label} at {remote}: {what}");
    match end {
        End::Interrupted(Interrupt::Overflow) => {
            session.removed("caf::sec::backpressure_overflow");
        }
        End::Evicted(_) | End::TooMany => session.removed("too many connections"),
        _ => drop(session),
    }
    context.log(level, LogId::ClientEnded, text, reason);
}

/// The end of a connection.
struct Closing {
    reader: ReadHalf,
    framing: Framing,
    queue: Arc<Outgoing>,
    close_time: Duration,
}

impl Closing {
    async fn run(mut self, end: End, writer: AbortOnDropHandle<Option<WriteHalf>>) {
        let by_client = matches!(end, End::Closed(..) | End::Gone(_));
        let broken = matches!(end, End::Violation(_));
        // A slow client is told why it has to go, for which it has to read what is before that.
        let is_slow = matches!(end, End::Interrupted(Interrupt::Overflow));
        let ending = self.ending(end);
        self.queue.finish(ending);
        let Some(mut writer) = self.written(writer, is_slow).await else { return };
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
            End::Evicted(_) | End::TooMany => {
                let reason = "most clients come from this address, and others need the room";
                (Some(code::TOO_MANY), CloseCode::TRY_AGAIN_LATER, reason.to_owned(), false)
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

    /// Waits until everything is written; for a slow client as long as it reads at all.
    async fn written(
        &self,
        mut writer: AbortOnDropHandle<Option<WriteHalf>>,
        is_slow: bool,
    ) -> Option<WriteHalf> {
        let (patience, total) =
            if is_slow { (SLOW_PROGRESS, SLOW_CLOSE) } else { (1, SLOW_PROGRESS) };
        let limit = Instant::now() + self.close_time.saturating_mul(total);
        let patience = self.close_time.saturating_mul(patience);
        loop {
            let before = self.queue.written();
            let round = limit.min(Instant::now() + patience);
            match timeout_at(round, &mut writer).await {
                Ok(outcome) => return outcome.ok().flatten(),
                Err(_) if round < limit && self.queue.written() > before => {}
                Err(_) => return None,
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::framing::Side;
    use broker_core::OverflowPolicy;
    use tokio::io::{AsyncReadExt, DuplexStream, duplex};
    use tokio::time::sleep;

    const CLOSE_TIME: Duration = Duration::from_secs(3);

    /// A client for which a minute's worth of reading is queued when it has to go, and its side of
    /// the connection.
    fn overflown() -> (impl Future<Output = ()>, DuplexStream) {
        let (ours, theirs) = duplex(100);
        let policy = OverflowPolicy::Disconnect;
        let bounds = Bounds { messages: 60, bytes: 1 << 20, control: 1000, policy };
        let queue = Arc::new(Outgoing::new(bounds, Arc::default()));
        (0..60).for_each(|_| queue.push(&Bytes::from_static(&[b'x'; 100])));
        let (reader, writer) = tokio::io::split(Box::new(ours) as Stream);
        let writer = tokio::spawn(queue::write(writer, Arc::clone(&queue)));
        let framing = Framing::new(Side::Server, 1000);
        let closing = Closing { reader, framing, queue, close_time: CLOSE_TIME };
        let end = End::Interrupted(Interrupt::Overflow);
        (closing.run(end, AbortOnDropHandle::new(writer)), theirs)
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_client_that_reads_gets_its_messages_the_error_and_the_close_frame() {
        let (closing, mut client) = overflown();
        let closing = tokio::spawn(closing);
        let mut received = Vec::new();
        let mut chunk = [0; 50];
        while let Ok(count @ 1..) = client.read(&mut chunk).await {
            received.extend_from_slice(&chunk[..count]);
            sleep(Duration::from_millis(500)).await;
        }
        closing.await.unwrap();
        let (messages, last) = received.split_at(60 * 100);
        assert!(messages.iter().all(|byte| *byte == b'x'));
        let mut framing = Framing::new(Side::Client, 1000);
        framing.push(last);
        let Ok(Some(Received::Text(text))) = framing.next() else { panic!("an error") };
        assert!(text.contains("\"overflow\""), "{text}");
        let Ok(Some(Received::Close(code, _))) = framing.next() else { panic!("a Close frame") };
        assert_eq!(code, CloseCode::INTERNAL);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_client_that_reads_nothing_at_all_is_not_waited_for_long() {
        let (closing, _client) = overflown();
        let began = Instant::now();
        closing.await;
        assert!(began.elapsed() <= 2 * SLOW_PROGRESS * CLOSE_TIME, "{:?}", began.elapsed());
    }
}
