use super::carry::{takes_only_events, texts};
use super::guard::{Guard, Verdict, Way, explain};
use super::handed::Handed;
use super::status::{Carried, Counters};
use super::{CLOSE_TIME, Connector, IN_THE_OVERLAY, Met};
use crate::Shared;
use crate::client::{ClientEvent, JsonClient, ReceivedMessage};
use broker_core::data::View;
use broker_core::endpoint::{EventStream, Hub, Message};
use broker_core::event::StatusCode;
use broker_core::transport::TransportError;
use broker_core::{Endpoint, EndpointId};
use bytes::Bytes;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// How long the server may take to read what is left when the endpoint has gone.
const LAST_MESSAGES: Duration = Duration::from_secs(10);

/// The id of log entries about messages that a server does not get or does not take.
pub const LOSS: &str = "bridge-loss";

/// How long the endpoint in between may take until it tells of a peering that has begun.
const PEERING_TIME: Duration = Duration::from_secs(1);

type Connecting<'a> =
    Pin<Box<dyn Future<Output = Result<(JsonClient, Met), TransportError>> + Send + 'a>>;

/// Carries messages between the endpoint in between and the server.
pub(super) struct Glue {
    pub(super) shared: Arc<Shared>,
    pub(super) connector: Connector,
    pub(super) guard: Guard,
    pub(super) endpoint: Endpoint,
    pub(super) hub: Hub,
    pub(super) events: EventStream,
    pub(super) client: JsonClient,
    /// What the other endpoint wanted when the server was subscribed to last.
    pub(super) wanted: Vec<Bytes>,
    pub(super) counters: Arc<Counters>,
    pub(super) handed: Handed,
    /// Those who wait until the server has read what was published before.
    pub(super) asked: mpsc::UnboundedReceiver<oneshot::Sender<()>>,
    /// Cancelled when the other endpoint has nothing more to say.
    pub(super) ending: CancellationToken,
    /// Cancelled when the other endpoint has let go.
    pub(super) gone: CancellationToken,
}

/// Why it is over.
enum Over {
    /// The other endpoint has ended the peering.
    Peer,
    /// The server is gone.
    Server,
}

impl Glue {
    pub(super) async fn run(mut self) {
        self.report_left_out();
        match self.carry().await {
            Over::Peer => {
                // Everything that came before the end is in the queue.
                while let Ok(message) = self.hub.try_recv() {
                    self.hand_over(&message).await;
                }
                let _ = timeout(LAST_MESSAGES, self.settle()).await;
                self.report_lost();
                let Self { client, endpoint, .. } = self;
                client.close(LAST_MESSAGES.max(CLOSE_TIME)).await;
                endpoint.shutdown().await;
            }
            // The peer is told by the end of this endpoint, and comes back if it wants to.
            Over::Server => {
                while self.hub.try_recv().is_ok() {
                    self.handed.add();
                }
                self.report_lost();
                self.endpoint.shutdown().await;
            }
        }
    }

    async fn carry(&mut self) -> Over {
        let endpoint = self.endpoint.clone();
        let mut peer = None;
        let context = endpoint.service_context();
        let mut changed = Box::pin(context.peers_changed());
        let ending = self.ending.clone();
        let mut unpeered = std::pin::pin!(never_peered(&ending));
        loop {
            if self.guard.around().server {
                self.complain(IN_THE_OVERLAY.to_owned());
                return Over::Server;
            }
            if let Some(wanted) = self.new_wish(&endpoint, peer) {
                self.wanted = wanted;
                self.report_left_out();
                if self.subscribe_again().await.is_err() {
                    return Over::Server;
                }
            }
            tokio::select! {
                biased;
                () = self.gone.cancelled() => return Over::Peer,
                () = &mut unpeered, if peer.is_none() => return Over::Peer,
                event = self.events.next() => {
                    let Some(event) = event else { return Over::Peer };
                    match event.status() {
                        Some(StatusCode::PeerAdded) => {
                            peer = event.endpoint().map(|endpoint| endpoint.id);
                        }
                        Some(StatusCode::PeerLost | StatusCode::PeerRemoved) => return Over::Peer,
                        _ => {}
                    }
                }
                () = &mut changed => changed = Box::pin(context.peers_changed()),
                message = self.hub.recv() => match message {
                    Some(message) => self.hand_over(&message).await,
                    None => return Over::Peer,
                },
                Some(asked_by) = self.asked.recv() => self.ask(asked_by).await,
                event = self.client.next() => {
                    let Some(event) = event else { return Over::Server };
                    if !self.take(event).await {
                        return Over::Server;
                    }
                }
            }
        }
    }

    /// Asks the server to confirm what has been published so far.
    async fn ask(&mut self, asked_by: oneshot::Sender<()>) {
        // Everything that came before the question is in the queue.
        while let Ok(message) = self.hub.try_recv() {
            self.hand_over(&message).await;
        }
        let number = self.handed.ping(Some(asked_by));
        // As in handing over.
        let _ = self.client.sender().ask(number).await;
    }

    /// Takes what the server sends. Returns whether there is still a server.
    async fn take(&mut self, event: ClientEvent) -> bool {
        if let ClientEvent::Confirmed(number) = event {
            self.counters.add(Carried::ToServer, self.handed.confirm(number));
            self.ping().await;
            return true;
        }
        let from = FromServer { hub: &self.hub, counters: &self.counters };
        from.take(&mut self.guard, event).await
    }

    /// Sends a ping behind what has been handed over, if none is in flight.
    async fn ping(&mut self) {
        if let Some(number) = self.handed.next_ping() {
            // As in handing over.
            let _ = self.client.sender().ask(number).await;
        }
    }

    /// Waits until the server has confirmed everything or is gone.
    async fn settle(&mut self) {
        while self.handed.open() > 0 {
            let Some(event) = self.client.next().await else { return };
            if !self.take(event).await {
                return;
            }
        }
    }

    /// Counts what the server has not confirmed, now that it cannot any more.
    fn report_lost(&mut self) {
        let lost = self.handed.lose();
        if lost > 0 {
            self.counters.add(Carried::Lost, lost);
            let reason = format!(
                "the connection ended before the server had confirmed {lost} messages: they are lost"
            );
            lose(&self.shared, &self.counters, reason);
        }
    }

    /// What the other endpoint wants, if that is not what the server has been asked for.
    fn new_wish(&self, endpoint: &Endpoint, peer: Option<EndpointId>) -> Option<Vec<Bytes>> {
        let directions = &self.connector.directions;
        let wanted = peer.and_then(|peer| endpoint.peer_filter(peer))?;
        let differs = directions.subscriptions(&wanted) != directions.subscriptions(&self.wanted);
        differs.then_some(wanted)
    }

    /// Subscriptions hold as long as a connection, so others need another one. The old one is
    /// listened to until the new one works.
    async fn subscribe_again(&mut self) -> Result<(), TransportError> {
        let mut connecting: Connecting<'_> = Box::pin(self.connector.connect(&self.wanted));
        let client = loop {
            tokio::select! {
                biased;
                connected = &mut connecting => break connected?.0,
                Some(event) = self.client.next() => {
                    let from = FromServer { hub: &self.hub, counters: &self.counters };
                    let is_there = match event {
                        ClientEvent::Confirmed(number) => {
                            self.counters.add(Carried::ToServer, self.handed.confirm(number));
                            true
                        }
                        event => from.take(&mut self.guard, event).await,
                    };
                    if !is_there {
                        return Err(TransportError::closed());
                    }
                }
            }
        };
        drop(connecting);
        self.ping().await;
        let _ = timeout(LAST_MESSAGES, self.settle()).await;
        self.report_lost();
        let old = std::mem::replace(&mut self.client, client);
        tokio::spawn(old.close(LAST_MESSAGES));
        Ok(())
    }

    async fn hand_over(&mut self, message: &Message) {
        let (topic, view) = (message.topic(), message.view());
        let only_events = takes_only_events(&self.counters.version);
        let (texts, left_out) = match self.guard.judge(Way::ToServer, topic, view) {
            Verdict::Carry => texts(topic, view, only_events),
            Verdict::CarryMarked(payload) => {
                texts(topic, View::parse(&payload).unwrap_or(view), only_events)
            }
            Verdict::Leave(left) => {
                self.counters.count(left);
                self.complain(explain(left, Way::ToServer, topic));
                return;
            }
        };
        let largest = self.connector.directions.largest as usize;
        for text in texts {
            if largest > 0 && text.len() > largest {
                let count = self.counters.count(Carried::TooLarge);
                let reason = format!(
                    "a message of {} bytes on the topic {topic:?} is larger than the server takes, \
                     {largest} bytes; largest=N in the address sets that ({count} so far)",
                    text.len()
                );
                lose(&self.shared, &self.counters, reason);
                continue;
            }
            self.handed.add();
            // Fails only if the server is gone, which shows in the events of the client.
            let _ = self.client.sender().publish_text(text).await;
        }
        self.ping().await;
        for _ in 0..left_out {
            let count = self.counters.count(Carried::NoEvent);
            lose(
                &self.shared,
                &self.counters,
                format!(
                    "a message on the topic {topic:?} is no event, and the server takes nothing else \
                 ({count} so far)"
                ),
            );
        }
    }

    fn report_left_out(&self) {
        let left_out = self.connector.directions.left_out(&self.wanted);
        if !left_out.is_empty() {
            self.complain(format!(
                "{left_out:?} is wanted here and not asked for, because these topics go to the server"
            ));
        }
    }

    fn complain(&self, what: String) {
        complain(&self.shared, &self.counters, what);
    }
}

/// Waits until a handshake has ended without a peering, of which no event tells.
async fn never_peered(ending: &CancellationToken) {
    ending.cancelled().await;
    sleep(PEERING_TIME).await;
}

/// Takes what the server sends.
struct FromServer<'a> {
    hub: &'a Hub,
    counters: &'a Counters,
}

impl FromServer<'_> {
    /// Returns whether there is still a server.
    async fn take(&self, guard: &mut Guard, event: ClientEvent) -> bool {
        match event {
            ClientEvent::Message(message) => self.publish(guard, &message).await,
            ClientEvent::Error { code, context } => {
                let count = self.counters.count(Carried::Refused);
                let reason = format!("{code}: {context}");
                self.counters.note_refusal(&reason);
                let text = format!("the server refuses: {reason} ({count} so far)");
                lose(guard.shared(), self.counters, text);
            }
            ClientEvent::Unexpected { reason } => {
                let count = self.counters.count(Carried::Unexpected);
                let what = "the server sent something that is no message";
                self.complain(guard, format!("{what}: {reason} ({count} so far)"));
            }
            ClientEvent::Connected { .. } | ClientEvent::Confirmed(_) => {}
            ClientEvent::Disconnected { error, .. } => {
                self.complain(guard, error.to_string());
                return false;
            }
        }
        true
    }

    async fn publish(&self, guard: &mut Guard, message: &ReceivedMessage) {
        let topic = &message.topic;
        let published = match message.view() {
            Ok(view) => match guard.judge(Way::FromServer, topic, view) {
                Verdict::Carry => self.hub.publish(topic, &view).await,
                Verdict::CarryMarked(payload) => {
                    let marked = View::parse(&payload).unwrap_or(view);
                    self.hub.publish(topic, &marked).await
                }
                Verdict::Leave(left) => {
                    self.counters.count(left);
                    return self.complain(guard, explain(left, Way::FromServer, topic));
                }
            }
            .map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        let Err(error) = published else {
            self.counters.count(Carried::FromServer);
            return;
        };
        self.counters.count(Carried::Unexpected);
        self.complain(guard, format!("a message on the topic {topic:?}: {error}"));
    }

    fn complain(&self, guard: &Guard, what: String) {
        complain(guard.shared(), self.counters, what);
    }
}

fn complain(shared: &Shared, counters: &Counters, what: String) {
    log(shared, counters, "bridge", &what);
}

/// Reports that the server does not have something that it should have.
fn lose(shared: &Shared, counters: &Counters, what: String) {
    log(shared, counters, LOSS, &what);
}

fn log(shared: &Shared, counters: &Counters, id: &'static str, what: &str) {
    if let Some(service) = shared.service.get() {
        let text = format!("bridge to {}: {what}", counters.server());
        service.complain(id, text, Some("bridge"));
    }
}
