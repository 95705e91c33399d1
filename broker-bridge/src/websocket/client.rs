use super::texts::{takes_only_events, texts};
use crate::Directions;
use crate::other_side::{CLOSE_TIME, Connector, Incoming, Introduction, OtherSide, Outgoing};
use crate::stand_in::WAITING;
use broker_core::data::View;
use broker_core::transport::TransportError;
use broker_core::{Address, Limits};
use broker_transport_ws::WsTransport;
use broker_transport_ws::client::{ClientEvent, ClientOptions, JsonClient};
use std::collections::VecDeque;
use std::time::Duration;

/// Makes connections to one server.
pub(super) struct JsonConnector {
    ws: WsTransport,
    url: Address,
    token: Option<String>,
}

impl JsonConnector {
    pub(super) fn new(ws: WsTransport, to: &Address, directions: &Directions) -> Self {
        let (url, token) = directions.server(to);
        Self { ws, url, token }
    }
}

impl Connector for JsonConnector {
    type Side = JsonSide;

    async fn connect(
        &self,
        topics: Vec<String>,
    ) -> Result<(JsonSide, Introduction), TransportError> {
        let options = ClientOptions {
            subscriptions: topics,
            application: Some("broker-bridge".to_owned()),
            token: self.token.clone(),
            retry: None,
            connect_time: Limits::default().dial_time,
            queue_messages: WAITING,
            close_time: CLOSE_TIME,
            ..ClientOptions::default()
        };
        let mut client = self.ws.client(self.url.clone(), options);
        match client.next().await {
            Some(ClientEvent::Connected { endpoint, version, protection }) => {
                let only_events = takes_only_events(&version);
                // Zeek's own server names its clients, by the endpoint and a number.
                let endpoint = endpoint.get(..36).and_then(|id| id.parse().ok());
                let introduction = Introduction { version, endpoint, protection };
                Ok((JsonSide { client, only_events }, introduction))
            }
            Some(ClientEvent::Disconnected { error, .. }) => Err(error),
            _ => Err(TransportError::closed()),
        }
    }
}

/// A server, through a client of its API.
pub(super) struct JsonSide {
    client: JsonClient,
    only_events: bool,
}

impl OtherSide for JsonSide {
    type Text = String;

    fn encode(&self, topic: &[u8], value: View<'_>) -> (Vec<String>, u64) {
        texts(topic, value, self.only_events)
    }

    async fn exchange(&mut self, outgoing: &mut VecDeque<Outgoing<String>>) -> Option<Incoming> {
        let sender = self.client.sender();
        loop {
            let event = tokio::select! {
                Ok(slot) = sender.reserve(), if !outgoing.is_empty() => {
                    match outgoing.pop_front() {
                        Some(Outgoing::Message(text)) => slot.publish_text(text),
                        Some(Outgoing::Ping(number)) => slot.ask(number),
                        None => {}
                    }
                    return Some(Incoming::Sent);
                }
                event = self.client.next() => event?,
            };
            return Some(match event {
                ClientEvent::Message(message) => Incoming::Message {
                    topic: message.topic.to_vec(),
                    payload: message.payload().to_vec(),
                },
                ClientEvent::Confirmed(number) => Incoming::Confirmed(number),
                ClientEvent::Error { code, context } => {
                    Incoming::Refused(format!("{code}: {context}"))
                }
                ClientEvent::Unexpected { reason } => Incoming::Unexpected(reason),
                ClientEvent::Disconnected { error, .. } => Incoming::Lost(error),
                _ => continue,
            });
        }
    }

    async fn close(self, limit: Duration) {
        // What is not written by then is lost, and counted.
        let _ = tokio::time::timeout(limit, self.client.close()).await;
    }
}
