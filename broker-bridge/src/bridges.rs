use crate::delivery::Outbox;
use crate::guard::Guard;
use crate::other_side::{CLOSE_TIME, Connector, Introduction, OtherSide};
use crate::overlay::{IN_THE_OVERLAY, Overlay};
use crate::passage::Passage;
use crate::stand_in::StandIn;
use crate::status::Counters;
use crate::task::BridgeTask;
use crate::{BridgeStatus, Directions};
use broker_core::endpoint::ServiceContext;
use broker_core::transport::{Connection, TransportError};
use broker_core::{Address, EndpointId, Reason};
use parking_lot::Mutex;
use std::sync::{Arc, Weak};

/// All bridges of one kind that an endpoint has.
#[derive(Debug, Default)]
pub(crate) struct Bridges {
    overlay: Arc<Overlay>,
    open: Mutex<Vec<Weak<Counters>>>,
}

impl Bridges {
    /// The first endpoint counts: a second one would need a transport of its own.
    pub(crate) fn join(&self, context: &ServiceContext) {
        self.overlay.join(context);
    }

    pub(crate) fn status(&self) -> Vec<BridgeStatus> {
        let open = self.open.lock();
        open.iter().filter_map(Weak::upgrade).map(|bridge| bridge.status()).collect()
    }

    /// Connects to the other side, and returns a connection on which it looks like a peer.
    pub(crate) async fn open(
        &self,
        to: &Address,
        directions: Directions,
        connector: impl Connector,
    ) -> Result<Connection, TransportError> {
        if self.overlay.has_ended() {
            return Err(TransportError::closed());
        }
        let wanted = self.overlay.wanted();
        let (side, introduction) = connector.connect(directions.subscriptions(&wanted)).await?;
        let Introduction { version, endpoint: server, protection } = introduction;
        let stand_in = StandIn::new(to).map_err(|error| invalid(to, &error.to_string()))?;
        let id = stand_in.endpoint.id();
        if let Some(reason) = self.circle(&directions, server, id) {
            self.overlay.spawn(side.close(CLOSE_TIME));
            stand_in.endpoint.shutdown().await;
            return Err(invalid(to, &reason));
        }
        let counters = Arc::new(Counters::new(to, &directions, version, server));
        self.add(&counters);
        let (stand_in, connection) = stand_in.connect(to, &directions, protection).await?;
        let overlay = Arc::clone(&self.overlay);
        let guard = Guard::new(Arc::clone(&overlay), &directions, id, server);
        let passage = Passage { overlay, directions, guard, counters };
        let outbox = Outbox::new();
        let task = BridgeTask { stand_in, passage, outbox, connector, side, wanted };
        self.overlay.spawn(task.run());
        Ok(connection)
    }

    fn add(&self, counters: &Arc<Counters>) {
        let mut open = self.open.lock();
        open.retain(|bridge| bridge.strong_count() > 0);
        open.push(Arc::downgrade(counters));
    }

    /// Why messages would go in circles through this bridge, as far as one endpoint can see.
    fn circle(
        &self,
        directions: &Directions,
        server: Option<EndpointId>,
        stand_in: EndpointId,
    ) -> Option<String> {
        if self.overlay.around(stand_in, server).contains_other_side {
            return Some(IN_THE_OVERLAY.to_owned());
        }
        let open = self.open.lock();
        let (other, topic) = open
            .iter()
            .filter_map(Weak::upgrade)
            .find_map(|bridge| bridge.against(server?, directions))?;
        Some(format!(
            "{topic:?} would go both ways: there is a bridge to {other} already, which is the same \
             server"
        ))
    }
}

/// An address that cannot be bridged to.
pub(crate) fn invalid(to: &Address, reason: &str) -> TransportError {
    TransportError::new(Reason::InvalidAddress, format!("connecting to {to}: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::other_side::{Incoming, Outgoing};
    use crate::task::LAST_MESSAGES;
    use async_trait::async_trait;
    use broker_core::Endpoint;
    use broker_core::data::View;
    use broker_core::endpoint::Retry;
    use broker_core::transport::{Listener, Protection, Transport};
    use std::collections::VecDeque;
    use std::future::pending;
    use std::time::Duration;
    use tokio::time::{sleep, timeout};

    /// Another side that takes messages, confirms none, and agrees to no end.
    struct Silent;

    impl Connector for Silent {
        type Side = Self;

        async fn connect(&self, _: Vec<String>) -> Result<(Self, Introduction), TransportError> {
            let (version, protection) = (String::new(), Protection::Plain);
            Ok((Self, Introduction { version, endpoint: None, protection }))
        }
    }

    impl OtherSide for Silent {
        type Text = Vec<u8>;

        fn encode(&self, _: &[u8], value: View<'_>) -> (Vec<Vec<u8>>, u64) {
            (vec![value.raw().to_vec()], 0)
        }

        async fn exchange(
            &mut self,
            outgoing: &mut VecDeque<Outgoing<Vec<u8>>>,
        ) -> Option<Incoming> {
            match outgoing.pop_front() {
                Some(_) => Some(Incoming::Sent),
                None => pending().await,
            }
        }

        async fn close(self, limit: Duration) {
            sleep(limit).await;
        }
    }

    /// A transport whose every address is a bridge to a silent side.
    #[derive(Debug, Clone, Default)]
    struct ToSilent(Arc<Bridges>);

    #[async_trait]
    impl Transport for ToSilent {
        fn schemes(&self) -> &'static [&'static str] {
            &["ws"]
        }

        async fn listen(&self, _: &Address) -> Result<Box<dyn Listener>, TransportError> {
            Err(TransportError::closed())
        }

        async fn connect(&self, to: &Address) -> Result<Connection, TransportError> {
            let directions = Directions::parse(to).map_err(|e| invalid(to, &e.to_string()))?;
            self.0.open(to, directions, Silent).await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_messages_and_the_end_of_a_connection_have_one_time_limit() {
        let transport = ToSilent::default();
        let bridges = Arc::clone(&transport.0);
        let endpoint = Endpoint::builder()
            .transport(transport)
            .on_start(move |context| bridges.join(context))
            .build()
            .unwrap();
        endpoint.peer("ws://host:1/?to=/t", Retry::never()).await.unwrap();
        endpoint.publish("/t", &1_u64).await.unwrap();
        // With a second for each, what is in front of the end and the end itself.
        let limit = LAST_MESSAGES + 5 * Duration::from_secs(1);
        timeout(limit, endpoint.shutdown()).await.expect("an end in time");
    }
}
