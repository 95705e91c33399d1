use super::texts::{takes_only_events, texts};
use super::{CLOSE_TIME, Connector, IN_THE_OVERLAY, Met};
use crate::Carried;
use crate::delivery::DeliveryTracker;
use crate::guard::{Guard, Verdict, Way, explain};
use crate::overlay::Overlay;
use crate::status::Counters;
use broker_core::data::View;
use broker_core::endpoint::{EventStream, Hub, Message};
use broker_core::event::StatusCode;
use broker_core::transport::TransportError;
use broker_core::{Endpoint, EndpointId};
use broker_transport_ws::client::{ClientEvent, JsonClient, ReceivedMessage, Slot};
use bytes::Bytes;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// How long the server may take to read what is left when the endpoint has gone.
const LAST_MESSAGES: Duration = Duration::from_secs(10);

/// How long the endpoint in between may take until it tells of a peering that has begun.
const PEERING_TIME: Duration = Duration::from_secs(1);

type Connecting<'a> =
    Pin<Box<dyn Future<Output = Result<(JsonClient, Met), TransportError>> + Send + 'a>>;

/// Carries messages between the endpoint in between and the server.
///
/// What goes to the server waits in `outgoing` until the client has a slot for it, and meanwhile
/// the server is listened to: one that writes without reading is read from, and so gets to reading.
pub(super) struct BridgeTask {
    pub(super) overlay: Arc<Overlay>,
    pub(super) connector: Connector,
    pub(super) guard: Guard,
    /// The endpoint in between, and what it receives and reports.
    pub(super) endpoint: Endpoint,
    pub(super) hub: Hub,
    pub(super) events: EventStream,
    pub(super) client: JsonClient,
    /// What the other endpoint wanted when the server was subscribed to last.
    pub(super) wanted: Vec<Bytes>,
    pub(super) counters: Arc<Counters>,
    pub(super) delivery: DeliveryTracker,
    /// Nothing is taken from the hub while there is something in here, except at the end and in
    /// front of a question, so it holds a hub's queue at most.
    pub(super) outgoing: VecDeque<Outgoing>,
    pub(super) signals: Signals,
}

/// What the two halves of the connection tell the task.
pub(super) struct Signals {
    /// Those who wait until the server has read what was published before.
    pub(super) asked: mpsc::UnboundedReceiver<oneshot::Sender<()>>,
    /// Cancelled when the other endpoint has nothing more to say.
    pub(super) ending: CancellationToken,
    /// Cancelled when the other endpoint has let go.
    pub(super) gone: CancellationToken,
}

/// What waits to be handed to the client.
pub(super) enum Outgoing {
    Text(String),
    Ping(u64),
}

impl Outgoing {
    fn put(self, slot: Slot<'_>) {
        match self {
            Self::Text(text) => slot.publish_text(text),
            Self::Ping(number) => slot.ask(number),
        }
    }
}

/// Why it is over.
enum Over {
    /// The other endpoint has ended the peering.
    Peer,
    /// The server is gone.
    Server,
}

impl BridgeTask {
    pub(super) async fn run(mut self) {
        self.report_left_out();
        match self.carry().await {
            Over::Peer => {
                // Everything that came before the end is in the queue.
                self.take_from_hub();
                let _ = timeout(LAST_MESSAGES, self.settle()).await;
                self.report_lost();
                let Self { client, endpoint, .. } = self;
                client.close(LAST_MESSAGES.max(CLOSE_TIME)).await;
                endpoint.shutdown().await;
            }
            // The peer is told by the end of this endpoint, and comes back if it wants to.
            Over::Server => {
                self.take_from_hub();
                self.report_lost();
                self.endpoint.shutdown().await;
            }
        }
    }

    async fn carry(&mut self) -> Over {
        let endpoint = self.endpoint.clone();
        let mut peer = None;
        let mut changed = Box::pin(endpoint.peers_changed());
        let Ok(outer) = self.overlay.endpoint() else { return Over::Peer };
        let mut around_changed = Box::pin(outer.peers_changed());
        let ending = self.signals.ending.clone();
        let mut unpeered = std::pin::pin!(never_peered(&ending));
        loop {
            if self.guard.around().server {
                self.overlay.complain(&self.counters, IN_THE_OVERLAY);
                return Over::Server;
            }
            if let Some(wanted) = self.new_wish(&endpoint, peer) {
                self.wanted = wanted;
                self.report_left_out();
                if self.subscribe_again().await.is_err() {
                    return Over::Server;
                }
            }
            let sender = self.client.sender();
            tokio::select! {
                biased;
                () = self.signals.gone.cancelled() => return Over::Peer,
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
                () = &mut changed => changed = Box::pin(endpoint.peers_changed()),
                () = &mut around_changed => around_changed = Box::pin(outer.peers_changed()),
                slot = sender.reserve(), if !self.outgoing.is_empty() => {
                    // Fails only if the server is gone, which shows in the events of the client.
                    if let (Ok(slot), Some(next)) = (slot, self.outgoing.pop_front()) {
                        next.put(slot);
                    }
                }
                message = self.hub.recv(), if self.outgoing.is_empty() => match message {
                    Some(message) => self.hand_over(&message),
                    None => return Over::Peer,
                },
                Some(asked_by) = self.signals.asked.recv() => self.ask(asked_by),
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
    fn ask(&mut self, asked_by: oneshot::Sender<()>) {
        // Everything that came before the question is in the queue.
        self.take_from_hub();
        let number = self.delivery.ping(Some(asked_by));
        self.outgoing.push_back(Outgoing::Ping(number));
    }

    /// Takes everything over that has been received.
    fn take_from_hub(&mut self) {
        while let Some(message) = self.hub.try_recv() {
            self.hand_over(&message);
        }
    }

    /// Takes what the server sends. Returns whether there is still a server.
    async fn take(&mut self, event: ClientEvent) -> bool {
        let from = FromServer { overlay: &self.overlay, hub: &self.hub, counters: &self.counters };
        let is_there = from.take(&mut self.guard, &mut self.delivery, event).await;
        self.ping();
        is_there
    }

    /// Sends a ping behind what has been handed over, if none is in flight.
    fn ping(&mut self) {
        if let Some(number) = self.delivery.next_ping() {
            self.outgoing.push_back(Outgoing::Ping(number));
        }
    }

    /// Waits until the server has confirmed everything or is gone.
    async fn settle(&mut self) {
        while self.delivery.open() > 0 || !self.outgoing.is_empty() {
            let sender = self.client.sender();
            tokio::select! {
                biased;
                slot = sender.reserve(), if !self.outgoing.is_empty() => {
                    let (Ok(slot), Some(next)) = (slot, self.outgoing.pop_front()) else { return };
                    next.put(slot);
                }
                event = self.client.next() => {
                    let Some(event) = event else { return };
                    if !self.take(event).await {
                        return;
                    }
                }
            }
        }
    }

    /// Counts what the server has not confirmed, now that it cannot any more.
    fn report_lost(&mut self) {
        self.outgoing.clear();
        let lost = self.delivery.lose();
        if lost > 0 {
            self.counters.add(Carried::Lost, lost);
            let reason = format!(
                "the connection ended before the server had confirmed {lost} messages: they are lost"
            );
            self.overlay.lose(&self.counters, &reason);
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
                    let (overlay, hub, counters) = (&self.overlay, &self.hub, &self.counters);
                    let from = FromServer { overlay, hub, counters };
                    let is_there = from.take(&mut self.guard, &mut self.delivery, event).await;
                    if !is_there {
                        return Err(TransportError::closed());
                    }
                }
            }
        };
        drop(connecting);
        self.ping();
        let _ = timeout(LAST_MESSAGES, self.settle()).await;
        self.report_lost();
        let old = std::mem::replace(&mut self.client, client);
        // Without an endpoint there is nobody who could wait for it.
        self.overlay.endpoint()?.spawn(old.close(LAST_MESSAGES));
        Ok(())
    }

    /// Puts a message behind what waits for the client, as far as it may go to the server.
    fn hand_over(&mut self, message: &Message) {
        let (topic, view) = (message.topic(), message.view());
        let only_events = takes_only_events(&self.counters.version);
        let (texts, left_out) = match self.guard.judge(Way::ToServer, topic, view) {
            Verdict::Carry => texts(topic, view, only_events),
            Verdict::CarryMarked(payload) => {
                texts(topic, View::parse(&payload).unwrap_or(view), only_events)
            }
            Verdict::Leave(left) => {
                self.counters.count(left);
                self.overlay.complain(&self.counters, &explain(left, Way::ToServer, topic));
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
                self.overlay.lose(&self.counters, &reason);
                continue;
            }
            self.delivery.add();
            self.outgoing.push_back(Outgoing::Text(text));
        }
        self.ping();
        for _ in 0..left_out {
            let count = self.counters.count(Carried::NoEvent);
            let reason = format!(
                "a message on the topic {topic:?} is no event, and the server takes nothing else \
                 ({count} so far)"
            );
            self.overlay.lose(&self.counters, &reason);
        }
    }

    fn report_left_out(&self) {
        let left_out = self.connector.directions.left_out(&self.wanted);
        if !left_out.is_empty() {
            let text = format!(
                "{left_out:?} is wanted here and not asked for, because these topics go to the \
                 server"
            );
            self.overlay.complain(&self.counters, &text);
        }
    }
}

/// Waits until a handshake has ended without a peering, of which no event tells.
async fn never_peered(ending: &CancellationToken) {
    ending.cancelled().await;
    sleep(PEERING_TIME).await;
}

/// Takes what the server sends.
struct FromServer<'a> {
    overlay: &'a Overlay,
    hub: &'a Hub,
    counters: &'a Counters,
}

impl FromServer<'_> {
    /// Returns whether there is still a server.
    async fn take(
        &self,
        guard: &mut Guard,
        delivery: &mut DeliveryTracker,
        event: ClientEvent,
    ) -> bool {
        match event {
            ClientEvent::Message(message) => self.publish(guard, &message).await,
            ClientEvent::Confirmed(number) => {
                self.counters.add(Carried::ToServer, delivery.confirm(number));
            }
            ClientEvent::Error { code, context } => {
                let count = self.counters.count(Carried::Refused);
                let reason = format!("{code}: {context}");
                self.counters.note_refusal(&reason);
                let text = format!("the server refuses: {reason} ({count} so far)");
                self.overlay.lose(self.counters, &text);
            }
            ClientEvent::Unexpected { reason } => {
                let count = self.counters.count(Carried::Unexpected);
                let what = "the server sent something that is no message";
                self.overlay.complain(self.counters, &format!("{what}: {reason} ({count} so far)"));
            }
            ClientEvent::Disconnected { error, .. } => {
                self.overlay.complain(self.counters, &error.to_string());
                return false;
            }
            _ => {}
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
                    let why = explain(left, Way::FromServer, topic);
                    return self.overlay.complain(self.counters, &why);
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
        let what = format!("a message on the topic {topic:?}: {error}");
        self.overlay.complain(self.counters, &what);
    }
}
