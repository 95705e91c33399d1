use super::carry::{takes_only_events, texts};
use super::status::{Carried, Counters};
use super::{CLOSE_TIME, Connector};
use crate::Shared;
use crate::client::{ClientEvent, JsonClient, ReceivedMessage};
use broker_core::endpoint::{EventStream, Hub, Message};
use broker_core::event::StatusCode;
use broker_core::transport::TransportError;
use broker_core::{Endpoint, EndpointId};
use bytes::Bytes;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long the server may take to read what is left when the endpoint has gone.
const LAST_MESSAGES: Duration = Duration::from_secs(10);

type Connecting<'a> =
    Pin<Box<dyn Future<Output = Result<(JsonClient, String), TransportError>> + Send + 'a>>;

/// Carries messages between the endpoint in between and the server.
pub(super) struct Glue {
    pub(super) shared: Arc<Shared>,
    pub(super) connector: Connector,
    pub(super) endpoint: Endpoint,
    pub(super) hub: Hub,
    pub(super) events: EventStream,
    pub(super) client: JsonClient,
    /// What the other endpoint wanted when the server was subscribed to last.
    pub(super) wanted: Vec<Bytes>,
    pub(super) counters: Arc<Counters>,
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
                while let Some(message) = self.hub.try_recv() {
                    self.to_server(&message).await;
                }
                let Self { client, endpoint, .. } = self;
                client.close(LAST_MESSAGES.max(CLOSE_TIME)).await;
                endpoint.shutdown().await;
            }
            // The peer is told by the end of this endpoint, and comes back if it wants to.
            Over::Server => self.endpoint.shutdown().await,
        }
    }

    async fn carry(&mut self) -> Over {
        let endpoint = self.endpoint.clone();
        let mut peer = None;
        let mut changed = Box::pin(endpoint.peers_changed());
        loop {
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
                message = self.hub.recv() => match message {
                    Some(message) => self.to_server(&message).await,
                    None => return Over::Peer,
                },
                event = self.client.next() => match event {
                    Some(event) => {
                        if !take(&self.shared, &self.counters, &self.hub, event).await {
                            return Over::Server;
                        }
                    }
                    None => return Over::Server,
                },
            }
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
                    if !take(&self.shared, &self.counters, &self.hub, event).await {
                        return Err(TransportError::closed());
                    }
                }
            }
        };
        drop(connecting);
        let old = std::mem::replace(&mut self.client, client);
        tokio::spawn(old.close(LAST_MESSAGES));
        Ok(())
    }

    async fn to_server(&self, message: &Message) {
        let only_events = takes_only_events(&self.counters.version);
        let (texts, left_out) = texts(message.topic(), message.view(), only_events);
        for text in texts {
            // Fails only if the server is gone, which shows in the events of the client.
            if self.client.sender().publish_text(text).await.is_ok() {
                self.counters.count(Carried::ToServer);
            }
        }
        for _ in 0..left_out {
            let count = self.counters.count(Carried::NoEvent);
            let topic = message.topic();
            self.complain(format!(
                "a message on the topic {topic:?} is no event, and the server takes nothing else \
                 ({count} so far)"
            ));
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

/// Takes what the server sends. Returns whether there is still a server.
async fn take(shared: &Shared, counters: &Counters, hub: &Hub, event: ClientEvent) -> bool {
    match event {
        ClientEvent::Message(message) => {
            from_server(shared, counters, hub, &message).await;
            true
        }
        ClientEvent::Error { code, context } => {
            let count = counters.count(Carried::Refused);
            let reason = format!("{code}: {context}");
            counters.note_refusal(&reason);
            complain(shared, counters, format!("the server refuses: {reason} ({count} so far)"));
            true
        }
        ClientEvent::Unexpected { reason } => {
            let count = counters.count(Carried::Unexpected);
            complain(
                shared,
                counters,
                format!("the server sent something that is no message: {reason} ({count} so far)"),
            );
            true
        }
        ClientEvent::Connected { .. } => true,
        ClientEvent::Disconnected { error, .. } => {
            complain(shared, counters, error.to_string());
            false
        }
    }
}

async fn from_server(shared: &Shared, counters: &Counters, hub: &Hub, message: &ReceivedMessage) {
    let outcome = match message.view() {
        Ok(view) => hub.publish(&message.topic, &view).await.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match outcome {
        Ok(_) => {
            counters.count(Carried::FromServer);
        }
        Err(error) => {
            let topic = &message.topic;
            counters.count(Carried::Unexpected);
            complain(shared, counters, format!("a message on the topic {topic:?}: {error}"));
        }
    }
}

fn complain(shared: &Shared, counters: &Counters, what: String) {
    if let Some(service) = shared.service.get() {
        let text = format!("bridge to {}: {what}", counters.server());
        service.complain("bridge", text, Some("bridge"));
    }
}
