use super::event::understand;
use super::{ClientEvent, ClientOptions, Outgoing};
use crate::JSON_PATH;
use crate::dial::{Opening, target};
use crate::framing::{CloseCode, Framing, Received, Side};
use crate::security::Security;
use crate::stream::{ReadHalf, WriteHalf, receive};
use broker_core::transport::{Protection, TransportError};
use broker_core::{Address, Reason};
use bytes::{Buf, Bytes, BytesMut};
use std::collections::VecDeque;
use std::io;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep_until, timeout};

/// As much as this waits for the socket before messages wait in front of it.
const PENDING: usize = 64 * 1024;

/// Makes connections to one server.
#[derive(Debug)]
pub(super) struct Dialler {
    pub(super) url: Address,
    pub(super) security: Security,
    pub(super) options: ClientOptions,
}

impl Dialler {
    /// Connects, subscribes and waits for the acknowledgement, which is the first event.
    pub(super) async fn connect(&self) -> Result<Link, TransportError> {
        let limit = self.options.connect_time;
        timeout(limit, self.connect_without_limit()).await.unwrap_or_else(|_| {
            let detail = format!(
                "connecting to {}: no acknowledgement within {} s",
                self.url,
                limit.as_secs_f64()
            );
            Err(TransportError::new(Reason::TimedOut, detail))
        })
    }

    async fn connect_without_limit(&self) -> Result<Link, TransportError> {
        let (mut stream, protection) = self.security.dial(&self.url).await?;
        let path = match self.url.path() {
            "" | "/" => JSON_PATH,
            path => path,
        };
        let target = target(&self.url, path);
        let mut fields = Vec::new();
        if let Some(name) = &self.options.application {
            fields.push(("X-Application-Name", name.clone()));
        }
        if let Some(token) = &self.options.token {
            fields.push(("Authorization", format!("Bearer {token}")));
        }
        let opening = Opening { to: &self.url, path: &target, protocol: None, fields: &fields };
        let rest = opening.run(&mut stream).await?;
        let mut framing = Framing::new(Side::Client, self.options.message);
        framing.push(&rest);
        let array = serde_json::Value::from(self.options.subscriptions.clone());
        framing.send_text(array.to_string());
        let (reader, writer) = tokio::io::split(stream);
        let mut outbox = Outbox::default();
        outbox.take(&mut framing);
        let mut link = Link {
            reader,
            writer,
            framing,
            outbox,
            events: VecDeque::new(),
            lost: None,
            ping_interval: self.options.ping_interval,
            close_time: self.options.close_time,
        };
        link.acknowledged(&format!("connecting to {}", self.url), protection).await?;
        Ok(link)
    }
}

/// A connection to a server.
pub(super) struct Link {
    reader: ReadHalf,
    writer: WriteHalf,
    framing: Framing,
    outbox: Outbox,
    /// What the user has not taken yet.
    pub(super) events: VecDeque<ClientEvent>,
    /// Why nothing more will come.
    lost: Option<TransportError>,
    ping_interval: Duration,
    close_time: Duration,
}

/// What the socket has not taken yet.
#[derive(Debug, Default)]
struct Outbox {
    pending: BytesMut,
    /// Whether an encryption in between may still hold something back.
    unflushed: bool,
}

impl Outbox {
    fn take(&mut self, framing: &mut Framing) {
        self.pending.extend_from_slice(&std::mem::take(framing.output()));
    }

    fn is_empty(&self) -> bool {
        self.pending.is_empty() && !self.unflushed
    }

    /// Sends a part, or makes sure that everything that was sent is in flight. Cancel safe.
    async fn send(&mut self, writer: &mut WriteHalf) -> io::Result<()> {
        if self.pending.is_empty() {
            writer.flush().await?;
            *self = Self::default();
        } else {
            let written = writer.write(&self.pending).await?;
            self.pending.advance(written);
            self.unflushed = true;
        }
        Ok(())
    }
}

/// Why a connection is over.
pub(super) enum Over {
    /// The user wanted it, and everything has been sent.
    Closed,
    Lost(TransportError),
}

impl Link {
    async fn acknowledged(
        &mut self,
        doing: &str,
        of_link: Protection,
    ) -> Result<(), TransportError> {
        loop {
            match self.events.front_mut() {
                None => match self.lost.take() {
                    Some(error) => return Err(error),
                    None => self.exchange().await?,
                },
                Some(ClientEvent::Connected { protection, .. }) => {
                    *protection = of_link;
                    return Ok(());
                }
                Some(ClientEvent::Error { code, context }) => {
                    let detail =
                        format!("{doing}: the server refused the client: {code}: {context}");
                    let kind = if code == "permission_denied" {
                        Reason::AccessDenied
                    } else {
                        Reason::NotBroker
                    };
                    return Err(TransportError::new(kind, detail));
                }
                Some(_) => {
                    let detail =
                        format!("{doing}: the server began with something else than an ack");
                    return Err(TransportError::new(Reason::NotBroker, detail));
                }
            }
        }
    }

    /// Sends and receives until the connection is over or `closing` says that it should be.
    pub(super) async fn run(
        &mut self,
        to_user: &mpsc::Sender<ClientEvent>,
        from_user: &mut mpsc::Receiver<Outgoing>,
        closing: &Notify,
    ) -> Over {
        let mut deadline = self.next_ping();
        let mut asked = false;
        let mut is_closing = false;
        loop {
            if let Some(error) = self.lost.take() {
                return Over::Lost(error);
            }
            let due = async {
                match deadline {
                    Some(deadline) => sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            let more = self.outbox.pending.len() < PENDING;
            tokio::select! {
                () = closing.notified(), if !is_closing => {
                    is_closing = true;
                    from_user.close();
                }
                permit = to_user.reserve(), if !self.events.is_empty() => {
                    match (permit, self.events.pop_front()) {
                        (Ok(permit), Some(event)) => permit.send(event),
                        // The user is gone.
                        _ => return Over::Closed,
                    }
                    if self.events.is_empty() {
                        // Only now is the server read from again.
                        (deadline, asked) = (self.next_ping(), false);
                    }
                }
                message = from_user.recv(), if more => match message {
                    Some(outgoing) => self.send(outgoing),
                    None => return self.close_gracefully().await,
                },
                outcome = exchange(
                    &mut self.reader, &mut self.writer, &mut self.framing, &mut self.outbox,
                    self.events.is_empty(),
                ) => {
                    match outcome {
                        Ok(true) => (deadline, asked) = (self.next_ping(), false),
                        Ok(false) => {}
                        Err(error) => return Over::Lost(error),
                    }
                    self.take();
                }
                () = due, if self.events.is_empty() => {
                    if asked {
                        let detail = "the server gives no sign of life";
                        return Over::Lost(TransportError::new(Reason::TimedOut, detail));
                    }
                    asked = true;
                    deadline = self.next_ping();
                    self.framing.send_ping(Bytes::new());
                    self.outbox.take(&mut self.framing);
                }
            }
        }
    }

    fn next_ping(&self) -> Option<Instant> {
        (!self.ping_interval.is_zero()).then(|| Instant::now() + self.ping_interval)
    }

    fn send(&mut self, outgoing: Outgoing) {
        match outgoing {
            Outgoing::Text(text) => self.framing.send_text(text),
            Outgoing::Ping(number) => {
                self.framing.send_ping(Bytes::copy_from_slice(&number.to_be_bytes()));
            }
        }
        self.outbox.take(&mut self.framing);
    }

    /// Sends and receives once.
    async fn exchange(&mut self) -> Result<(), TransportError> {
        exchange(&mut self.reader, &mut self.writer, &mut self.framing, &mut self.outbox, true)
            .await?;
        self.take();
        Ok(())
    }

    /// Turns what has been received into events.
    fn take(&mut self) {
        while self.lost.is_none() {
            let received = self.framing.next();
            self.outbox.take(&mut self.framing);
            match received {
                Ok(None) => return,
                Ok(Some(Received::Text(text))) => {
                    self.events.push_back(understand(text.as_bytes()));
                }
                Ok(Some(Received::Binary(bytes))) => self.events.push_back(understand(&bytes)),
                Ok(Some(Received::Pong(content))) => {
                    if let Some(number) = content.first_chunk().filter(|_| content.len() == 8) {
                        let number = u64::from_be_bytes(*number);
                        self.events.push_back(ClientEvent::Confirmed(number));
                    }
                }
                Ok(Some(Received::SignOfLife)) => {}
                Ok(Some(Received::Close(code, reason))) => {
                    let detail = format!("the server closed the connection: {code} {reason}");
                    self.lost = Some(TransportError::new(Reason::Closed, detail.trim_end()));
                }
                Ok(Some(Received::Ended)) => self.lost = Some(TransportError::closed()),
                Err(violation) => {
                    self.framing.close(violation.code, &violation.reason);
                    let detail = format!("the server broke the protocol: {violation}");
                    self.lost = Some(TransportError::new(Reason::NotBroker, detail));
                }
            }
        }
    }

    /// Sends the rest and a Close frame, and waits a moment for the answer.
    async fn close_gracefully(&mut self) -> Over {
        self.framing.close(CloseCode::NORMAL, "");
        self.outbox.take(&mut self.framing);
        while !self.outbox.is_empty() {
            let outcome = self.exchange().await;
            self.events.clear();
            if let Err(error) = outcome.and(self.lost.take().map_or(Ok(()), Err)) {
                return if self.outbox.is_empty() { Over::Closed } else { Over::Lost(error) };
            }
        }
        let close_time = self.close_time;
        let agreement = async {
            while self.lost.is_none() && self.exchange().await.is_ok() {
                self.events.clear()
            }
        };
        // Servers of the C++ library close without a Close frame of their own, or not at all.
        let _ = timeout(close_time, agreement).await;
        let _ = self.writer.shutdown().await;
        Over::Closed
    }

    /// What is left when the connection is over: a Close frame, perhaps.
    pub(super) async fn abandon(mut self) {
        self.outbox.take(&mut self.framing);
        let _ = timeout(self.close_time, async {
            let _ = self.writer.write_all(&self.outbox.pending).await;
            let _ = self.writer.shutdown().await;
        })
        .await;
    }
}

/// Moves bytes in one direction or the other, whichever is ready; true if some were received.
/// Cancel safe.
async fn exchange(
    reader: &mut ReadHalf,
    writer: &mut WriteHalf,
    framing: &mut Framing,
    outbox: &mut Outbox,
    read: bool,
) -> Result<bool, TransportError> {
    tokio::select! {
        sent = outbox.send(writer), if !outbox.is_empty() => {
            sent.map_err(|error| TransportError::from_io(&error, "sending"))?;
            Ok(false)
        }
        received = receive(reader, |bytes| framing.push(bytes)), if read => {
            if received.map_err(|error| TransportError::from_io(&error, "receiving"))? == 0 {
                framing.end();
            }
            Ok(true)
        }
        else => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::Stream;
    use std::sync::Arc;
    use tokio::io::{AsyncReadExt, DuplexStream};
    use tokio::time::sleep;

    const INTERVAL: Duration = Duration::from_secs(30);

    fn link(stream: DuplexStream) -> Link {
        let (reader, writer) = tokio::io::split(Box::new(stream) as Stream);
        Link {
            reader,
            writer,
            framing: Framing::new(Side::Client, 1000),
            outbox: Outbox::default(),
            events: VecDeque::new(),
            lost: None,
            ping_interval: INTERVAL,
            close_time: INTERVAL,
        }
    }

    /// Sends texts, and then answers pings until there are no more to be answered.
    async fn serve(mut stream: DuplexStream, texts: usize, pings: usize) {
        let mut framing = Framing::new(Side::Server, 1000);
        (0..texts).for_each(|number| framing.send_text(number.to_string()));
        let mut answered = 0;
        loop {
            stream.write_all(&std::mem::take(framing.output())).await.unwrap();
            let mut bytes = vec![0; 1000];
            let count = stream.read(&mut bytes).await.unwrap();
            assert!(count > 0);
            framing.push(&bytes[..count]);
            while let Some(received) = framing.next().unwrap() {
                assert_eq!(received, Received::SignOfLife);
                answered += 1;
                if answered > pings {
                    framing.output().clear();
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_user_that_takes_nothing_does_not_make_the_server_a_silent_one() {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        tokio::spawn(serve(theirs, 3, 10));
        let (to_user, mut events) = mpsc::channel(1);
        let (_sender, mut from_user) = mpsc::channel(1);
        let task = tokio::spawn(async move {
            link(ours).run(&to_user, &mut from_user, &Arc::<Notify>::default()).await
        });
        sleep(20 * INTERVAL).await;
        for _ in 0..3 {
            assert!(matches!(events.recv().await, Some(ClientEvent::Unexpected { .. })));
        }
        sleep(9 * INTERVAL + INTERVAL / 2).await;
        assert!(!task.is_finished(), "it has answered every ping");
        sleep(3 * INTERVAL).await;
        let Ok(Over::Lost(error)) = task.await else { panic!("a silent server is given up") };
        assert!(error.to_string().contains("no sign of life"), "{error}");
    }
}
